"""What a run's loop relies on in asyncio and anyio without their documentation saying so, one test for each thing.

A failure here means that this CPython, or this anyio, does it otherwise than those that `asyncio_internals.py` was read
against (`READ_IN`). The test names what is missing and what depends on it.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextvars import Context
from pathlib import Path
from typing import Any

import anyio._backends._asyncio
import pytest

import understudy
import understudy_runtime
from understudy_runtime.execution.program import RunTask, WorkflowLoop
from understudy_runtime.execution.program.asyncio_internals import (
    READ_IN,
    destroy_quietly,
    enter_task,
    has_unseen_failure,
    leave_task,
    redirect,
    resume,
    running_loop,
    suspend,
)
from understudy_runtime.execution.program.timers import Step, Timer, Timers

HERE = f"CPython {sys.version.split()[0]} (read in {', '.join(READ_IN)})"
PRIVATE_OF_ASYNCIO = ("_enter_task", "_leave_task", "_swap_current_task", "_log_", "_running_loop", "_GatheringFuture")


def in_turn(work: Coroutine[Any, Any, Any]) -> WorkflowLoop:
    loop = WorkflowLoop(1, 0.0)
    loop.start(work)
    loop.turn(0.0)
    return loop


@pytest.mark.anyio
async def test_a_turn_inside_a_task_leaves_that_task_current_and_its_loop_running() -> None:
    outer, task = asyncio.get_running_loop(), asyncio.current_task()
    seen: list[bool] = []

    async def inside() -> None:
        seen.append(asyncio.current_task() is not task and running_loop() is not outer)

    loop = in_turn(inside())
    assert loop.ended, f"a run's task cannot be stepped inside a task of another loop: {HERE}"
    assert seen == [True]
    assert running_loop() is outer, f"a turn does not restore the running loop: {HERE}"
    assert asyncio.current_task() is task, f"a turn does not restore the current task: {HERE}"


def test_a_turn_without_a_running_loop_leaves_none() -> None:
    loop = WorkflowLoop(1, 0.0)
    suspended = suspend(loop)
    assert running_loop() is loop
    resume(suspended)
    assert running_loop() is None


def test_clean_up_code_can_run_as_the_task_whose_it_is() -> None:
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    loop = WorkflowLoop(1, 0.0)
    task = loop.start(wait())
    loop.turn(0.0)
    suspended = suspend(loop)
    enter_task(loop, task)
    try:
        assert asyncio.current_task() is task, f"_enter_task no longer sets the current task: {HERE}"
    finally:
        leave_task(loop, task)
        resume(suspended)
    assert asyncio.current_task(loop) is None, f"_leave_task no longer takes it back: {HERE}"
    loop.evict()


def test_a_failure_that_nobody_looked_at_can_be_told_without_looking() -> None:
    async def fail() -> None:
        raise ValueError("unseen")

    loop = WorkflowLoop(1, 0.0)
    task = loop.start(fail())
    loop.turn(0.0)
    assert has_unseen_failure(task), f"Future._log_traceback is not there: unseen failures of runs get lost: {HERE}"
    assert task.exception() is not None
    assert not has_unseen_failure(task)


def test_a_task_that_was_evicted_is_not_reported_as_destroyed() -> None:
    told: list[dict[str, Any]] = []

    class Loop(WorkflowLoop):
        def call_exception_handler(self, context: dict[str, Any]) -> None:
            told.append(context)

    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    def begin(*, quietly: bool) -> None:
        loop = Loop(1, 0.0)
        task = loop.start(wait())
        loop.turn(0.0)
        if quietly:
            destroy_quietly(task)
        coroutine: Any = task.get_coro()
        coroutine.close()

    begin(quietly=True)
    gc.collect()
    assert not told, f"Task._log_destroy_pending does not silence asyncio any more: {HERE}"
    begin(quietly=False)
    gc.collect()
    assert told, "this test cannot fail: asyncio says nothing of destroyed tasks"


def test_callbacks_of_a_run_are_handles_in_asyncios_own_slots() -> None:
    for made in (Step(print, (), Context()), Timers().add(1.0, print, (), Context())):
        assert isinstance(made, asyncio.Handle)
        assert not hasattr(made, "__dict__"), f"asyncio.Handle has lost a slot that callbacks of runs use: {HERE}"
        assert made._callback is print
        made.cancel()
        assert made.cancelled()
    assert issubclass(Timer, asyncio.TimerHandle)


def test_asyncio_looks_up_the_names_that_are_replaced() -> None:
    tasks = Path(asyncio.tasks.__file__).read_text()
    assert "= set(" in tasks, f"wait() makes no set of its arguments: {HERE}"
    assert "in set(" in tasks, f"as_completed() makes no set of its arguments: {HERE}"
    assert "_GatheringFuture(children, loop=loop)" in tasks, f"gather() makes no _GatheringFuture: {HERE}"
    assert "set()" in Path(anyio._backends._asyncio.__file__).read_text(), "anyio's cancel scopes keep no set"
    assert issubclass(anyio._backends._asyncio.WorkerThread, threading.Thread)


def test_a_function_that_was_imported_by_name_can_be_redirected() -> None:
    namespace: dict[str, Any] = {}
    exec("def double(n, *, by=2): return n * by", namespace)
    by_name = namespace["double"]
    before = redirect(by_name, _forward, answer=_negative)
    assert by_name(3) == -6, f"the code of a function cannot be exchanged: {HERE}"
    assert before(3) == 6


def _forward(n: int, *, by: int = 2) -> Any:
    return answer(n, by=by)


def _negative(n: int, by: int) -> int:
    return -n * by


answer: Any = None


def test_a_gathering_that_was_cancelled_remembers_it() -> None:
    async def nothing() -> None:
        await asyncio.sleep(1)

    async def main() -> bool:
        gathering = asyncio.gather(nothing(), return_exceptions=True)
        await asyncio.sleep(0)
        gathering.cancel()
        return bool(getattr(gathering, "_cancel_requested", False))

    loop = WorkflowLoop(1, 0.0)
    task: RunTask[bool] = loop.start(main())
    loop.turn(0.0)
    assert task.result(), f"_GatheringFuture has no _cancel_requested: {HERE}"


def modules() -> Iterator[Path]:
    for package in (understudy, understudy_runtime):
        yield from Path(package.__path__[0]).rglob("*.py")


def test_no_other_module_uses_a_private_name_of_asyncio() -> None:
    for path in modules():
        if path.name == "asyncio_internals.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            names += [node.attr] if isinstance(node, ast.Attribute) else []
            private = [name for name in names if name.startswith(PRIVATE_OF_ASYNCIO)]
            assert not private, f"{path.name}: {private} belong into asyncio_internals.py, with a test each"
