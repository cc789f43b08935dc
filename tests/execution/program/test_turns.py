"""What a turn is: where it begins and ends, what time does in it, and what it leaves behind in the thread."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar
from typing import Any

import pytest
import uvloop

from understudy.errors import NotDurable
from understudy_runtime.execution.program import WorkflowLoop
from understudy_runtime.execution.program.loop import PASSES_MAX, WARNINGS_MAX
from understudy_runtime.execution.program.timers import CANCELLED_AT_LEAST


@pytest.fixture
def loop() -> WorkflowLoop:
    return WorkflowLoop(run_salt=1, now=100.0)


def in_a_turn(loop: WorkflowLoop, act: Callable[[], object]) -> None:
    loop.turn(loop.time(), act)


def test_callbacks_run_in_order_of_creation(loop: WorkflowLoop) -> None:
    seen: list[str] = []

    def begin() -> None:
        loop.call_soon(seen.append, "a")
        loop.call_soon(lambda: loop.call_soon(seen.append, "d"))
        loop.call_soon(seen.append, "b")
        loop.call_soon(seen.append, "never").cancel()
        loop.call_soon(seen.append, "c")

    in_a_turn(loop, begin)
    assert seen == ["a", "b", "c", "d"]


def test_a_turn_ends_after_a_number_of_passes_and_the_rest_waits_for_the_next(loop: WorkflowLoop) -> None:
    passes = 0

    async def main() -> None:
        nonlocal passes
        while True:
            passes += 1
            await asyncio.sleep(0)

    loop.start(main())
    loop.turn(100.0)
    assert passes == PASSES_MAX
    assert loop.next_deadline() == 100.0
    loop.turn(100.0)
    assert passes == 2 * PASSES_MAX
    loop.evict()


def test_timers_fire_by_deadline_and_ties_by_creation(loop: WorkflowLoop) -> None:
    seen: list[str] = []

    def begin() -> None:
        for name, delay in (("d", 3), ("a", 1), ("c", 2), ("b", 1), ("far", 9)):
            loop.call_later(delay, seen.append, name)

    in_a_turn(loop, begin)
    assert (seen, loop.next_deadline()) == ([], 101.0)
    loop.turn(105.0)
    assert (seen, loop.next_deadline()) == (["a", "b", "c", "d"], 109.0)


def test_a_deadline_that_has_passed_fires_in_the_same_turn(loop: WorkflowLoop) -> None:
    seen: list[str] = []
    in_a_turn(loop, lambda: loop.call_at(1.0, seen.append, "at once"))
    assert seen == ["at once"]


def test_time_stands_still_in_a_turn_and_never_runs_backwards(loop: WorkflowLoop) -> None:
    loop.turn(200.0)
    loop.turn(150.0, lambda: loop.call_later(10, print))
    assert loop.time() == 200.0
    assert loop.next_deadline() == 210.0


def test_a_cancelled_timer_is_never_shown(loop: WorkflowLoop) -> None:
    async def main() -> None:
        async with asyncio.timeout(1000):
            await asyncio.sleep(5)
        await asyncio.sleep(50)

    loop.start(main())
    loop.turn(100.0)
    assert loop.next_deadline() == 105.0
    loop.turn(105.0)
    assert loop.next_deadline() == 155.0
    loop.turn(155.0)
    assert (loop.next_deadline(), loop.ended) == (None, True)


def test_cancelled_timers_do_not_pile_up(loop: WorkflowLoop) -> None:
    def begin() -> None:
        loop.call_later(1, print)
        for _ in range(10 * CANCELLED_AT_LEAST):
            loop.call_later(2, print).cancel()

    in_a_turn(loop, begin)
    assert len(loop._timers.heap) <= CANCELLED_AT_LEAST + 1
    assert loop.next_deadline() == 101.0


def test_a_timer_cancelled_when_it_was_due_does_not_fire(loop: WorkflowLoop) -> None:
    seen: list[str] = []
    timers: list[asyncio.TimerHandle] = []

    def begin() -> None:
        loop.call_later(1, lambda: timers[1].cancel())
        timers.append(loop.call_later(1, print, "earlier"))
        timers.append(loop.call_later(1, seen.append, "never"))

    in_a_turn(loop, begin)
    loop.turn(101.0)
    assert (seen, loop.next_deadline()) == ([], None)


def test_no_deadline_is_none_and_nan_is_refused(loop: WorkflowLoop) -> None:
    in_a_turn(loop, lambda: loop.call_later(math.inf, print))
    assert loop.next_deadline() is None
    with pytest.raises(ValueError, match="NaN"):
        in_a_turn(loop, lambda: loop.call_later(math.nan, print))


def test_an_error_in_a_callback_is_a_warning_and_the_turn_goes_on(loop: WorkflowLoop) -> None:
    seen: list[str] = []

    def fail() -> None:
        raise ValueError("oh")

    def begin() -> None:
        loop.call_soon(fail)
        loop.call_soon(seen.append, "after")

    in_a_turn(loop, begin)
    assert seen == ["after"]
    assert "ValueError('oh')" in loop.warnings[0]


def test_warnings_are_bounded(loop: WorkflowLoop) -> None:
    def fail() -> None:
        raise ValueError

    in_a_turn(loop, lambda: [loop.call_soon(fail) for _ in range(2 * WARNINGS_MAX)])
    assert len(loop.warnings) == WARNINGS_MAX
    assert loop.warnings[-1] == "more warnings were dropped"


@pytest.mark.parametrize("exit", [SystemExit, KeyboardInterrupt])
def test_exits_leave_the_turn_and_the_thread_as_it_was(loop: WorkflowLoop, exit: type[BaseException]) -> None:
    async def main() -> None:
        raise exit(3)

    task = loop.start(main())
    hooks = sys.get_asyncgen_hooks()
    with pytest.raises(exit):
        loop.turn(100.0)
    assert isinstance(task.exception(), exit)
    assert asyncio._get_running_loop() is None
    assert sys.get_asyncgen_hooks() == hooks
    loop.evict()


def test_a_turn_within_its_own_turn_is_refused(loop: WorkflowLoop) -> None:
    with pytest.raises(RuntimeError, match="same run"):
        in_a_turn(loop, lambda: loop.turn(100.0))
    with pytest.raises(RuntimeError, match="own turn"):
        in_a_turn(loop, loop.evict)


_VARIABLE: ContextVar[str] = ContextVar("variable", default="untouched")


def test_a_run_has_one_fresh_context_and_each_task_a_copy(loop: WorkflowLoop) -> None:
    _VARIABLE.set("the engine's")
    seen: list[str] = []

    async def main() -> None:
        seen.append(_VARIABLE.get())
        _VARIABLE.set("main's")

    loop.start(main())
    loop.turn(100.0, lambda: _VARIABLE.set("the run's"))
    assert seen == ["untouched"]
    assert loop.context[_VARIABLE] == "the run's"
    assert _VARIABLE.get() == "the engine's"


async def _numbers() -> AsyncGenerator[int, None]:
    yield 1
    yield 2


@pytest.mark.parametrize("new_outer_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_turn_in_a_callback_of_another_loop_leaves_that_loop_as_it_was(
    new_outer_loop: Callable[[], asyncio.AbstractEventLoop], loop: WorkflowLoop
) -> None:
    outer = new_outer_loop()
    seen: list[Any] = []

    async def main() -> int:
        total = 0
        async for number in _numbers():
            total += number
            await asyncio.sleep(1)
        assert asyncio.get_running_loop() is loop
        return total

    task = loop.start(main())

    def step() -> None:
        before = sys.get_asyncgen_hooks()
        loop.turn(loop.next_deadline() or 100.0)
        seen.append(sys.get_asyncgen_hooks() == before)
        seen.append(asyncio.get_running_loop() is outer)
        seen.append(asyncio.current_task() is None)
        if loop.ended:
            outer.stop()
        else:
            outer.call_soon(step)

    outer.call_soon(step)
    outer.run_forever()
    outer.close()
    assert task.result() == 3
    assert all(seen)


def test_a_turn_inside_a_task_of_another_loop_leaves_that_task_current(loop: WorkflowLoop) -> None:
    async def outside() -> None:
        me = asyncio.current_task()
        loop.start(asyncio.sleep(0))
        loop.turn(100.0)
        assert asyncio.current_task() is me
        await asyncio.sleep(0)

    asyncio.run(outside())
    assert loop.ended


def test_a_future_is_resolved_inside_a_turn_only(loop: WorkflowLoop) -> None:
    call = loop.create_future()

    async def main() -> Any:
        return await call

    task = loop.start(main())
    loop.turn(100.0)
    with pytest.raises(NotDurable, match="outside a turn"):
        call.set_result("too early")
    loop.evict()
    assert not task.done()
