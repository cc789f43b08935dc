"""Actors that ask each other: asks are durable, may be given up, and fail at once if they could never be answered."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.actors.world import RecordedStore, World, cut_after, living, run, starting
from understudy import Actor, App, AskCycle, AskFailed, ask, call, handler, readonly
from understudy_runtime.actors.cell import Query
from understudy_runtime.core.chains import MAX_CHAIN
from understudy_runtime.core.keys import actor_key
from understudy_runtime.core.messages import Deliver, Settled

pytestmark = pytest.mark.anyio

app = App("asks")


@app.actor
class Node(Actor):
    """Passes an ask on along a path of names; the last one says its name."""

    handled: int = 0
    notes: list[str] = []

    @handler
    async def pass_on(self, path: list[str]) -> str:
        self.handled += 1
        return await Node.at(path[0]).ask(Node.pass_on, path[1:]) if path else "end"

    @handler
    async def patiently(self, path: list[str], seconds: float) -> str:
        """Gives the ask up after so long."""
        try:
            async with asyncio.timeout(seconds):
                return await Node.at(path[0]).ask(Node.slowly, path[1:], 2 * seconds)
        except TimeoutError:
            self.notes.append("given up")
            await asyncio.sleep(3 * seconds)
            return "in time"

    @handler
    async def slowly(self, path: list[str], seconds: float) -> str:
        await asyncio.sleep(seconds)
        return await self.pass_on(path)

    @handler
    async def catches(self, path: list[str]) -> str:
        try:
            return await self.pass_on(path)
        except AskCycle as cycle:
            return f"caught {cycle.message.split(':')[0]}"

    @handler
    async def by_a_child_run(self, path: list[str]) -> str:
        return await call(walk, path)

    @handler
    async def by_a_run(self, run_id: str, path: list[str]) -> str:
        return await ask(run_id, Guide.lead, path)

    @handler
    async def crosswise(self, other: str, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return await Node.at(other).ask(Node.pass_on, [])

    @readonly
    def count(self) -> int:
        return self.handled


@app.workflow
async def walk(path: list[str]) -> str:
    return await Node.at(path[0]).ask(Node.pass_on, path[1:])


@app.workflow
async def walk_aside(path: list[str]) -> str:
    return await call(walk, path)


@app.workflow
class Guide:
    async def run(self, path: list[str]) -> str:
        return await asyncio.sleep(100, "led") if not path else await Node.at(path[0]).ask(Node.by_a_run, "g", path[1:])

    @handler
    async def lead(self, path: list[str]) -> str:
        return await Node.at(path[0]).ask(Node.pass_on, path[1:]) if path else "here"


def asked(name: str, *args: Any) -> Deliver:
    return Deliver(name, Raw(msgspec.json.encode({"args": args, "kwargs": {}})), ask=True)


def node(name: str) -> str:
    return actor_key("default", "Node", name)


async def outcome(world: World, key: str, message: Deliver) -> str:
    """What comes of it without any time passing."""
    replies = world.deliver(key, message)
    await world.settle()
    [settled] = replies
    assert isinstance(settled, Settled)
    if settled.failure is None:
        return msgspec.json.decode(settled.result or b"", type=str)
    return f"{settled.failure.type}: {settled.failure.message}"


@pytest.mark.parametrize(
    ("path", "circle"),
    [
        (["a"], "Node/a → Node/a"),
        (["b", "a"], "Node/a → Node/b → Node/a"),
        (["b", "c", "a"], "Node/a → Node/b → Node/c → Node/a"),
        (["b", "c", "b"], "Node/b → Node/c → Node/b"),
    ],
)
async def test_a_circle_of_asks_fails_at_once_and_is_named(path: list[str], circle: str) -> None:
    async with living([app], RecordedStore()) as world:
        told = await outcome(world, node("a"), asked("pass_on", path))
        assert told.startswith(f"AskCycle: {circle}: each waits for the next"), told
        for name in "abc":
            assert await outcome(world, node(name), asked("pass_on", [])) == "end", "it goes on with the next message"


async def test_whoever_closes_the_circle_may_catch_that() -> None:
    async with living([app], RecordedStore()) as world:
        assert await outcome(world, node("a"), asked("catches", ["a"])) == "caught Node/a → Node/a"


async def test_asking_the_same_actor_twice_along_the_way_is_no_circle_once_it_has_answered() -> None:
    async with living([app], RecordedStore()) as world:
        for _ in range(2):
            assert await outcome(world, node("a"), asked("pass_on", ["b", "c"])) == "end"
        assert (await world.ask(node("c"), Query("count", asked("").args))).result == Raw(b"2")


async def test_circles_through_runs_are_found_too() -> None:
    async with living([app], RecordedStore()) as world:
        told = await outcome(world, node("a"), asked("by_a_child_run", ["b", "a"]))
        assert "Node/a → run actor.Node/a.1.1 → Node/b → Node/a:" in told
        world.deliver(run("g"), starting("Guide", []))
        told = await outcome(world, node("a"), asked("by_a_run", "g", ["b", "a"]))
        assert "Node/a → run g → Node/b → Node/a:" in told


async def test_a_run_in_the_circle_is_none_because_it_takes_messages_side_by_side() -> None:
    async with living([app], RecordedStore()) as world:
        world.deliver(run("g"), starting("Guide", ["a", "b"]))
        await world.settle()
        assert (await world.result(run("g"))).result == Raw(b'"end"')


async def test_actors_that_ask_each_other_at_the_same_time_are_told() -> None:
    async with living([app], RecordedStore()) as world:
        first = world.deliver(node("a"), asked("crosswise", "b", 1))
        second = world.deliver(node("b"), asked("crosswise", "a", 2))
        await world.pass_time(3)
        assert first[0].result == Raw(b'"end"'), "the one that asked first is answered once the other has failed"
        assert second[0].failure.message.startswith("Node/a → Node/b → Node/a: each waits")


async def test_an_ask_that_was_given_up_is_in_nobodys_way() -> None:
    """By then the actor does other things, and whoever still asks it waits for its turn."""
    async with living([app], RecordedStore()) as world:
        replies = world.deliver(node("a"), asked("patiently", ["b", "a"], 1.0))
        await world.until(lambda: bool(replies))
        assert replies[0].result == Raw(b'"in time"'), "the late answer is dropped"
        await world.pass_time(5)
        assert (await world.ask(node("a"), Query("count", asked("").args))).result == Raw(b"1")
        assert (await world.describe(node("b"))).result == Raw(b'{"handled":1,"notes":[]}')


async def test_chains_are_bounded() -> None:
    async with living([app], RecordedStore()) as world:
        path = [f"n{number}" for number in range(MAX_CHAIN + 1)]
        assert await outcome(world, node("first"), asked("pass_on", path[:-1])) == "end"
        told = await outcome(world, node("first"), asked("pass_on", path))
        assert f"more than {MAX_CHAIN} calls wait for one another: Node/first → Node/n0 →" in told


async def test_runs_that_call_runs_are_no_chain() -> None:
    store = RecordedStore()
    async with living([app], store) as world:
        world.deliver(run("one"), starting("walk_aside", ["a"]))
        assert (await world.result(run("one"))).result == Raw(b'"end"')
    assert not [write for write in store.written if b'"chain"' in (write.records or b"")]


@pytest.mark.parametrize("path", [["b", "c"], ["b", "c", "a"]])
async def test_an_ask_is_answered_once_wherever_the_crash_comes(path: list[str]) -> None:
    """Between each sender's commit and the receiver's turn, and between the answer's and the asker's."""
    store = RecordedStore()
    async with living([app], store) as world:
        world.deliver(run("one"), starting("walk", ["a", *path]))
        whole = await world.result(run("one"))
    assert len(store.written) > 2 * len(path)
    for turns in range(1, len(store.written)):
        async with living([app], await cut_after(store.written, turns)) as world:
            again = await world.result(run("one"))
            assert (again.status, again.result, again.turns) == (whole.status, whole.result, whole.turns), turns
            for name in "abc":
                assert (await world.describe(node(name))).queued == 0
                assert await outcome(world, node(name), asked("pass_on", [])) == "end"


async def test_an_ask_of_an_actor_that_fails_says_how() -> None:
    async with living([app], RecordedStore()) as world:
        assert "UnknownName" in await outcome(world, node("a"), asked("nothing"))
    with pytest.raises(AskFailed, match="x: y"):
        raise AskFailed("x", "y")
