"""Runs that closed long ago are deleted, and nothing else is disturbed by it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from msgspec import Raw

from tests.actors.world import T0, World, living, run, starting
from understudy import App
from understudy.errors import StoreError
from understudy_runtime.core.messages import Describe, Description, Refused, RetryRun, Started
from understudy_runtime.core.ports import ActorRow
from understudy_runtime.node.retention import PERIOD_S, retaining
from understudy_runtime.storage.memory import MemoryStore

pytestmark = pytest.mark.anyio

DAY_S = 86_400.0
app = App("retention")


@app.workflow
async def brief() -> str:
    return "done"


@app.workflow
async def parent() -> str:
    found = await brief()
    await asyncio.sleep(40 * DAY_S)
    return found


@app.workflow
async def sleeper(days: float) -> str:
    await asyncio.sleep(days * DAY_S)
    return "awake"


class GatedStore(MemoryStore):
    """Deletes when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.gate = asyncio.Event(), asyncio.Event()

    async def delete(self, keys: Sequence[str], before: float) -> int:
        self.asked.set()
        await self.gate.wait()
        return await super().delete(keys, before)


async def is_known(world: World, name: str) -> bool:
    reply = await world.ask(run(name), Describe())
    assert isinstance(reply, Description | Refused)
    return isinstance(reply, Description)


async def test_runs_are_deleted_once_they_have_been_closed_for_so_long() -> None:
    async with living([app], MemoryStore()) as world, retaining(world.engine, world.clock, 30 * DAY_S):
        await world.ask(run("old"), starting("brief"))
        await world.ask(run("long"), starting("sleeper", 29))
        await world.pass_time(29 * DAY_S)
        assert await is_known(world, "old")
        await world.pass_time(DAY_S + PERIOD_S)
        assert not await is_known(world, "old")
        assert await is_known(world, "long"), "what counts is when it closed"
        await world.pass_time(29 * DAY_S)
        assert not await is_known(world, "long")


async def test_a_parent_goes_on_when_the_child_that_it_awaited_is_deleted() -> None:
    async with living([app], MemoryStore(), resident_bytes=1) as world, retaining(world.engine, world.clock, DAY_S):
        await world.ask(run("parent"), starting("parent"))
        await world.pass_time(20 * DAY_S)
        assert [row.key for row in await world_rows(world)] == [run("parent")]
        assert (await world.result(run("parent"))).result == Raw(b'"done"')


async def world_rows(world: World) -> Sequence[ActorRow]:
    return await world.engine._store.rows(namespace="default", kind="run")


async def test_what_comes_while_a_run_is_deleted_finds_none() -> None:
    store = GatedStore()
    async with living([app], store) as world:
        for name in ("again", "retried", "left"):
            await world.ask(run(name), starting("brief"))
        await world.settle()
        deleting = asyncio.create_task(world.engine.delete_closed(T0 + 1, 10))
        await store.asked.wait()
        again = world.deliver(run("again"), starting("brief"))
        retried = world.deliver(run("retried"), RetryRun(None, ""))
        await world.breathe()
        assert (again, retried) == ([], []), "they wait"
        store.gate.set()
        assert await deleting == 3
        await world.settle()
        assert isinstance(again[0], Started)
        assert isinstance(retried[0], Refused)
        assert (await world.result(run("again"))).execution == 1


async def test_runs_in_memory_are_left_for_another_time() -> None:
    async with living([app], MemoryStore()) as world:
        await world.ask(run("old"), starting("brief"))
        await world.settle()
        asked = world.deliver(run("old"), Describe())
        assert await world.engine.delete_closed(T0 + 1, 10) == 0
        await world.settle()
        assert isinstance(asked[0], Description)
        assert await world.engine.delete_closed(T0 + 1, 10) == 1


async def test_a_store_that_fails_is_asked_again_later() -> None:
    class FailingOnce(MemoryStore):
        failed = False

        async def closed_runs(self, before: float, limit: int) -> list[str]:
            if not self.failed:
                self.failed = True
                raise StoreError("away")
            return await super().closed_runs(before, limit)

    async with living([app], FailingOnce()) as world, retaining(world.engine, world.clock, DAY_S):
        await world.ask(run("old"), starting("brief"))
        await world.pass_time(DAY_S + 2 * PERIOD_S)
        assert not await is_known(world, "old")
