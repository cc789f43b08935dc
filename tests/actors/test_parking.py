"""Idle actors leave memory, and come back as they were when a message or their time comes."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.actors.world import T0, RecordedStore, living, run, starting
from understudy import Actor, App, Retry, ask, handler, readonly, task_info, wait_until
from understudy_runtime.actors.cell import Query
from understudy_runtime.actors.engine import MAX_MAILBOX
from understudy_runtime.actors.journal import INLINE_BYTES
from understudy_runtime.actors.writing import SNAPSHOT_TURNS
from understudy_runtime.core.keys import actor_key
from understudy_runtime.core.messages import Deliver, Describe, Refused, Started
from understudy_runtime.storage.memory import MemoryStore

pytestmark = pytest.mark.anyio

TINY = 1
"""So many bytes hold no actor: whoever is idle must leave when another comes."""

app = App("parking")


@app.task(retry=Retry(delays=[30, 60]))
def third_time(name: str) -> str:
    if task_info().attempt < 3:
        raise ValueError(name)
    return name


@app.task
def echo(text: str) -> str:
    return text


@app.workflow
async def sleeper(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return asyncio.get_running_loop().time()


@app.workflow
async def retried() -> str:
    return await third_time("a")


@app.workflow
class Box:
    def __init__(self) -> None:
        self.content: list[str] = []

    async def run(self, want: int) -> int:
        await wait_until(lambda: len(self.content) >= want)
        return len(self.content)

    @handler
    def put(self, text: str) -> int:
        self.content.append(text)
        return len(self.content)

    @readonly
    def size(self) -> int:
        return len(self.content)


@app.workflow
async def asks_a_parked_one() -> int:
    await asyncio.sleep(10)
    return await ask("box", Box.put, "from a run")


@app.actor
class Tally(Actor):
    value: int = 0

    @handler
    async def add_later(self) -> int:
        await asyncio.sleep(100)
        self.value += 1
        return self.value

    @handler
    def add(self) -> int:
        self.value += 1
        return self.value

    @readonly
    def current(self) -> int:
        return self.value


def args(*values: Any) -> Raw:
    return Raw(msgspec.json.encode({"args": values, "kwargs": {}}))


TALLY = actor_key("default", "Tally", "t")
CURRENT = Query("current", args())


async def crowd(world: Any, number: int) -> None:
    """Others come, and so the idle ones must leave."""
    for each in range(5):
        await world.ask(run(f"crowd {number}-{each}"), Describe())


async def test_an_actor_whose_key_was_just_made_up_gets_its_message_though_there_is_no_room() -> None:
    async with living([app], MemoryStore(), resident_bytes=TINY) as world:
        for name in "ab":
            reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            world.engine.deliver(run(name), starting("sleeper", 1), reply.set_result, fresh=True)
            assert isinstance(await asyncio.wait_for(reply, 5), Started)


async def test_sleepers_are_not_in_memory_and_wake_on_time() -> None:
    async with living([app], MemoryStore(), resident_bytes=TINY) as world:
        for number in range(100):
            await world.ask(run(str(number)), starting("sleeper", 1000 + number))
        await crowd(world, 1)
        await crowd(world, 2)
        assert world.engine.resident < 5
        for number in range(100):
            described = await world.result(run(str(number)))
            assert described.result == Raw(msgspec.json.encode(T0 + 1000 + number))


@pytest.mark.parametrize("window_s", [60.0, float("inf")])
async def test_sleepers_wake_on_time_after_a_restart(window_s: float) -> None:
    """Those behind the horizon are read from the store when it moves."""
    store = MemoryStore()
    async with living([app], store) as world:
        for number in (1, 10, 50, 61, 100, 1000):
            await world.ask(run(str(number)), starting("sleeper", number))
    async with living([app], store, now=T0 + 5, window_s=window_s, resident_bytes=TINY) as world:
        for number in (1, 10, 50, 61, 100, 1000):
            described = await world.result(run(str(number)))
            assert described.result == Raw(msgspec.json.encode(T0 + max(number, 5))), number


async def test_a_parked_run_waits_for_its_retry() -> None:
    async with living([app], MemoryStore(), resident_bytes=TINY) as world:
        await world.ask(run("one"), starting("retried"))
        await world.pass_time(10)
        await crowd(world, 1)
        await crowd(world, 2)
        assert world.engine.resident < 5
        described = await world.result(run("one"))
    assert described.result == Raw(b'"a"')
    assert 90 < described.closed_at - T0 < 100  # type: ignore[operator]


async def test_a_message_brings_a_parked_run_back_as_it_was() -> None:
    async with living([app], MemoryStore(), resident_bytes=TINY) as world:
        await world.ask(run("box"), starting("Box", 4))
        await world.ask(run("asks"), starting("asks_a_parked_one"))
        for number in range(1, 3):
            assert (await world.ask(run("box"), Deliver("put", args("x"), ask=True))).result == Raw(b"%d" % number)
            await crowd(world, number)
            await crowd(world, number)
            assert world.engine.resident < 5
            assert (await world.ask(run("box"), Query("size", args()))).result == Raw(b"%d" % number)
        assert (await world.result(run("asks"))).result == Raw(b"3")


async def test_a_run_is_brought_back_once_however_many_turns_wait_for_it() -> None:
    made: list[str] = []
    app = App("made")

    @app.workflow
    class Made:
        def __init__(self) -> None:
            made.append("")

        async def run(self) -> str:
            await asyncio.sleep(100)
            return "slept"

        @handler
        def note(self) -> None: ...

    store = MemoryStore()
    async with living([app], store) as world:
        await world.ask(run("one"), starting("Made"))
    async with living([app], store) as world:
        replies = [world.deliver(run("one"), m) for m in (Describe(), Describe(), Deliver("note", args(), ask=True))]
        await world.pass_time(20)
        assert all(replies)
    assert len(made) == 2


async def test_an_actor_keeps_its_state_and_its_place_in_a_handler() -> None:
    async with living([app], MemoryStore(), resident_bytes=TINY) as world:
        await world.ask(TALLY, Deliver("add", args(), ask=True))
        await world.ask(TALLY, Deliver("add_later", args()))
        await world.ask(TALLY, Deliver("add", args()))
        await crowd(world, 1)
        await crowd(world, 2)
        assert TALLY not in world.engine._cells
        assert (await world.ask(TALLY, CURRENT)).result == Raw(b"1")
        await world.pass_time(101)
        assert (await world.ask(TALLY, CURRENT)).result == Raw(b"3")


async def test_who_never_was_leaves_no_trace() -> None:
    """Asking for what does not exist makes nothing that lists would show."""
    store = MemoryStore()
    async with living([app], store, resident_bytes=TINY) as world:
        for _ in range(3):
            assert isinstance(await world.ask(run("nobody"), Query("size", args())), Refused)
            assert isinstance(await world.ask(run("nobody"), Describe()), Refused)
            assert (await world.ask(TALLY, CURRENT)).result == Raw(b"0")
            await crowd(world, 1)
        assert await store.rows(namespace="default") == []
        assert world.engine.resident < 5


async def test_a_loaded_actor_applies_no_more_than_the_turns_since_its_snapshot() -> None:
    store = RecordedStore()
    async with living([app], store) as world:
        for number in range(1, 3 * SNAPSHOT_TURNS):
            assert (await world.ask(TALLY, Deliver("add", args(), ask=True))).result == Raw(b"%d" % number)
        await world.ask(run("box"), starting("Box", 10_000))
        for _ in range(2 * SNAPSHOT_TURNS):
            await world.ask(run("box"), Deliver("put", args("x")))
    await store.open("reader", T0)
    tally, box = await store.load([TALLY, run("box")])
    await store.close()
    assert len(tally.turns) < SNAPSHOT_TURNS
    assert len(box.turns) < SNAPSHOT_TURNS
    async with living([app], store) as world:
        assert (await world.ask(TALLY, CURRENT)).result == Raw(b"%d" % (3 * SNAPSHOT_TURNS - 1))
        assert (await world.ask(run("box"), Query("size", args()))).result == Raw(b"%d" % (2 * SNAPSHOT_TURNS))
        put = await world.ask(run("box"), Deliver("put", args("x"), ask=True))
        assert put.result == Raw(b"%d" % (2 * SNAPSHOT_TURNS + 1))


@pytest.mark.parametrize("size", [INLINE_BYTES - 200, INLINE_BYTES, INLINE_BYTES + 1, 10 * INLINE_BYTES])
async def test_values_of_any_size_come_through_a_restart(size: int) -> None:
    text = "x" * size
    store = RecordedStore()
    async with living([app], store) as world:
        await world.ask(run("box"), starting("Box", 2))
        await world.ask(run("box"), Deliver("put", args(text)))
        await world.ask(run("echo"), starting("echoes", text))
    async with living([app], store, outside=world.outside) as world:
        assert (await world.ask(run("box"), Query("size", args()))).result == Raw(b"1")
        described = await world.result(run("echo"))
        assert described.result == Raw(msgspec.json.encode(text))
        history = await world.engine.history(run("echo"))
        assert text in bytes(msgspec.json.encode(history)).decode()
    large = any(turn.blobs for turn in store.written)
    assert large == (size >= INLINE_BYTES)
    assert all(len(turn.records or b"") < 4 * INLINE_BYTES for turn in store.written)


@app.workflow
async def echoes(text: str) -> str:
    first = await echo(text)
    await asyncio.sleep(1)
    return await echo(first)


async def test_a_value_that_looks_like_a_reference_is_left_alone() -> None:
    store = MemoryStore()
    looks = {"$blob": "0123"}
    async with living([app], store) as world:
        await world.ask(run("echo"), starting("echoes_two", looks, "x" * 2 * INLINE_BYTES))
    async with living([app], store, outside=world.outside) as world:
        described = await world.result(run("echo"))
        assert described.result == Raw(msgspec.json.encode(looks))


@app.workflow
async def echoes_two(small: Any, large: str) -> Any:
    await asyncio.gather(echo("a"), echo(large))
    return small


async def test_a_full_mailbox_refuses_clients_clearly() -> None:
    async with living([app], MemoryStore()) as world:
        await world.ask(TALLY, Deliver("add", args()))
        replies = [world.deliver(TALLY, Deliver("add", args())) for _ in range(MAX_MAILBOX + 1)]
        assert len([reply for reply in replies if reply]) == 1
        [refused] = replies[-1]
        assert isinstance(refused, Refused)
        assert refused.error == "Overloaded"
        await world.settle()
        assert all(replies)
