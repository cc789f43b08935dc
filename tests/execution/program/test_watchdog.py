"""A step that takes too long is interrupted, whatever its code does, and the engine never is.

Time is told to the watchdog from within the step, so nothing here waits; only the last tests use its thread.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from understudy.errors import Stalled
from understudy_runtime.execution.program import Watchdog, WorkflowLoop
from understudy_runtime.execution.program.watchdog import STACK_CHARS_MAX, STEP_LIMIT_S


@pytest.fixture
def watchdog() -> Watchdog:
    return Watchdog()


@pytest.fixture
def loop(watchdog: Watchdog) -> WorkflowLoop:
    return WorkflowLoop(run_salt=1, now=0.0, watchdog=watchdog)


def spend(watchdog: Watchdog, since: float, seconds: float) -> None:
    """What the watchdog sees of a step that takes so long."""
    watchdog.look(since)
    watchdog.look(since + seconds)


def test_a_step_over_the_limit_is_interrupted_with_its_stack(watchdog: Watchdog, loop: WorkflowLoop) -> None:
    async def spins() -> None:
        spend(watchdog, 0.0, STEP_LIMIT_S)
        raise AssertionError("went on")

    loop.start(spins())
    with pytest.raises(Stalled, match="in spins\n"):
        loop.turn(0.0)
    assert asyncio._get_running_loop() is None
    loop.evict()


def test_a_step_within_the_limit_is_not(watchdog: Watchdog, loop: WorkflowLoop) -> None:
    async def works() -> str:
        spend(watchdog, 0.0, STEP_LIMIT_S * 0.99)
        return "done"

    task = loop.start(works())
    loop.turn(0.0)
    assert task.result() == "done"


def test_the_clock_is_per_step_never_per_turn(watchdog: Watchdog, loop: WorkflowLoop) -> None:
    async def many_steps() -> str:
        for number in range(50):
            spend(watchdog, number * 1.5, 1.5)
            await asyncio.sleep(0)
        return "done"

    task = loop.start(many_steps())
    loop.turn(0.0)
    assert task.result() == "done"


def test_the_clock_starts_again_with_each_turn(watchdog: Watchdog, loop: WorkflowLoop) -> None:
    for number in range(50):
        loop.turn(0.0, lambda at=number * 1.5: spend(watchdog, at, 1.5))  # type: ignore[misc]
        loop.steps = 0


def test_the_stall_counts_when_posted_even_if_the_code_swallows_it(watchdog: Watchdog, loop: WorkflowLoop) -> None:
    seen: list[str] = []

    async def swallows() -> None:
        try:
            spend(watchdog, 0.0, STEP_LIMIT_S)
        except BaseException:
            seen.append("swallowed")
        await asyncio.sleep(0)
        seen.append("took another step")

    loop.start(swallows())
    with pytest.raises(Stalled, match="in swallows\n"):
        loop.turn(0.0)
    assert seen == ["swallowed"]
    loop.evict()


def test_after_a_stall_nothing_else_of_the_turn_runs(watchdog: Watchdog, loop: WorkflowLoop) -> None:
    seen: list[str] = []

    async def swallows() -> None:
        try:
            spend(watchdog, 0.0, STEP_LIMIT_S)
        except BaseException:
            seen.append("swallowed")

    async def innocent() -> None:
        seen.append("ran")

    loop.start(swallows())
    loop.spawn(innocent())
    with pytest.raises(Stalled):
        loop.turn(0.0)
    assert seen == ["swallowed"]
    loop.evict()


def test_it_is_posted_again_until_the_turn_ends(watchdog: Watchdog, loop: WorkflowLoop) -> None:
    seen: list[float] = []

    async def swallows_each() -> None:
        watchdog.look(0.0)
        for now in (2.0, 2.25, 2.5, 2.75):
            try:
                watchdog.look(now)
            except BaseException:
                seen.append(now)

    loop.start(swallows_each())
    with pytest.raises(Stalled):
        loop.turn(0.0)
    assert seen == [2.0, 2.25, 2.5, 2.75]
    loop.evict()


def test_turning_a_stall_into_an_exit_is_still_a_stall(watchdog: Watchdog, loop: WorkflowLoop) -> None:
    async def exits() -> None:
        try:
            spend(watchdog, 0.0, STEP_LIMIT_S)
        except Stalled:
            raise SystemExit(0) from None

    loop.start(exits())
    with pytest.raises(Stalled):
        loop.turn(0.0)
    loop.evict()


def test_other_exits_are_not_stalls(loop: WorkflowLoop) -> None:
    async def exits() -> None:
        raise SystemExit(3)

    loop.start(exits())
    with pytest.raises(SystemExit):
        loop.turn(0.0)
    loop.evict()


def test_what_was_posted_and_has_not_arrived_is_withdrawn(watchdog: Watchdog, loop: WorkflowLoop) -> None:
    def post_from_elsewhere() -> None:
        other = threading.Thread(target=spend, args=(watchdog, 0.0, STEP_LIMIT_S))
        other.start()
        try:
            other.join()
        except Stalled:
            other.join()
            raise

    with pytest.raises(Stalled):
        loop.turn(0.0, post_from_elsewhere)
    for _ in range(1000):  # where a leaked one would arrive
        loop.next_deadline()


def test_nothing_is_posted_outside_a_turn(watchdog: Watchdog, loop: WorkflowLoop) -> None:
    loop.turn(0.0)
    spend(watchdog, 0.0, 1000.0)
    assert loop.stalled is None


def test_clean_up_code_of_an_evicted_run_is_watched_too(watchdog: Watchdog, loop: WorkflowLoop) -> None:
    seen: list[str] = []

    async def child(name: str) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            seen.append(name)
            spend(watchdog, 0.0, STEP_LIMIT_S)
            seen.append("went on")

    async def main() -> None:
        await asyncio.gather(child("a"), child("b"))

    loop.start(main())
    loop.turn(0.0)
    loop.evict()
    assert seen[0] == "b"
    assert "a" in seen
    assert "went on" not in seen


def test_a_deep_stack_is_cut(watchdog: Watchdog, loop: WorkflowLoop) -> None:
    def dig(depth: int) -> None:
        if depth == 0:
            spend(watchdog, 0.0, STEP_LIMIT_S)
        else:
            dig(depth - 1)

    with pytest.raises(Stalled, match="in spend") as stalled:
        loop.turn(0.0, lambda: dig(300))
    assert len(str(stalled.value)) <= STACK_CHARS_MAX


@pytest.fixture
def quick() -> Iterator[Watchdog]:
    watchdog = Watchdog(limit_s=0.05)
    watchdog.start()
    yield watchdog
    watchdog.stop()


def test_an_endless_loop_is_stopped_by_the_thread(quick: Watchdog) -> None:
    loop = WorkflowLoop(run_salt=1, now=0.0, watchdog=quick)

    async def spins() -> None:
        while True:
            try:
                while True:
                    pass
            except Exception:
                continue

    loop.start(spins())
    with pytest.raises(Stalled, match="in spins\n"):
        loop.turn(0.0)
    loop.evict()


def test_a_call_into_c_ends_its_turn_when_it_returns(quick: Watchdog) -> None:
    loop = WorkflowLoop(run_salt=1, now=0.0, watchdog=quick)
    seen: list[str] = []

    async def blocks() -> None:
        time.sleep(0.3)  # noqa: ASYNC251 - the fault under test
        await asyncio.sleep(0)
        seen.append("took another step")

    loop.start(blocks())
    with pytest.raises(Stalled, match=r"time\.sleep"):
        loop.turn(0.0)
    assert seen == []
    loop.evict()


def test_no_stall_ever_arrives_outside_its_turn() -> None:
    watchdog = Watchdog(limit_s=0.0)
    over = threading.Event()

    def look_all_the_time() -> None:
        while not over.is_set():
            watchdog.look(0.0)

    lookers = [threading.Thread(target=look_all_the_time) for _ in range(2)]
    for looker in lookers:
        looker.start()
    stalls = turns = last = 0
    try:
        while stalls < 50 or turns < 2000:
            turns += 1
            loop = WorkflowLoop(run_salt=turns, now=0.0, watchdog=watchdog)
            try:
                loop.turn(0.0, lambda: sum(range(2000)))
            except Stalled:
                stalls += 1
            assert (loop.stalled is not None) == (stalls == last + 1), "a Stalled has left a turn it was not meant for"
            last = stalls
            assert asyncio._get_running_loop() is None
    finally:
        over.set()
        for looker in lookers:
            looker.join()
