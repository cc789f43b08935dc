"""Tasks and futures of a run, and the list that holds them.

They hash by creation number, salted with the run: a set of them iterates alike in every replay, and
tasks of different runs do not collide in asyncio's process-wide WeakSet. Whatever a run has begun is
held strongly until it is over, so that the garbage collector never decides when its code runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Generic, TypeAlias, TypeVar

from understudy_runtime.execution.program.asyncio_internals import has_unseen_failure

T = TypeVar("T")

CoroutineLike: TypeAlias = Coroutine[Any, Any, T] | Generator[Any, None, T]

SWEEP_AT_LEAST = 16
"""A `Held` shorter than this is never swept."""

_SALT_MASK = (1 << 60) - 1
_GOLDEN = 0x9E3779B97F4A7C15  # Fibonacci hashing: neighbouring salts end far apart


def spread(run_salt: int) -> int:
    """The number from which a run's hashes count up."""
    return ((run_salt + 1) * _GOLDEN ^ (run_salt >> 30)) & _SALT_MASK


class RunFuture(asyncio.Future[T]):
    """A future of a run's loop. The program's owner resolves it inside a turn (see `WorkflowLoop.turn`)."""

    __slots__ = ("run_hash",)
    run_hash: int

    def __hash__(self) -> int:
        return self.run_hash


class RunTask(asyncio.Task[T]):
    """A task of a run's loop. It remembers its context (3.11 cannot be asked), for eviction enters it."""

    __slots__ = ("context", "run_hash")

    def __init__(
        self,
        coro: CoroutineLike[T],
        loop: asyncio.AbstractEventLoop,
        run_hash: int,
        name: str,
        context: Context,
    ) -> None:
        self.run_hash = run_hash
        self.context = context
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self.run_hash


_EAGERLY: dict[str, Any] = {"eager_start": True}  # since 3.12


class EagerRunTask(RunTask[T]):
    """A task that takes its first step while it is being made. It is in `held` by then: its run may end in that step,
    or look at its tasks."""

    __slots__ = ()

    def __init__(
        self,
        coro: CoroutineLike[T],
        loop: asyncio.AbstractEventLoop,
        run_hash: int,
        name: str,
        context: Context,
        held: Held[RunTask[Any]],
    ) -> None:
        self.run_hash = run_hash
        self.context = context
        held.add(self)
        try:
            super(RunTask, self).__init__(coro, loop=loop, name=name, context=context, **_EAGERLY)
        except BaseException:
            if not self.done():  # not a coroutine, or a context that is entered already: no task came of it
                held.items.remove(self)
            raise


class Held(Generic[T]):
    """Things held in order of creation; those that are over are let go when the list has doubled."""

    __slots__ = ("_is_over", "_sweep_at", "items")

    def __init__(self, is_over: Callable[[T], bool]) -> None:
        self.items: list[T] = []
        self._is_over = is_over
        self._sweep_at = SWEEP_AT_LEAST

    def add(self, item: T) -> None:
        if len(self.items) >= self._sweep_at:
            self.sweep()
        self.items.append(item)

    def left(self) -> list[T]:
        """All that are not over, in order of creation."""
        if self.items:
            self.sweep()
        return list(self.items)

    def sweep(self) -> None:
        is_over = self._is_over
        self.items = [item for item in self.items if not is_over(item)]
        self._sweep_at = max(SWEEP_AT_LEAST, 2 * len(self.items))


def task_is_over(task: asyncio.Task[Any]) -> bool:
    return task.done() and not has_unseen_failure(task)


def is_over(suspended: Any) -> bool:
    """Whether a coroutine or an async generator has run to its end."""
    return getattr(suspended, "cr_frame", None) is None and getattr(suspended, "ag_frame", None) is None
