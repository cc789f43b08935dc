"""A held actor waits for a person: it loses nothing, says why, and goes on when code that fits is deployed."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.actors.world import RecordedStore, living, run, starting
from understudy import Actor, App, handler, readonly, wait_until
from understudy_runtime.actors.cell import Query
from understudy_runtime.core.keys import actor_key
from understudy_runtime.core.messages import Accepted, Deliver, Hold, Refused, Release, RetryRun, Settled, Terminate
from understudy_runtime.core.records.programs import Held, Released
from understudy_runtime.execution.program import Watchdog

pytestmark = pytest.mark.anyio


def trip(*, through: str) -> App:
    """An app whose workflow goes by one way or another; `through` says which code is deployed."""
    app = App("trips")

    @app.task
    def visit(place: str) -> str:
        return place

    @app.task
    def pack() -> str:
        return "packed"

    @app.workflow
    class Trip:
        def __init__(self) -> None:
            self.seen: list[str] = []

        async def run(self) -> list[str]:
            if through == "packing":
                await pack()
            self.seen.append(await visit("Rome"))
            await asyncio.sleep(100)
            self.seen.append(await visit("Oslo"))
            await wait_until(lambda: "home" in self.seen)
            return self.seen

        @handler
        def note(self, text: str) -> int:
            self.seen.append(text)
            return len(self.seen)

        @readonly
        def places(self) -> list[str]:
            return self.seen

    return app


def args(*values: Any) -> Raw:
    return Raw(msgspec.json.encode({"args": values, "kwargs": {}}))


def note(text: str) -> Deliver:
    return Deliver("note", args(text), ask=True)


PLACES = Query("places", args())
ONE = run("one")


async def diverged() -> RecordedStore:
    """A store in which a run is held: its code was changed while it slept."""
    store = RecordedStore()
    async with living([trip(through="Rome")], store) as world:
        await world.ask(ONE, starting("Trip"))
        await world.pass_time(10)
    async with living([trip(through="packing")], store, now=world.clock.now()) as world:
        held = await world.result(ONE)
        assert held.status == "held"
        assert held.held is not None
        assert held.held.why == "diverged"
        assert held.held.detail == (
            "turn 1: the journal says (-), the code now does (+):\n- call 1: task visit\n+ call 1: task pack"
        )
    return store


async def test_a_diverged_run_goes_on_when_code_that_fits_is_deployed() -> None:
    store = await diverged()
    async with living([trip(through="Rome")], store, now=2e6) as world:
        assert (await world.ask(ONE, note("home"))).result == Raw(b"2")
        assert (await world.result(ONE)).result == Raw(b'["Rome","home","Oslo"]')
        assert [e.task for e in world.outside.effects] == ["visit"]


async def test_a_diverged_run_stays_held_while_the_code_does_not_fit() -> None:
    store = await diverged()
    before = len(store.written)
    async with living([trip(through="packing")], store, now=2e6) as world:
        refused = await world.ask(ONE, Release())
        assert isinstance(refused, Refused)
        assert "+ call 1: task pack" in refused.message
        read = await world.ask(ONE, PLACES)
        assert isinstance(read, Refused)
        assert "+ call 1: task pack" in read.message
        assert (await world.describe(ONE)).status == "held"
    assert len(store.written) == before, "a restart that changes nothing writes nothing"


async def test_what_is_told_while_it_is_held_is_handed_over_with_its_release() -> None:
    store = await diverged()
    async with living([trip(through="packing")], store, now=2e6) as world:
        asked = world.deliver(ONE, note("told while held"))
        await world.settle()
        assert not asked
    async with living([trip(through="Rome")], store, now=2e6 + 1) as world:
        await world.settle()
        seen = (await world.ask(ONE, PLACES)).result
        assert "told while held" in bytes(seen or b"").decode()


async def test_reading_a_held_run_does_not_lose_what_comes_after() -> None:
    """Reading brings the program back as it was when it was held; what is told then must still reach it."""
    async with living([trip(through="Rome")], RecordedStore()) as world:
        await world.ask(ONE, starting("Trip"))
        await world.pass_time(10)
        world.deliver(ONE, Hold("poisoned", "for a test"))
        first = world.deliver(ONE, note("first"))
        assert (await world.ask(ONE, PLACES)).result == Raw(b'["Rome"]')
        second = world.deliver(ONE, note("second"))
        await world.settle()
        assert await world.ask(ONE, Release()) == Accepted()
        await world.settle()
        assert [reply.result for reply in (*first, *second)] == [Raw(b"2"), Raw(b"3")]
        assert (await world.ask(ONE, PLACES)).result == Raw(b'["Rome","first","second"]')


@pytest.mark.parametrize("restart", [False, True])
async def test_a_released_run_wakes_at_its_time(restart: bool) -> None:
    store = RecordedStore()
    async with living([trip(through="Rome")], store) as world:
        await world.ask(ONE, starting("Trip"))
        await world.pass_time(10)
        world.deliver(ONE, Hold("stalled", "for a test"))
        await world.pass_time(10)
        if not restart:
            await world.ask(ONE, Release())
            await world.pass_time(100)
            assert (await world.ask(ONE, PLACES)).result == Raw(b'["Rome","Oslo"]')
    async with living([trip(through="Rome")], store, now=world.clock.now()) as world:
        await world.pass_time(100)
        assert (await world.ask(ONE, PLACES)).result == Raw(b'["Rome","Oslo"]')


async def test_a_held_run_can_be_ended_read_and_retried() -> None:
    async with living([trip(through="Rome")], RecordedStore()) as world:
        await world.ask(ONE, starting("Trip"))
        await world.pass_time(10)
        world.deliver(ONE, Hold("poisoned", "for a test"))
        asked = world.deliver(ONE, note("never seen"))
        assert await world.ask(ONE, Terminate("enough")) == Accepted()
        assert isinstance(asked[0], Settled)
        assert asked[0].failure is not None
        assert (await world.ask(ONE, PLACES)).result == Raw(b'["Rome"]')
        assert (await world.ask(ONE, RetryRun())).execution == 2
        await world.pass_time(200)
        assert (await world.ask(ONE, PLACES)).result == Raw(b'["Rome","Oslo"]')


# --- the watchdog


def spinning(*, spins: bool) -> App:
    app = App("spinning")

    @app.task
    def step() -> int:
        return 1

    @app.workflow
    async def count() -> int:
        value = await step()
        while spins:
            pass
        return value + await step()

    @app.actor
    class Tally(Actor):
        value: int = 0

        @handler
        def add(self) -> int:
            self.value += 1
            while spins and self.value == 2:
                pass
            return self.value

    return app


TALLY = actor_key("default", "Tally", "t")
ADD = Deliver("add", args(), ask=True)


@pytest.fixture
def watchdog() -> Generator[Watchdog]:
    dog = Watchdog(limit_s=0.05)
    dog.start()
    yield dog
    dog.stop()


async def test_a_spinning_run_is_held_with_its_stack_and_goes_on_with_better_code(watchdog: Watchdog) -> None:
    store = RecordedStore()
    async with living([spinning(spins=True)], store, watchdog=watchdog) as world:
        world.deliver(ONE, starting("count"))
        held = (await world.result(ONE)).held
        assert held is not None
        assert held.why == "stalled"
        assert "in count\n" in held.detail
    async with living([spinning(spins=False)], store, now=world.clock.now(), outside=world.outside) as world:
        assert (await world.result(ONE)).result == Raw(b"2")
        history = [record for turn in await world.engine.history(ONE) for record in turn.records]
        assert [type(record) for record in history if isinstance(record, Held | Released)] == [Held, Released]
    assert [effect.key for effect in world.outside.effects] == [f"{ONE}:1:1", f"{ONE}:1:2"]


async def test_a_spinning_actor_is_held_and_its_queue_goes_on_with_better_code(watchdog: Watchdog) -> None:
    store = RecordedStore()
    async with living([spinning(spins=True)], store, watchdog=watchdog) as world:
        assert (await world.ask(TALLY, ADD)).result == Raw(b"1")
        waiting = [world.deliver(TALLY, ADD) for _ in range(2)]
        await world.settle()
        described = await world.describe(TALLY)
        assert described.held is not None
        assert "in add\n" in described.held.detail
        assert waiting == [[], []]
    async with living([spinning(spins=False)], store) as world:
        await world.settle()
        assert (await world.ask(TALLY, ADD)).result == Raw(b"4")
