"""The output gate: what a turn decided is let out when the turn is durable, and behind what earlier turns let out.

Durable means that the store has said so: here a store says so when the test lets it.
"""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.actors.world import SlowStore, World, living, run, starting
from understudy import Actor, App, handler, readonly, wait_until
from understudy.errors import StoreError
from understudy_runtime.actors.cell import Query
from understudy_runtime.actors.committer import MAX_BATCH_TURNS, RELEASED_AT_ONCE
from understudy_runtime.core.keys import actor_key
from understudy_runtime.core.messages import Accepted, Deliver, Describe, Description, Settled, Started
from understudy_runtime.core.ports import CommitFailed

pytestmark = pytest.mark.anyio

app = App("gate")


@app.task
def step(name: str) -> str:
    return name


@app.workflow
async def one_task() -> str:
    return await step("a")


@app.workflow
async def parent() -> str:
    return await one_task()


@app.workflow
class Box:
    def __init__(self) -> None:
        self.content = 0

    async def run(self) -> int:
        return await wait_until(lambda: self.content > 100 and self.content)

    @handler
    def put(self, content: int) -> int:
        self.content = content
        return content

    @readonly
    def look(self) -> int:
        return self.content


@app.actor
class Tally(Actor):
    value: int = 0

    @handler
    def add(self) -> int:
        self.value += 1
        return self.value

    @readonly
    def current(self) -> int:
        return self.value


def args(*values: Any) -> Raw:
    return Raw(msgspec.json.encode({"args": values, "kwargs": {}}))


def put(content: int) -> Deliver:
    return Deliver("put", args(content), ask=True)


LOOK = Query("look", args())


async def test_nothing_is_let_out_before_it_is_durable() -> None:
    store = SlowStore()
    async with living([app], store) as world:
        store.is_slow = True
        replies = world.deliver(run("one"), starting("one_task"))
        await world.breathe()
        assert (replies, world.outside.effects) == ([], [])
        store.answer()
        await world.breathe()
        assert replies == [Started(1)]
        assert len(world.outside.effects) == 1
        ends = world.watch(run("one"))
        world.clock.advance()
        await world.breathe()
        assert not ends
        store.answer()
        await world.breathe()
        assert [end.status for end in ends] == ["succeeded"]
        store.is_slow = False


async def test_a_message_to_another_actor_reaches_it_only_when_it_is_durable() -> None:
    store = SlowStore()
    async with living([app], store) as world:
        store.is_slow = True
        world.deliver(run("one"), starting("parent"))
        await world.breathe()
        assert world.engine.resident == 1
        store.answer()
        await world.breathe()
        assert world.engine.resident == 2
        store.is_slow = False
        store.answer()


async def test_a_read_waits_for_the_turns_that_it_has_seen() -> None:
    store = SlowStore()
    async with living([app], store) as world:
        await box(world)
        store.is_slow = True
        written = world.deliver(run("box"), put(7))
        read = world.deliver(run("box"), LOOK)
        described = world.deliver(run("box"), Describe())
        await world.breathe()
        assert (written, read, described) == ([], [], [])
        store.answer()
        await world.breathe()
        assert [reply.result for reply in (*written, *read)] == [Raw(b"7"), Raw(b"7")]
        assert isinstance(described[0], Description)
        store.is_slow = False


async def test_a_read_that_has_seen_only_what_is_durable_does_not_wait() -> None:
    store = SlowStore()
    async with living([app], store) as world:
        await box(world)
        await world.ask(run("box"), put(7))
        store.is_slow = True
        other = world.deliver(run("other"), starting("one_task"))
        assert (await settled(world, run("box"), LOOK)).result == Raw(b"7")
        assert not other
        store.is_slow = False
        store.answer()


async def test_replies_come_in_the_order_of_the_turns() -> None:
    store = SlowStore()
    async with living([app], store) as world:
        await box(world)
        store.is_slow = True
        order: list[int] = []
        messages = [message for number in range(1, 4) for message in (put(number), LOOK, Describe())]
        for place, message in enumerate(messages):
            world.engine.deliver(run("box"), message, partial(_note, order, place))
        for _ in range(6):
            await world.breathe()
            store.answer()
        await world.breathe()
        assert order == list(range(len(messages)))
        store.is_slow = False


async def test_reads_beyond_the_size_of_a_batch_let_no_write_slip_out_with_them() -> None:
    store = SlowStore()
    async with living([app], store) as world:
        await box(world)
        store.is_slow = True
        first = world.deliver(run("other"), starting("one_task"))
        await world.breathe()
        reads = [world.deliver(run("box"), Describe()) for _ in range(MAX_BATCH_TURNS)]
        written = world.deliver(run("box"), put(7))
        await world.breathe()
        store.answer()
        await world.breathe()
        assert first == [Started(1)]
        assert all(reads)
        assert not written
        store.answer()
        await world.breathe()
        assert written[0].result == Raw(b"7")
        store.is_slow = False


async def test_a_large_batch_is_let_out_in_slices_and_in_order() -> None:
    count = 2 * RELEASED_AT_ONCE + 1
    store = SlowStore()
    async with living([app], store) as world:
        await box(world)
        store.is_slow = True
        first = world.deliver(run("other"), starting("one_task"))
        await world.breathe()
        order: list[int] = []

        def answered(number: int, _: object) -> None:
            order.append(number)

        for number in range(count):
            world.engine.deliver(run("box"), put(number), partial(answered, number))
        await world.breathe()
        store.answer()
        await world.breathe()
        assert (len(first), order) == (1, [])
        store.answer()
        seen = [0]
        while len(order) < count:
            await asyncio.sleep(0)
            seen.append(len(order))
        assert order == list(range(count))
        assert max(after - before for before, after in pairwise(seen)) == RELEASED_AT_ONCE
        store.is_slow = False


async def test_a_failed_commit_acknowledges_nothing_and_stops_the_node() -> None:
    store = SlowStore()
    async with living([app], store) as world:
        await box(world)
        ends = world.watch(run("box"))
        store.is_slow = True
        running = world.deliver(run("one"), starting("one_task"))
        await world.breathe()
        waiting = [
            world.deliver(run("box"), put(7)),
            world.deliver(run("box"), LOOK),
            world.deliver(run("x"), Describe()),
        ]
        await world.breathe()
        store.error = CommitFailed("the disk is full")
        store.answer()
        await world.breathe()
        later = world.deliver(run("box"), put(8))
        await world.breathe()
        for replies in (running, *waiting, ends, later):
            assert [type(reply) for reply in replies] == [StoreError]
            assert "the disk is full" in str(replies[0])
        assert not world.outside.effects
        assert len(world.failures) == 1
        assert world.engine.resident == 0
    store.is_slow, store.error = False, None
    async with living([app], store) as world:
        described = await world.describe(run("box"))
        assert described.turns == 1
        assert (await settled(world, run("box"), LOOK)).result == Raw(b"0")
        assert (await world.ask(run("one"), starting("one_task"))) == Started(1)
        assert (await world.result(run("one"))).status == "succeeded"


async def test_a_failed_commit_fails_at_any_point_of_a_run_and_the_next_start_goes_on() -> None:
    """The disk is full at the n-th commit, for every n."""
    for number in range(1, 5):
        store = FullAfter(number)
        async with living([app], store) as world:
            world.deliver(run("one"), starting("parent"))
            ends = world.watch(run("one"))
            await world.until(partial(bool, ends))
            assert isinstance(ends[0], StoreError)
            effects = len(world.outside.effects)
        store.left = 1_000
        async with living([app], store, outside=world.outside) as world:
            world.deliver(run("one"), starting("parent"))
            described = await world.result(run("one"))
            assert described.result == Raw(b'"a"')
            assert {effect.key for effect in world.outside.effects} == {"default/run/one.1.1:1:1"}
            assert len(world.outside.effects) - effects <= 1


class FullAfter(SlowStore):
    """Fails at a commit."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.left = number

    def answer(self) -> None:
        self.left -= 1
        self.error = CommitFailed("the disk is full") if self.left <= 0 else None
        super().answer()


async def test_closing_answers_everybody_who_waits() -> None:
    store = SlowStore()
    async with living([app], store) as world:
        await box(world)
        ends = world.watch(run("box"))
        store.is_slow = True
        committing = world.deliver(run("one"), starting("one_task"))
        await world.breathe()
        closing = asyncio.ensure_future(world.engine.close())
        await world.breathe()
        mailed = world.deliver(run("box"), put(1))
        store.is_slow = False
        store.answer()
        await closing
        after = world.deliver(run("box"), put(1))
        assert committing == [Started(1)]
        for replies in (ends, mailed, after):
            assert [type(reply) for reply in replies] == [StoreError]


async def test_actors_pass_the_same_gate() -> None:
    store = SlowStore()
    async with living([app], store) as world:
        store.is_slow = True
        key = actor_key("default", "Tally", "t")
        told = world.deliver(key, Deliver("add", args()))
        asked = world.deliver(key, Deliver("add", args(), ask=True))
        read = world.deliver(key, Query("current", args()))
        await world.breathe()
        assert (told, asked, read) == ([], [], [])
        store.answer()
        await world.breathe()
        store.answer()
        await world.breathe()
        assert told == [Accepted()]
        assert [reply.result for reply in (*asked, *read)] == [Raw(b"2"), Raw(b"2")]
        store.is_slow = False


def _note(order: list[int], place: int, reply: Any) -> None:
    order.append(place)


async def box(world: World) -> None:
    await world.ask(run("box"), starting("Box"))


async def settled(world: World, key: str, query: Query) -> Settled:
    replies = world.deliver(key, query)
    await world.breathe()
    assert isinstance(replies[0], Settled)
    return replies[0]
