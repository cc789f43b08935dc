"""Reminders: an actor has itself told later, whatever becomes of the node meanwhile, and once each time."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.actors.world import T0, RecordedStore, World, cut_after, living, run, starting
from understudy import Actor, App, BadRequest, forget, handler, now, readonly, remind, remind_every
from understudy_runtime.actors.cell import Query
from understudy_runtime.core.actor import MAX_REMINDERS
from understudy_runtime.core.keys import actor_key
from understudy_runtime.core.messages import Deliver, Description, Settled
from understudy_runtime.core.records.deliveries import Delivered

pytestmark = pytest.mark.anyio

app = App("reminded")


class Base(Actor):
    """Handlers that come from a base class are the actor's own."""

    heard: list[str] = []

    @handler
    def note(self, text: str) -> None:
        self.heard.append(f"{text} at {now().timestamp() - T0:g}")

    @readonly
    def all(self) -> list[str]:
        return self.heard


@app.actor
class Clock(Base):
    @handler
    def once(self, id: str, after: float, text: str) -> None:
        remind(id, after, Clock.note, text=text)

    @handler
    def every(self, id: str, interval: float, text: str) -> None:
        remind_every(id, interval, Base.note, text)

    @handler
    def stop(self, id: str) -> None:
        forget(id)

    @handler
    async def busy(self, seconds: float, then_forget: str = "") -> None:
        await asyncio.sleep(seconds)
        if then_forget:
            forget(then_forget)
        self.heard.append("rested")

    @handler
    def change_of_mind(self) -> None:
        remind("a", 1, Clock.note, "a")
        remind("b", 1, Clock.note, "b")
        forget("a")
        remind("b", 2, Clock.note, "b instead")

    @handler
    def fails(self) -> None:
        remind("new", 1, Clock.note, "new")
        forget("old")
        raise ValueError("no")

    @handler
    def too_many(self, count: int) -> int:
        for number in range(count):
            remind(f"r{number}", "1h", Clock.note, "")
        return count

    @handler
    def of_another(self) -> None:
        remind("x", 1, Other.noted)

    @handler
    def hasty(self) -> None:
        remind_every("x", 0.5, Clock.note, "")

    @handler
    def again(self, left: int) -> None:
        self.heard.append(str(left))
        if left:
            remind("again", 0, Clock.again, left - 1)


@app.actor
class Other(Actor):
    @handler
    def noted(self) -> None: ...


@app.workflow
async def reminds() -> str:
    try:
        remind("x", 1, Clock.note, "")
    except BadRequest as error:
        return str(error)
    return "reminded"


CLOCK = actor_key("default", "Clock", "c")
ALL = Query("all", Raw(b'{"args":[],"kwargs":{}}'))


def ask(name: str, *args: Any) -> Deliver:
    return Deliver(name, Raw(msgspec.json.encode({"args": args, "kwargs": {}})), ask=True)


async def heard(world: World) -> list[str]:
    return msgspec.json.decode((await world.ask(CLOCK, ALL)).result, type=list[str])


async def error_of(world: World, message: Deliver) -> str:
    settled = await world.ask(CLOCK, message)
    assert isinstance(settled, Settled)
    assert settled.failure is not None
    return f"{settled.failure.type}: {settled.failure.message}"


async def test_a_reminder_comes_once_at_its_time_and_a_repeated_one_again_and_again() -> None:
    async with living([app], RecordedStore()) as world:
        await world.ask(CLOCK, ask("once", "one", 5, "once"))
        await world.ask(CLOCK, ask("every", "two", 2, "tick"))
        await world.pass_time(7)
        assert await heard(world) == ["tick at 2", "tick at 4", "once at 5", "tick at 6"]
        await world.ask(CLOCK, ask("stop", "two"))
        await world.pass_time(10)
        assert len(await heard(world)) == 4
        assert (await world.describe(CLOCK)).reminders == {}


async def test_the_last_word_about_a_reminder_counts() -> None:
    async with living([app], RecordedStore()) as world:
        await world.ask(CLOCK, ask("once", "a", 1, "replaced"))
        await world.ask(CLOCK, ask("change_of_mind"))
        described: Description = await world.describe(CLOCK)
        assert described.reminders == {"b": T0 + 2}
        await world.pass_time(5)
        assert await heard(world) == ["b instead at 2"]


async def test_a_handler_that_fails_leaves_reminders_as_they_were() -> None:
    async with living([app], RecordedStore()) as world:
        await world.ask(CLOCK, ask("once", "old", 3, "old"))
        assert await error_of(world, ask("fails")) == "ValueError: no"
        await world.pass_time(5)
        assert await heard(world) == ["old at 3"]


async def test_after_times_that_passed_while_no_node_ran_it_comes_once_and_keeps_to_its_times() -> None:
    store = RecordedStore()
    async with living([app], store) as world:
        await world.ask(CLOCK, ask("every", "tick", 10, "tick"))
        await world.ask(CLOCK, ask("once", "once", 15, "once"))
    async with living([app], store, now=T0 + 34) as world:
        await world.pass_time(0.1)
        assert await heard(world) == ["tick at 34", "once at 34"]
        await world.pass_time(17)
        assert (await heard(world))[2:] == ["tick at 40", "tick at 50"]


async def test_an_actor_that_only_waits_for_a_reminder_is_out_of_memory() -> None:
    store = RecordedStore()
    async with living([app], store, resident_bytes=1, window_s=60) as world:
        await world.ask(CLOCK, ask("once", "late", 3600, "late"))
        for name in "abc":  # whoever comes makes it leave
            await world.ask(actor_key("default", "Other", name), ask("noted"))
        assert CLOCK not in world.engine._cells
        before = len(store.written)
        await world.pass_time(3500)
        assert CLOCK not in world.engine._cells
        assert not [write for write in store.written[before:] if write.key == CLOCK], "waiting writes nothing"
        await world.pass_time(110)
        assert await heard(world) == ["late at 3600"]


async def test_a_reminder_waits_for_the_handler_in_flight_which_may_still_forget_it() -> None:
    async with living([app], RecordedStore()) as world:
        await world.ask(CLOCK, ask("once", "kept", 1, "kept"))
        await world.ask(CLOCK, ask("once", "dropped", 2, "dropped"))
        await world.ask(CLOCK, ask("every", "tick", 1, "tick"))
        await world.ask(CLOCK, ask("busy", 3.5, "dropped"))
        await world.pass_time(1.0)
        assert await heard(world) == ["rested", "kept at 3.5", "tick at 3.5", "tick at 4"]


async def test_neither_the_queue_nor_a_short_interval_starves_the_other() -> None:
    async with living([app], RecordedStore()) as world:
        await world.ask(CLOCK, ask("every", "tick", 1, "tick"))
        rests = [world.deliver(CLOCK, ask("busy", 2)) for _ in range(4)]
        await world.until(lambda: all(rests))
        assert (await heard(world))[:7] == [
            "rested", "tick at 2", "rested", "tick at 4", "rested", "tick at 6", "rested",
        ]  # fmt: skip


async def test_it_is_told_once_wherever_the_crash_comes() -> None:
    store = RecordedStore()
    async with living([app], store) as world:
        await world.ask(CLOCK, ask("once", "one", 1, "once"))
        await world.ask(CLOCK, ask("every", "two", 2, "tick"))
        await world.pass_time(5)
        expected = await heard(world)
    assert len(store.written) == 5
    for turns in range(2, 6):
        again = await cut_after(store.written, turns)
        async with living([app], again, now=store.written[turns - 1].at) as world:
            await world.pass_time(T0 + 5 - world.clock.now())
            assert await heard(world) == expected, turns
            history = [record for turn in await world.engine.history(CLOCK) for record in turn.records]
        told = [record.reminder for record in history if isinstance(record, Delivered) and record.reminder]
        assert told == ["one", "two", "two"]


async def test_the_number_of_reminders_is_bounded() -> None:
    async with living([app], RecordedStore()) as world:
        assert (await world.ask(CLOCK, ask("too_many", MAX_REMINDERS))).failure is None
        assert (await world.ask(CLOCK, ask("too_many", 3))).failure is None, "replacing takes no more room"
        refused = await error_of(world, ask("once", "one more", 1, "x"))
        assert refused == f"BadRequest: {MAX_REMINDERS} reminders are set already; forget() some of them first"
        await world.ask(CLOCK, ask("stop", "r7"))
        assert (await world.ask(CLOCK, ask("once", "one more", 1, "x"))).failure is None


async def test_what_cannot_be_reminded_is_refused() -> None:
    async with living([app], RecordedStore()) as world:
        assert "noted is no handler of this actor" in await error_of(world, ask("of_another"))
        assert "0.5 is too short" in await error_of(world, ask("hasty"))
        world.deliver(run("one"), starting("reminds"))
        assert b"reminders are for actors" in bytes((await world.result(run("one"))).result or b"")
    with pytest.raises(BadRequest, match="only inside a handler"):
        remind("x", 1, Clock.note, "")


async def test_an_actor_that_reminds_itself_at_once_lets_others_in() -> None:
    async with living([app], RecordedStore()) as world:
        await world.ask(CLOCK, ask("again", 200))
        await world.ask(actor_key("default", "Other", "o"), ask("noted"))
        await world.pass_time(0.1)
        assert await heard(world) == [str(left) for left in range(200, -1, -1)]
