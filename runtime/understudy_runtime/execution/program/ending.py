"""How what a run has begun is brought to an end: politely inside the run, or at once when it is evicted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from understudy.errors import Evicted
from understudy_runtime.execution.program.asyncio_internals import destroy_quietly, enter_task, leave_task
from understudy_runtime.execution.program.raising import shown
from understudy_runtime.execution.program.tasks import is_over

if TYPE_CHECKING:
    from understudy_runtime.execution.program.loop import WorkflowLoop
    from understudy_runtime.execution.program.tasks import RunTask

EVICTED = "the run has left memory"

CLOSE_ATTEMPTS_MAX = 100
"""Clean-up code that awaits again and again while its run is evicted is left behind after this many times."""


async def cancel_rest(loop: WorkflowLoop) -> None:
    """Cancel every other task once and wait for all; then those that were begun meanwhile, and so on."""
    me = asyncio.current_task()
    while rest := [task for task in loop.tasks if task is not me and not task.done()]:
        for task in rest:
            _cancel(loop, task)
        with contextlib.suppress(asyncio.CancelledError):  # clean-up code cancels all tasks there are, and so this one
            await asyncio.wait(rest)


def _cancel(loop: WorkflowLoop, task: RunTask[Any]) -> None:
    try:
        task.cancel()
    except BaseException as error:  # what it awaits is the user's own, and cancels itself in its own way
        loop.warn(f"{task.get_name()} could not be cancelled: {shown(error)}")


async def close_generators(loop: WorkflowLoop, generators: list[AsyncGenerator[Any, Any]]) -> None:
    for generator in generators:
        try:
            await generator.aclose()
        except BaseException as error:
            loop.warn(f"exception while closing {shown(generator)}: {shown(error)}")


def close_task(loop: WorkflowLoop, task: RunTask[Any]) -> None:
    """Unwind a suspended task's coroutine as that task, so that clean-up code finds itself where it was."""
    coro: Any = task.get_coro()
    enter_task(loop, task)
    try:
        task.context.run(_unwind, coro, lambda: coro.throw(Evicted(EVICTED)))
    finally:
        leave_task(loop, task)
        destroy_quietly(task)


def close_generator(generator: AsyncGenerator[Any, Any]) -> None:
    """Unwind a suspended generator without a task: what it awaits while closing raises `Evicted`."""
    _unwind(generator, lambda: _drive_to_end(generator.aclose()))


def _unwind(suspended: Any, interrupt: Callable[[], object]) -> None:
    # Evicted is thrown, for close() does not reach into async generators before CPython 3.13
    for _ in range(CLOSE_ATTEMPTS_MAX):
        if is_over(suspended):
            return
        with contextlib.suppress(BaseException):  # whatever comes of it is discarded
            interrupt()


def _drive_to_end(closing: Coroutine[Any, Any, Any]) -> None:
    closing.send(None)
    for _ in range(CLOSE_ATTEMPTS_MAX):
        closing.throw(Evicted(EVICTED))
