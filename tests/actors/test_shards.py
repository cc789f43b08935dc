"""Many engines over one store: runs go on wherever their shards go, planned or not, and end as on a single node."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

import pytest

from tests.actors.lease_shapes import SCENARIOS
from tests.actors.realm import Realm, realm_of
from tests.actors.shapes import Scenario
from tests.actors.sharing import disturbed, wrong_leases
from tests.actors.test_any_crash import SETTLING_S, live
from tests.actors.world import T0, Outside, RecordedStore, run, starting
from understudy.errors import Misplaced
from understudy_runtime.core.keys import shard_of
from understudy_runtime.core.messages import Describe, Description, Started, identity_of
from understudy_runtime.core.transport import Wake

pytestmark = pytest.mark.anyio

MOVES = 12
LOOK_EVERY_S = 0.5


@pytest.mark.parametrize("name", SCENARIOS)
async def test_on_three_nodes_it_ends_as_on_one(name: str) -> None:
    await same_ends(SCENARIOS[name], seed=0, moves=0)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_shards_that_move_as_planned_change_nothing(name: str) -> None:
    await same_ends(SCENARIOS[name], seed=1, moves=MOVES)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_shards_that_are_taken_away_change_nothing(name: str) -> None:
    """As from a node that is thought dead and is not: it finds out when it commits."""
    await same_ends(SCENARIOS[name], seed=2, moves=MOVES, unplanned=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 23))
@pytest.mark.parametrize("name", SCENARIOS)
async def test_in_other_worlds_they_change_nothing_either(name: str, seed: int) -> None:
    await same_ends(SCENARIOS[name], seed=seed, moves=2 * MOVES, unplanned=bool(seed % 2))


async def same_ends(scenario: Scenario, seed: int, moves: int, *, unplanned: bool = False) -> None:
    whole = await live(scenario, RecordedStore(), Outside(), T0)
    random = Random(seed)
    async with realm_of(["ann", "bob", "cyd"], outside=whole.outside.after_the_crash()) as realm:
        for told in scenario.told:
            realm.clock.call_at(told.at, partial(realm.tell, told.key, told.message))
        for _ in range(moves):
            until = realm.clock.now() + random.random() / 2
            realm.clock.call_at(until, lambda: None)
            await realm.until(lambda until=until: realm.clock.now() >= until)  # type: ignore[misc]
            shard, to = random.randrange(8), random.choice(list(realm.nodes.values()))
            await (realm.claim(shard, to) if unplanned else realm.move(shard, to))
        ends = [await end(realm, key) for key in scenario.runs]
        await realm.rest(SETTLING_S)
        assert wrong_leases(realm.histories()) == []
        if not unplanned:
            begun = [identity_of(effect.token) for effect in realm.outside.effects]
            assert len(begun) == len(set(begun)), "no attempt was begun twice"
    assert ends == whole.ends
    if not unplanned:
        assert disturbed(realm.outside.effects) == []


async def end(realm: Realm, key: str) -> tuple[Any, ...]:
    found: list[Description] = []

    def look(reply: Any) -> None:
        if isinstance(reply, Description) and reply.status != "running":
            found.append(reply)

    async def ended() -> bool:
        replies: list[Any] = []
        realm.tell(key, Describe(), replies)
        await realm.settle()
        for reply in replies:
            look(reply)
        return bool(found)

    for _ in range(10_000):
        if await ended():
            break
        await realm.rest(LOOK_EVERY_S)
    return found[0].status, found[0].execution, found[0].result, found[0].failure


async def test_whoever_waits_for_an_actor_that_moves_is_told_to_ask_again() -> None:
    async with realm_of(["ann", "bob"]) as realm:
        key = run("one")
        started: list[Any] = []
        realm.tell(key, starting("asyncio_shape", "chain"), started)
        await realm.settle()
        assert isinstance(started[0], Started)
        before = realm.owner(key)
        assert before is not None
        ends: list[Any] = []
        before.engine.watch(key, ends.append)
        await realm.settle()
        to = next(node for node in realm.nodes.values() if node is not before)
        await realm.move(shard_of(key, 8), to)
        assert isinstance(ends[0], Misplaced)
        asked: list[Any] = []
        before.engine.deliver(key, Describe(), asked.append)
        assert isinstance(asked[0], Misplaced)
        assert (await end(realm, key))[0] == "succeeded"


async def test_whoever_follows_a_run_is_told_to_look_when_it_moves() -> None:
    async with realm_of(["ann", "bob"]) as realm:
        key, told = run("one"), list[bool]()
        realm.tell(key, starting("asyncio_shape", "chain"))
        await realm.settle()
        before = realm.owner(key)
        assert before is not None
        before.engine.follow(key, lambda: told.append(True))
        to = next(node for node in realm.nodes.values() if node is not before)
        await realm.move(shard_of(key, 8), to)
        assert told


async def test_a_fenced_node_tells_who_follows_the_shards() -> None:
    async with realm_of(["ann", "bob"]) as realm:
        key = run("one")
        before = realm.owner(key)
        assert before is not None
        shard = shard_of(key, 8)
        to = next(node for node in realm.nodes.values() if node is not before)
        await realm.claim(shard, to)
        replies: list[Any] = []
        before.engine.deliver(key, starting("asyncio_shape", "chain"), replies.append)
        await realm.settle()
        assert before.lost_shards == [shard]
        assert isinstance(replies[0], Misplaced), (
            "nothing is acknowledged that is not durable, and it may be asked again"
        )
        realm.tell(key, Describe(), replies)
        await realm.settle()
        assert not isinstance(replies[1], Description)


async def test_mail_whose_wake_was_lost_is_found_by_a_look() -> None:
    async with realm_of(["ann", "bob", "cyd"]) as realm:
        realm.loses = lambda envelope: isinstance(envelope, Wake)
        key = run("one")
        realm.tell(key, starting("parent"))

        replies: list[Any] = []
        while not any(isinstance(reply, Description) and reply.status == "succeeded" for reply in replies):
            await realm.rest(LOOK_EVERY_S)
            assert realm.clock.now() < T0 + 100
            realm.tell(key, Describe(), replies)
