"""Everything a run's loop relies on in asyncio and anyio beyond what their documentation promises.

A run's loop is stepped from a callback of another loop, inside that loop's thread, and its order must not depend on
addresses. asyncio's documentation for those who write loops covers a part of that. The rest is here, as it was read in
the sources of `READ_IN`. No other module of the project uses a private name of asyncio or anyio (a test looks). Each
line below has a test of its own, which says in words what a new CPython changed.

    what                                      why it is needed                                        since
    the running loop, set and asked           a turn makes its own loop the running one               documented
    `_enter_task`, `_leave_task`              clean-up code of an evicted task runs as that task      documented
    `_swap_current_task`                      a thread has one current task: it steps out for a turn  3.14
    `Task._log_destroy_pending`               an evicted task is not a forgotten one                  3.4
    `Future._log_traceback`, `_exception`     tell a failure that nobody has looked at, and which     3.4
    the names of a task's step and wakeup     tell which task a callback steps                        3.7
    `Handle._callback`, `_args`, `_context`   slots of callbacks, filled without asyncio's own init   3.7
    `set` in `asyncio.tasks`                  `wait` and `as_completed` put their arguments into one  3.4
    `_GatheringFuture`                        `gather` makes it without asking the loop               3.4
    code of `gather` and `wait_for`           those who imported them by name are to get ours, too    3.11
    `all_tasks`                               walks what all loops of the process share               3.7
    `eager_task_factory`'s code               makes a Task without asking the loop, and starts it     3.12
    `set` in anyio's backend                  cancel scopes keep their child scopes in one            anyio 3
    `WorkerThread.start` in anyio's backend   starts threads without asking the loop                  anyio 3
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from asyncio.events import _get_running_loop, _set_running_loop
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

READ_IN: Final = ("3.11.7", "3.12.1", "3.13.15", "3.14.8", "3.15.0")
"""The releases of CPython whose sources this module was written against."""

running_loop = _get_running_loop
"""The running loop of the calling thread, or None. `asyncio.get_running_loop` raises instead, which costs more."""

set_running_loop = _set_running_loop

EAGER_FACTORY_CODE: Final = getattr(getattr(asyncio, "eager_task_factory", None), "__code__", None)
"""The code of all that `asyncio.create_eager_task_factory` makes. The tasks it makes ask the loop whether it runs."""

enter_task = _enter_task
leave_task = _leave_task

Suspended = tuple[asyncio.AbstractEventLoop | None, asyncio.Task[Any] | None]
"""A running loop and its current task, while another loop runs in their thread."""

if sys.version_info >= (3, 14):
    # The thread has one current task, whichever loop it is of, and a loop refuses to step a task while there is one.
    from asyncio.tasks import _swap_current_task

    def suspend(inner: asyncio.AbstractEventLoop) -> Suspended:
        """Make `inner` the running loop of this thread. `resume` takes what comes back."""
        outer = _get_running_loop()
        task = None if outer is None else _swap_current_task(outer, None)
        _set_running_loop(inner)
        return outer, task

    def resume(suspended: Suspended) -> None:
        """Make the loop that `suspend` found the running one again."""
        outer, task = suspended
        _set_running_loop(outer)
        if task is not None:
            _swap_current_task(outer, task)

else:
    # Each loop has a current task of its own.
    def suspend(inner: asyncio.AbstractEventLoop) -> Suspended:
        """Make `inner` the running loop of this thread. `resume` takes what comes back."""
        outer = _get_running_loop()
        _set_running_loop(inner)
        return outer, None

    def resume(suspended: Suspended) -> None:
        """Make the loop that `suspend` found the running one again."""
        _set_running_loop(suspended[0])


def has_unseen_failure(task: asyncio.Task[Any]) -> bool:
    """Whether the task failed and nobody has looked. Asking does not count as looking."""
    unseen: bool = getattr(task, "_log_traceback", False)
    return unseen


def unseen_failure(task: asyncio.Task[Any]) -> BaseException | None:
    """What the task failed with, if nobody has looked. Asking does not count as looking."""
    error: BaseException | None = getattr(task, "_exception", None)
    return error if has_unseen_failure(task) else None


def stepped_task(callback: Any) -> asyncio.Task[Any] | None:
    """The task that this callback steps, if it is a task's own."""
    if type(callback).__name__ == "TaskStepMethWrapper" or getattr(callback, "__name__", "") == "task_wakeup":
        task: asyncio.Task[Any] = callback.__self__
        return task
    return None


def destroy_quietly(task: asyncio.Task[Any]) -> None:
    """Let the task be freed although it has not ended: asyncio would report that it was destroyed but is pending."""
    vars_of_task: Any = task
    vars_of_task._log_destroy_pending = False


def gathering_future(children: list[asyncio.Future[Any]], loop: asyncio.AbstractEventLoop) -> asyncio.Future[list[Any]]:
    """What `gather` returns: cancelling it cancels the children, and is remembered in `_cancel_requested`."""
    tasks: Any = asyncio.tasks
    made: asyncio.Future[list[Any]] = tasks._GatheringFuture(children, loop=loop)
    return made


def redirect(function: Any, forward: Any, **names: Any) -> FunctionType:
    """Have `function` run the code of `forward`, for everybody who holds it. What comes back does what it did before.

    `forward` has the same parameters and no closure; of globals it uses the `names`, which go into `function`'s module.
    """
    before = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    before.__kwdefaults__ = function.__kwdefaults__
    function.__globals__.update(names)
    function.__code__ = forward.__code__
    return before


def install(
    *,
    set_of_arguments: Callable[..., Any],
    set_of_scopes: Callable[..., Any],
    hash_of_gathering: Callable[[Any], int],
    all_tasks: Callable[..., Any],
    start_worker: Callable[[threading.Thread], None],
) -> None:
    """Put these in the place of what asyncio and anyio have there, in the whole process. Again changes nothing."""
    names = ("asyncio.tasks", "asyncio", "anyio._backends._asyncio")
    tasks, package, anyio = (importlib.import_module(name).__dict__ for name in names)
    for namespace in (tasks, package, anyio):
        namespace["all_tasks"] = all_tasks
    tasks["set"] = set_of_arguments
    tasks["_GatheringFuture"].__hash__ = hash_of_gathering
    anyio["set"] = set_of_scopes
    anyio["WorkerThread"].start = start_worker
