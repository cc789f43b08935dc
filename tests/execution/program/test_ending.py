"""How a run ends by itself: nothing it has begun is left behind, and no failure goes unseen."""

# ruff: noqa: RUF006 - a run holds its tasks itself

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator

import pytest

from understudy_runtime.execution.program import WorkflowLoop
from understudy_runtime.execution.program.tasks import SWEEP_AT_LEAST


@pytest.fixture
def loop() -> WorkflowLoop:
    return WorkflowLoop(run_salt=1, now=0.0)


def test_what_main_leaves_behind_is_cancelled_and_awaited_before_the_run_ends(loop: WorkflowLoop) -> None:
    seen: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(5)
            seen.append("cleaned up")

    async def main() -> str:
        asyncio.create_task(background())
        await asyncio.sleep(0)
        return "result"

    task = loop.start(main())
    loop.turn(0.0)
    assert (task.result(), loop.ended, loop.next_deadline()) == ("result", False, 5.0)
    loop.turn(5.0)
    assert (seen, loop.ended) == (["cleaned up"], True)


def test_tasks_begun_while_cleaning_up_are_awaited_by_their_group_and_cancelled_otherwise(loop: WorkflowLoop) -> None:
    seen: list[str] = []

    async def note(text: str) -> None:
        await asyncio.sleep(1)
        seen.append(text)

    async def background() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            async with asyncio.TaskGroup() as group:
                group.create_task(note("in a group"))
            asyncio.create_task(note("on its own"))

    async def main() -> None:
        asyncio.create_task(background())
        await asyncio.sleep(0)

    loop.start(main())
    loop.turn(0.0)
    loop.turn(1.0)
    assert (seen, loop.ended) == (["in a group"], True)


def test_a_failing_main_ends_its_run_the_same_way(loop: WorkflowLoop) -> None:
    async def main() -> None:
        asyncio.create_task(asyncio.sleep(1000))
        raise ValueError("oh")

    task = loop.start(main())
    loop.turn(0.0)
    assert loop.ended
    assert isinstance(task.exception(), ValueError)
    assert loop.warnings == []


def test_async_generators_are_closed_at_the_end_in_order_of_first_iteration(loop: WorkflowLoop) -> None:
    seen: list[str] = []

    async def numbers(name: str) -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            seen.append(f"closed {name}")

    async def main() -> None:
        for name in ("a", "b", "c"):
            async for _ in numbers(name):
                break
        gc.collect()
        seen.append("main is over")

    loop.start(main())
    loop.turn(0.0)
    assert loop.ended
    assert seen == ["main is over", "closed a", "closed b", "closed c"]


def test_a_generator_that_fails_while_closing_is_a_warning(loop: WorkflowLoop) -> None:
    async def failing() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            raise ValueError("oh")

    async def main() -> None:
        async for _ in failing():
            break

    loop.start(main())
    loop.turn(0.0)
    assert loop.ended
    assert "ValueError('oh')" in loop.warnings[0]


def test_failures_nobody_looked_at_become_warnings_when_the_run_ends(loop: WorkflowLoop) -> None:
    async def fail(text: str) -> None:
        raise ValueError(text)

    async def main() -> None:
        asyncio.create_task(fail("unseen"), name="first")
        seen = asyncio.create_task(fail("seen"))
        asyncio.get_running_loop().create_future().set_exception(ValueError("of a future"))
        await asyncio.wait([seen])
        seen.exception()

    loop.start(main())
    loop.turn(0.0)
    assert loop.ended
    assert loop.warnings == [
        "RunFuture exception was never retrieved: ValueError('of a future')",
        "exception in first was never retrieved: ValueError('unseen')",
    ]


def test_a_failure_nobody_looked_at_is_remembered_however_many_tasks_follow(loop: WorkflowLoop) -> None:
    async def fail() -> None:
        raise ValueError("unseen")

    async def main() -> None:
        asyncio.create_task(fail(), name="first")
        for _ in range(3 * SWEEP_AT_LEAST):
            await asyncio.create_task(asyncio.sleep(0))

    loop.start(main())
    while not loop.ended:
        loop.turn(0.0)
    assert loop.warnings == ["exception in first was never retrieved: ValueError('unseen')"]


def test_finished_tasks_and_generators_are_let_go(loop: WorkflowLoop) -> None:
    async def numbers() -> AsyncGenerator[int, None]:
        yield 1

    async def main() -> None:
        for _ in range(10 * SWEEP_AT_LEAST):
            await asyncio.create_task(asyncio.sleep(0))
            async for _ in numbers():
                pass

    loop.start(main())
    while not loop.ended:
        loop.turn(0.0)
        assert len(loop.tasks) <= SWEEP_AT_LEAST
        assert len(loop._generators.items) <= SWEEP_AT_LEAST


def test_cancelling_main_lets_it_clean_up(loop: WorkflowLoop) -> None:
    async def main() -> str:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
            return "compensated"
        return "slept"

    task = loop.start(main())
    loop.turn(0.0)
    loop.turn(0.5, task.cancel)
    loop.turn(1.5)
    assert task.result() == "compensated"


def test_a_task_spawned_by_the_owner_is_part_of_the_run(loop: WorkflowLoop) -> None:
    seen: list[str] = []

    async def handler() -> None:
        seen.append("handled")
        await asyncio.sleep(1000)

    async def main() -> None:
        await asyncio.sleep(1)

    loop.start(main())
    loop.turn(0.0)
    loop.turn(0.5, lambda: loop.spawn(handler(), "handler"))
    loop.turn(1.0)
    assert (seen, loop.ended) == (["handled"], True)


def test_a_task_that_a_callback_begins_as_main_returns_is_awaited_as_well(loop: WorkflowLoop) -> None:
    seen: list[str] = []

    async def late() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            seen.append("cleaned up")

    def begin_late() -> None:
        asyncio.create_task(late())

    async def main() -> None:
        asyncio.get_running_loop().call_soon(begin_late)

    loop.start(main())
    loop.turn(0.0)
    assert (seen, loop.ended) == (["cleaned up"], True)


def test_a_run_that_leaves_nothing_behind_has_ended_in_the_turn_in_which_main_returns(loop: WorkflowLoop) -> None:
    async def main() -> None:
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))

    loop.start(main())
    loop.turn(0.0)
    assert loop.ended
    loop.evict()
    assert loop.is_closed()
