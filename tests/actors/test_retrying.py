"""A retried run does again only what has to be done again, and says beforehand what that is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.actors.world import Outside, RecordedStore, World, cut_after, living, run, starting
from understudy import App, BadRequest, call, continue_as_new, task_info
from understudy.door import RetryPlan
from understudy_runtime.core.messages import Describe, Description
from understudy_runtime.execution.programs import AppPrograms
from understudy_runtime.node.retrying import retry

pytestmark = pytest.mark.anyio

ONE = run("one")


def shop(*, broken: bool) -> App:
    """An app that is mended between executions."""
    app = App("shop")

    @app.task
    def pick(item: str) -> str:
        return item

    @app.task
    def pack(items: list[str]) -> str:
        if broken:
            raise OSError("no paper")
        return "+".join(items)

    @app.task
    def where() -> str:
        return task_info().key

    @app.workflow
    async def order(items: list[str]) -> list[str]:
        picked = [await pick(item) for item in items]
        return [await pack(picked), await where()]

    @app.workflow
    async def parcel() -> str:
        return await pack(["a"])

    @app.workflow
    async def orders() -> str:
        first = await pick("first")
        return first + await call(parcel, id="parcel")

    @app.workflow(timeout=5)
    async def slow_child() -> None:
        await asyncio.sleep(100)

    @app.workflow
    async def patient() -> None:
        await slow_child()

    @app.workflow
    async def for_ever(n: int) -> None:
        await pick("a")
        if broken:
            await pack([])
        continue_as_new(n + 1)

    return app


@asynccontextmanager
async def failed(store: RecordedStore, *start: Any) -> AsyncGenerator[World, None]:
    """A node with mended code, over a store in which the run has failed."""
    async with living([shop(broken=True)], store) as world:
        await world.ask(ONE, starting(*start))
        assert (await world.result(ONE)).status == "failed"
    async with living([shop(broken=False)], store, now=world.clock.now()) as world:
        yield world


async def retried(
    world: World, input: Any = None, *, redo: Sequence[str] = (), keep: Sequence[str] = (), dry_run: bool = False
) -> RetryPlan:
    programs = AppPrograms([shop(broken=False)], None)
    encoded = None if input is None else Raw(msgspec.json.encode({"args": [input], "kwargs": {}}))
    now = world.clock.now()
    work = retry(world.engine, programs, ONE, encoded, "", redo=redo, keep=keep, dry_run=dry_run, now=now)
    return await asyncio.wait_for(work, 5)


async def result(world: World) -> Any:
    described = await world.result(ONE)
    assert described.status == "succeeded", described.failure
    return msgspec.json.decode(described.result or b"null")


def done(world: World) -> list[str]:
    return [effect.task for effect in world.outside.effects]


async def test_what_had_finished_is_not_done_again() -> None:
    async with failed(RecordedStore(), "order", ["a", "b"]) as world:
        plan = await retried(world)
        assert (plan.execution, plan.reused, plan.redone) == (2, ("pick#1", "pick#2"), ("pack#1",))
        assert await result(world) == ["a+b", f"{ONE}:2:4"]
        assert done(world) == ["pack", "where"]


async def test_only_what_a_new_input_touches_is_done_again() -> None:
    async with failed(RecordedStore(), "order", ["a", "b", "c"]) as world:
        plan = await retried(world, ["a", "x", "c"])
        assert (plan.reused, plan.redone) == (("pick#1",), ("pick#2",))
        assert (await result(world))[0] == "a+x+c"
        assert done(world) == ["pick", "pack", "where"]


async def test_what_is_named_is_done_again_or_kept() -> None:
    async with failed(RecordedStore(), "order", ["a", "b"]) as world:
        plan = await retried(world, redo=["pick"])
        assert plan.reused == ()
        assert (await result(world))[0] == "a+b"
        assert done(world) == ["pick", "pick", "pack", "where"]
    async with failed(RecordedStore(), "order", ["a", "b"]) as world:
        plan = await retried(world, ["x", "y", "z"], keep=["pick"])
        assert (plan.reused, plan.redone) == (("pick#1", "pick#2"), ("pick#3",))
        assert (await result(world))[0] == "a+b+z"


async def test_a_dry_run_does_nothing() -> None:
    store = RecordedStore()
    async with failed(store, "order", ["a", "b"]) as world:
        before = len(store.written)
        plan = await retried(world, dry_run=True)
        assert (plan.dry_run, plan.execution) == (True, 2)
        assert plan.ends == "it waits for task pack#1 then; what it does next depends on what comes of that"
        await world.settle()
        assert len(store.written) == before
        assert (await world.describe(ONE)).status == "failed"


async def test_names_of_tasks_that_did_not_finish_are_refused() -> None:
    async with failed(RecordedStore(), "order", ["a"]) as world:
        with pytest.raises(BadRequest, match="finished no task pack; it finished: pick"):
            await retried(world, keep=["pack"])


async def test_only_an_ended_run_can_be_retried() -> None:
    async with failed(RecordedStore(), "order", ["a"]) as world:
        await retried(world)
        with pytest.raises(BadRequest, match="only an ended run"):
            await retried(world)


async def test_a_crash_in_the_second_execution_does_not_lose_what_the_first_had_done() -> None:
    store = RecordedStore()
    async with failed(store, "order", ["a", "b", "c"]) as world:
        before = len(store.written)
        await retried(world)
        await result(world)
    for turns in range(before + 1, len(store.written) + 1):
        async with living([shop(broken=False)], await cut_after(store.written, turns), outside=Outside()) as world:
            assert (await result(world))[0] == "a+b+c"
            assert "pick" not in done(world)


async def test_a_child_with_an_id_of_its_own_is_done_again_with_its_parent() -> None:
    async with failed(RecordedStore(), "orders") as world:
        await retried(world)
        assert await result(world) == "firsta"
        parcel = await world.ask(run("parcel"), Describe())
        assert isinstance(parcel, Description)
        assert (parcel.status, parcel.execution) == ("succeeded", 2)
        assert done(world) == ["pack"]


async def test_a_plan_ends_even_if_the_run_never_does() -> None:
    async with failed(RecordedStore(), "for_ever", 0) as world:
        plan = await retried(world, dry_run=True)
        assert (plan.execution, plan.reused, plan.redone) == (2, ("pick#1",), ())
        assert plan.ends == "it continues as new then, and the next execution reuses nothing"


async def test_a_plan_that_reaches_a_child_or_an_end_says_so() -> None:
    async with failed(RecordedStore(), "orders") as world:
        assert (await retried(world, dry_run=True)).ends.startswith("it waits for child run parcel then")
    async with failed(RecordedStore(), "order", ["a"]) as world:
        plan = await retried(world, ["a", "b"], keep=["pick"], dry_run=True)
        assert plan.ends.startswith("it waits for task pick#2 then")


async def test_a_child_has_the_deadline_of_its_workflow() -> None:
    async with living([shop(broken=False)], RecordedStore()) as world:
        world.deliver(ONE, starting("patient"))
        described = await world.result(ONE)
        assert described.failure is not None
        assert described.failure.type == "RunTimedOut"
        assert world.clock.now() - world.began < 6
