"""Waiting for a run to end: told once, when the end is durable, at no cost to the run."""

from __future__ import annotations

import pytest

from tests.actors.world import SlowStore, living, run, starting
from understudy import App
from understudy_runtime.core.messages import Describe
from understudy_runtime.storage.memory import MemoryStore

pytestmark = pytest.mark.anyio

app = App("watching")


@app.task
def step() -> str:
    return "a"


@app.workflow
async def one_task() -> str:
    return await step()


async def test_waiting_for_a_run_in_memory_costs_no_turn() -> None:
    async with living([app], MemoryStore()) as world:
        await world.ask(run("one"), starting("one_task"))
        turns = world.engine.turns
        ends = world.watch(run("one"))
        await world.breathe()
        assert world.engine.turns == turns
        await world.until(lambda: bool(ends))
        assert [end.status for end in ends] == ["succeeded"]


async def test_whoever_comes_when_the_run_has_ended_but_its_end_is_not_durable_waits_for_that() -> None:
    store = SlowStore()
    async with living([app], store) as world:
        await world.ask(run("one"), starting("one_task"))
        store.is_slow = True
        world.clock.advance()
        await world.breathe()
        ends = world.watch(run("one"))
        await world.breathe()
        assert ends == []
        store.is_slow = False
        store.answer()
        await world.until(lambda: bool(ends))
        assert [end.status for end in ends] == ["succeeded"]


async def test_a_run_that_ended_long_ago_is_told_of_at_once() -> None:
    async with living([app], MemoryStore()) as world:
        await world.ask(run("one"), starting("one_task"))
        await world.result(run("one"))
        assert (await world.result(run("one"))).status == "succeeded"
        assert (await world.ask(run("one"), Describe())).status == "succeeded"


async def test_a_watch_that_was_taken_back_is_not_told() -> None:
    async with living([app], MemoryStore()) as world:
        await world.ask(run("one"), starting("one_task"))
        told: list[object] = []
        take_back = world.engine.watch(run("one"), told.append)
        ends = world.watch(run("one"))
        take_back()
        await world.until(lambda: bool(ends))
        assert told == []
