"""Order where asyncio and anyio would iterate by address.

Tasks and futures of a run hash by creation number (see `tasks.py`). What is left are five places that
a loop cannot reach through its own interface; `keep_order` mends each, and outside a run's turn all of
them behave as before:

    asyncio.tasks: set(...)         `as_completed` puts coroutines, which hash by address, through a set
    asyncio.tasks: gather's future  is made without asking the loop, and may be waited for in a set
    asyncio: all_tasks()            walks a WeakSet shared with every other loop of the process
    anyio's backend: set()          cancel scopes keep their child scopes in a set
    anyio's backend: WorkerThread   starts threads without asking the loop (a refusal, not an order)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, MutableSet
from typing import Any, TypeVar

from understudy_runtime.execution.program.asyncio_internals import install, running_loop
from understudy_runtime.execution.program.loop import WorkflowLoop
from understudy_runtime.execution.program.refusals import not_durable

T = TypeVar("T")


class OrderKeepingSet(MutableSet[T]):
    """A set that iterates in the order of insertion."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._items = dict.fromkeys(items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def add(self, value: T) -> None:
        self._items[value] = None

    def discard(self, value: T) -> None:
        self._items.pop(value, None)


def in_a_turn() -> bool:
    """Whether the calling thread is inside a turn of some run."""
    return isinstance(running_loop(), WorkflowLoop)


def _set_of_arguments(items: Iterable[Any] = ()) -> Any:
    """`set` for asyncio.tasks. An empty one is handed to users (`done, pending`), so it stays a real set."""
    return OrderKeepingSet(items) if items and in_a_turn() else set(items)


def _set_of_scopes(items: Iterable[Any] = ()) -> Any:
    """`set` for anyio's backend."""
    return OrderKeepingSet(items) if in_a_turn() else set(items)


def _hash_of_gathering(future: Any) -> int:
    loop = future.get_loop()
    if not isinstance(loop, WorkflowLoop):
        return object.__hash__(future)
    try:
        number: int = future.run_hash
    except AttributeError:  # first hashed now: as good as its creation, for both are steps of the program
        number = future.run_hash = loop.next_hash()
    return number


_all_tasks_of_asyncio = asyncio.all_tasks


def _all_tasks(loop: asyncio.AbstractEventLoop | None = None) -> set[asyncio.Task[Any]]:
    owner = loop or running_loop()
    if isinstance(owner, WorkflowLoop):
        return {task for task in owner.tasks if not task.done()}
    return _all_tasks_of_asyncio(loop)


def _start_worker(worker: threading.Thread) -> None:
    if in_a_turn():
        raise not_durable("a thread (anyio.to_thread, anyio.open_file, anyio.Path)")
    threading.Thread.start(worker)


def keep_order() -> None:
    """Mend the five places, for the whole process. Doing it again changes nothing."""
    install(
        set_of_arguments=_set_of_arguments,
        set_of_scopes=_set_of_scopes,
        hash_of_gathering=_hash_of_gathering,
        all_tasks=_all_tasks,
        start_worker=_start_worker,
    )
