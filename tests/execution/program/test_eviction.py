"""A run that leaves memory takes no further step, in its own turn or in anyone else's."""

# ruff: noqa: RUF006 - a run holds its tasks itself

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import pytest

from understudy.errors import Evicted
from understudy_runtime.execution.program import WorkflowLoop
from understudy_runtime.execution.program.tasks import is_over

CALLS = ["call_soon", "call_later", "call_at", "time", "create_future", "create_task", "run_in_executor", "is_running"]


@pytest.fixture
def loop() -> WorkflowLoop:
    return WorkflowLoop(run_salt=1, now=0.0)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("call", CALLS)
def test_every_call_of_a_dead_loop_raises_evicted(call: str, loop: WorkflowLoop) -> None:
    loop.evict()
    assert loop.is_closed()
    with pytest.raises(Evicted):
        getattr(loop, call)()


def test_evicting_again_does_nothing(loop: WorkflowLoop) -> None:
    loop.evict()
    loop.evict()


def test_tasks_are_unwound_newest_first_each_as_itself(loop: WorkflowLoop, no_collector: None) -> None:
    where: ContextVar[str] = ContextVar("where")
    seen: list[str] = []

    async def child(name: str) -> None:
        token = where.set(name)
        try:
            await asyncio.sleep(1000)
        finally:
            me = asyncio.current_task()
            seen.append(f"{me.get_name() if me else None} in {where.get()}")
            where.reset(token)

    async def main() -> None:
        for name in ("a", "b", "c"):
            asyncio.create_task(child(name), name=name)
        await asyncio.sleep(1000)

    loop.start(main())
    loop.turn(0.0)
    loop.evict()
    assert seen == ["c in c", "b in b", "a in a"]
    assert asyncio._get_running_loop() is None


def test_clean_up_code_can_do_nothing_durable(loop: WorkflowLoop) -> None:
    seen: list[str] = []

    async def main() -> None:
        try:
            await asyncio.sleep(1000)
        except Exception:
            seen.append("an eviction is no Exception")
        finally:
            for _ in range(3):
                with suppress(BaseException):
                    await asyncio.sleep(0)
                    seen.append("took a step")
            try:
                await asyncio.sleep(1)
            finally:
                seen.append("left")

    task = loop.start(main())
    loop.turn(0.0)
    loop.evict()
    assert seen == ["left"]
    assert not task.done()


def test_code_that_awaits_for_ever_while_evicted_is_left_behind(loop: WorkflowLoop) -> None:
    stubborn = True

    async def main() -> None:
        while stubborn:
            with suppress(BaseException):
                await asyncio.sleep(0)

    coroutine = main()
    loop.start(coroutine)
    loop.turn(0.0)
    loop.evict()
    assert not is_over(coroutine)
    stubborn = False
    coroutine.close()


@pytest.mark.parametrize("awaits", [True, False])
def test_async_generators_are_unwound_where_they_stand(loop: WorkflowLoop, no_collector: None, awaits: bool) -> None:
    seen: list[str] = []

    async def numbers(name: str) -> AsyncGenerator[int, None]:
        try:
            yield 1
            if awaits:
                await asyncio.sleep(1000)
        finally:
            seen.append(name)
            await asyncio.sleep(0)

    async def main() -> None:
        async for _ in numbers("left open"):
            break
        async for _ in numbers("in use"):
            if not awaits:
                await asyncio.sleep(1000)

    loop.start(main())
    loop.turn(0.0)
    loop.evict()
    assert sorted(seen) == ["in use", "left open"]


def test_a_lost_task_is_not_collected_while_its_run_lives(loop: WorkflowLoop) -> None:
    seen: list[str] = []

    async def lost() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            seen.append("unwound")

    async def main() -> None:
        asyncio.create_task(lost())
        await asyncio.sleep(1000)

    loop.start(main())
    loop.turn(0.0)
    gc.collect()
    assert seen == []
    loop.evict()
    assert seen == ["unwound"]


def test_a_broken_off_generator_is_not_collected_while_its_run_lives(loop: WorkflowLoop) -> None:
    seen: list[str] = []

    async def numbers() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            seen.append("closed")

    async def main() -> None:
        async for _ in numbers():
            break
        await asyncio.sleep(1)

    loop.start(main())
    loop.turn(0.0)
    gc.collect()
    assert seen == []
    loop.turn(1.0)
    assert seen == ["closed"]


def test_an_evicted_run_leaves_nothing_in_memory_and_says_nothing(
    loop: WorkflowLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        await asyncio.gather(asyncio.sleep(1000), asyncio.sleep(1000))

    task: Any = weakref.ref(loop.start(main()))
    loop.turn(0.0)
    loop.evict()
    gc.collect()
    assert task() is None
    assert (caplog.records, object.__getattribute__(loop, "warnings")) == ([], [])


def test_an_exception_of_clean_up_code_is_discarded_and_the_rest_goes_on(loop: WorkflowLoop) -> None:
    seen: list[str] = []

    async def child(name: str) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            seen.append(name)
            raise SystemExit(name)

    async def main() -> None:
        await asyncio.gather(child("a"), child("b"))

    loop.start(main())
    loop.turn(0.0)
    loop.evict()
    assert seen == ["b", "a"]
