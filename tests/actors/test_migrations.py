"""State of an earlier version is migrated; if it cannot be, its actor is held, and goes on with code that fits."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.actors.world import RecordedStore, World, living, run, starting
from understudy import Actor, App, BadDefinition, handler, readonly
from understudy_runtime.actors.cell import Query
from understudy_runtime.core.keys import actor_key
from understudy_runtime.core.messages import Accepted, Deliver, Refused, Release
from understudy_runtime.core.records.actors import StateSet
from understudy_runtime.core.records.deliveries import Delivered
from understudy_runtime.core.records.programs import Held, Released
from understudy_runtime.execution.program import Watchdog

pytestmark = pytest.mark.anyio

PURSE = actor_key("default", "Purse", "p")
ONE = run("one")


def cents() -> App:
    """The first release: an amount in whole coins. Nobody thought of versions then."""
    app = App("purses")

    @app.actor
    class Purse(Actor):
        coins: int = 0

        @handler
        async def put(self, amount: int) -> int:
            await asyncio.sleep(amount)
            self.coins += amount
            return self.coins

        @readonly
        def look(self) -> int:
            return self.coins

    @app.workflow
    async def puts(amount: int) -> int:
        return await Purse.at("p").ask(Purse.put, amount)

    return app


def by_currency(version: int = 2, how: str = "well") -> App:
    app = App("purses")

    @app.actor(version=version)
    class Purse(Actor):
        coins: dict[str, int] = {}

        @classmethod
        def migrate(cls, state: dict[str, Any], version: int) -> dict[str, Any]:
            match how:
                case "raises":
                    raise KeyError("coins")
                case "nonsense":
                    return {"coins": "many"}
                case "spins":
                    while True:
                        pass
                case "nothing":
                    return None  # type: ignore[return-value]
                case _:
                    return {"coins": {"eur": state["coins"]}} if version == 1 else state

        @handler
        async def put(self, amount: int) -> int:
            await asyncio.sleep(amount)
            self.coins["eur"] = self.coins.get("eur", 0) + amount
            return self.coins["eur"]

        @handler
        def nothing(self) -> None: ...

        @handler
        def fail(self) -> None:
            self.coins = {}
            raise ValueError

        @readonly
        def look(self) -> int:
            return self.coins.get("eur", 0)

    @app.workflow
    async def puts(amount: int) -> int:
        return await Purse.at("p").ask(Purse.put, amount)

    return app


def args(*values: Any) -> Raw:
    return Raw(msgspec.json.encode({"args": values, "kwargs": {}}))


def ask(name: str, *values: Any) -> Deliver:
    return Deliver(name, args(*values), ask=True)


LOOK = Query("look", args())


async def purse_of(coins: int) -> RecordedStore:
    store = RecordedStore()
    async with living([cents()], store) as world:
        assert (await world.ask(PURSE, ask("put", coins))).result == Raw(b"%d" % coins)
    return store


@pytest.fixture
def watchdog() -> Generator[Watchdog]:
    dog = Watchdog(limit_s=0.05)
    dog.start()
    yield dog
    dog.stop()


async def states(world: World) -> list[tuple[bytes, int]]:
    """All that were stored, with their versions."""
    records = [record for turn in await world.engine.history(PURSE) for record in turn.records]
    return [(bytes(record.state), record.version) for record in records if isinstance(record, StateSet)]


async def test_an_older_state_is_migrated_and_stored_with_the_next_change() -> None:
    store = await purse_of(3)
    async with living([by_currency()], store, now=2e6) as world:
        assert (await world.ask(PURSE, LOOK)).result == Raw(b"3")
        assert len(await states(world)) == 1, "looking writes nothing"
        assert (await world.ask(PURSE, ask("fail"))).failure.type == "ValueError"
        assert (await world.ask(PURSE, LOOK)).result == Raw(b"3"), "a handler that fails leaves what was migrated"
        await world.ask(PURSE, ask("nothing"))
        await world.ask(PURSE, ask("nothing"))
        assert await states(world) == [(b'{"coins":3}', 1), (b'{"coins":{"eur":3}}', 2)]
        assert (await world.describe(PURSE)).version == 2
    async with living([by_currency(3)], store, now=3e6) as world:
        assert (await world.ask(PURSE, ask("put", 4))).result == Raw(b"7")
        assert (await states(world))[-1] == (b'{"coins":{"eur":7}}', 3)


async def test_a_new_actor_needs_no_migration() -> None:
    async with living([by_currency(how="raises")], RecordedStore()) as world:
        assert (await world.ask(PURSE, ask("put", 1))).result == Raw(b"1")
        assert await states(world) == [(b'{"coins":{"eur":1}}', 2)]


async def test_a_handler_that_was_in_flight_goes_on_with_the_migrated_state() -> None:
    store = await purse_of(3)
    async with living([cents()], store, now=2e6) as world:
        world.deliver(ONE, starting("puts", 100))
        await world.pass_time(50)
    async with living([by_currency()], store, now=world.clock.now()) as world:
        assert (await world.result(ONE)).result == Raw(b"103")
        assert (await states(world))[-1] == (b'{"coins":{"eur":103}}', 2)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("raises", "migrated from version 1 to 2, failed: KeyError: 'coins'; deploy a migrate() that does it"),
        (
            "nonsense",
            "migrated from version 1 to 2, does not fit: by_currency.<locals>.Purse.coins: Expected `object`",
        ),
        ("nothing", "failed: TypeError: it gave a NoneType, not a dict"),
        ("spins", "failed: Stalled"),
    ],
)
async def test_what_cannot_be_migrated_is_held_and_goes_on_with_code_that_can(
    how: str, why: str, watchdog: Watchdog
) -> None:
    store = await purse_of(3)
    async with living([by_currency(how=how)], store, now=2e6, watchdog=watchdog) as world:
        refused = await world.ask(PURSE, ask("put", 1))
        assert isinstance(refused, Refused)
        assert refused.error == "BadInput"
        assert why in refused.message
        assert (await world.ask(PURSE, Deliver("put", args(1)))) == refused, "tells are refused like asks"
        described = await world.describe(PURSE)
        assert (described.status, described.result) == ("held", Raw(b'{"coins":3}'))
        assert why in (await world.ask(PURSE, LOOK)).message
        assert why in (await world.ask(PURSE, Release())).message
        assert (await world.ask(actor_key("default", "Purse", "q"), ask("put", 1))).result == Raw(b"1")
    async with living([by_currency()], store, now=3e6) as world:
        assert (await world.ask(PURSE, ask("put", 1))).result == Raw(b"4")
        assert (await world.describe(PURSE)).status == "active"


async def test_a_newer_state_waits_for_the_newer_code_and_so_do_messages_of_others() -> None:
    store = RecordedStore()
    async with living([by_currency()], store) as world:
        await world.ask(PURSE, ask("put", 5))
    async with living([cents()], store, now=2e6) as world:
        world.deliver(ONE, starting("puts", 2))
        await world.pass_time(10)
        described = await world.describe(PURSE)
        assert described.held is not None
        assert described.held.detail == (
            "its state is of version 2, and the code here has Purse of version 1; deploy the newer code"
        )
        assert described.queued == 1
        assert (await world.describe(ONE)).status == "running"
    before = len(store.written)
    async with living([cents()], store, now=3e6) as world:
        await world.pass_time(10)
        assert (await world.describe(PURSE)).queued == 1
    assert len(store.written) == before, "a restart that changes nothing writes nothing"
    async with living([by_currency()], store, now=4e6) as world:
        assert (await world.result(ONE)).result == Raw(b"7")
        history = [record for turn in await world.engine.history(PURSE) for record in turn.records]
        assert [type(record) for record in history if isinstance(record, Held | Released)] == [Held, Released]
        assert len([record for record in history if isinstance(record, Delivered)]) == 2


async def test_a_handler_in_flight_whose_state_no_longer_fits_is_held_with_it() -> None:
    store = await purse_of(3)
    async with living([cents()], store, now=2e6) as world:
        world.deliver(ONE, starting("puts", 100))
        await world.pass_time(50)
    async with living([by_currency(how="raises")], store, now=world.clock.now()) as world:
        await world.pass_time(100)
        assert (await world.describe(PURSE)).status == "held"
    async with living([cents()], store, now=world.clock.now()) as world:
        assert (await world.result(ONE)).result == Raw(b"103")


async def test_a_release_by_hand_needs_code_that_fits_too() -> None:
    store = await purse_of(3)
    async with living([cents()], store, now=2e6) as world:
        await world.settle()
        assert await world.ask(PURSE, Release()) == Accepted()
        assert (await world.ask(PURSE, ask("put", 1))).result == Raw(b"4")


def test_versions_count_from_one() -> None:
    app = App("x")

    class Wrong(Actor):
        @handler
        def touch(self) -> None: ...

    with pytest.raises(BadDefinition, match="version=0; versions count from 1"):
        app.actor(version=0)(Wrong)
