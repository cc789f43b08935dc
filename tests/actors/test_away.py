"""Attempts stay where they run while their runs move, and nothing goes on for runs that have been taken away."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from random import Random

import pytest

from tests.actors.lease_shapes import SCENARIOS
from tests.actors.realm import Node, Realm, realm_of
from tests.actors.test_any_crash import live
from tests.actors.test_shards import end
from tests.actors.world import T0, Outside, RecordedStore, run, starting
from understudy_runtime.core.away import ADOPT_S, LAPSE_S
from understudy_runtime.core.keys import shard_of
from understudy_runtime.core.membership import Member, View
from understudy_runtime.core.messages import Cancel
from understudy_runtime.core.transport import Adopt, Envelope, Keeping, Noted, Report, Stop, Unknown

pytestmark = pytest.mark.anyio

KEY = run("one")
SHARD = shard_of(KEY, 8)


@pytest.fixture
async def realm() -> AsyncGenerator[Realm]:
    async with realm_of(["ann", "bob", "cyd"]) as made:
        yield made


async def begun(realm: Realm) -> tuple[Node, Node, Node]:
    """A run whose first task runs, at the first of these nodes."""
    realm.tell(KEY, starting("asyncio_shape", "chain"))
    await realm.settle()
    first = realm.owner(KEY)
    assert first is not None
    assert first.engine.attempts_out == 1
    second, third = (node for node in realm.nodes.values() if node is not first)
    return first, second, third


async def pass_time(realm: Realm, seconds: float) -> None:
    until = realm.clock.now() + seconds
    realm.clock.call_at(until, lambda: None)
    await realm.until(lambda: realm.clock.now() >= until)


def starts(realm: Realm) -> list[tuple[str, int]]:
    return [(effect.key, effect.token.attempt) for effect in realm.outside.effects]


async def nothing_is_left(realm: Realm) -> None:
    await pass_time(realm, LAPSE_S + ADOPT_S)
    for node in realm.nodes.values():
        assert (node.attempts.kept, node.attempts.away, node.engine.attempts_out) == (0, 0, 0)


async def test_it_is_begun_once_however_often_its_run_moves(realm: Realm) -> None:
    ann, bob, cyd = await begun(realm)
    for to in (bob, cyd, bob):
        await realm.move(SHARD, to)
        assert (ann.attempts.kept, to.attempts.away) == (1, 1)
    assert (await end(realm, KEY))[0] == "succeeded"
    assert len(starts(realm)) == len(set(starts(realm)))
    await nothing_is_left(realm)


async def test_a_run_that_comes_home_finds_its_attempt_there(realm: Realm) -> None:
    ann, bob, _ = await begun(realm)
    await realm.move(SHARD, bob)
    await realm.move(SHARD, ann)
    assert ann.attempts.kept == 0
    assert (await end(realm, KEY))[0] == "succeeded"
    assert len(starts(realm)) == len(set(starts(realm)))
    await nothing_is_left(realm)


async def test_an_attempt_that_ends_while_its_run_is_on_the_way_counts(realm: Realm) -> None:
    ann, bob, _ = await begun(realm)
    await ann.engine.hosting.seal([SHARD])
    await ann.store.release([SHARD])
    await realm.until(lambda: ann.engine.attempts_out == 0)
    await ann.attempts.hand_over([SHARD], bob.name)
    await realm.claim(SHARD, bob)
    assert (await end(realm, KEY))[0] == "succeeded"
    assert len(starts(realm)) == len(set(starts(realm)))


async def test_a_run_that_nobody_takes_is_given_up_by_its_attempt(realm: Realm) -> None:
    ann, _, _ = await begun(realm)
    realm.outside.spans[realm.outside.effects[0].key, 1] = (T0, T0 + 1e6)
    await ann.engine.hosting.seal([SHARD])
    token = next(iter(ann.executor.having(lambda key: key == KEY).begun))
    ann.executor.cancel([token])
    await nothing_is_left(realm)


async def test_a_cancelled_run_stops_its_attempt_at_the_other_node(realm: Realm) -> None:
    ann, bob, cyd = await begun(realm)
    await realm.move(SHARD, bob)
    await realm.move(SHARD, cyd)
    realm.tell(KEY, Cancel())
    await realm.settle()
    assert ann.engine.attempts_out == 0
    assert (await end(realm, KEY))[0] == "cancelled"
    await nothing_is_left(realm)


async def test_a_run_that_was_taken_away_begins_its_attempt_anew_and_the_first_is_cancelled(realm: Realm) -> None:
    ann, bob, cyd = await begun(realm)
    await realm.claim(SHARD, bob)
    ann.engine.hosting.drop([SHARD], "they were taken")
    await realm.settle()
    assert (ann.engine.attempts_out, bob.engine.attempts_out) == (0, 1)
    await realm.move(SHARD, cyd)
    await realm.claim(SHARD, ann)
    cyd.engine.hosting.drop([SHARD], "they were taken")
    await realm.settle()
    assert bob.engine.attempts_out == 0, "cyd has told it to stop"
    assert (await end(realm, KEY))[0] == "succeeded"
    await nothing_is_left(realm)


async def test_what_the_store_took_away_and_gave_back_is_begun_anew(realm: Realm) -> None:
    ann, _, _ = await begun(realm)
    ann.engine.hosting.drop([SHARD], "the store was silent")
    await realm.claim(SHARD, ann)
    await realm.settle()
    assert ann.engine.attempts_out == 1
    assert (await end(realm, KEY))[0] == "succeeded", "and not cancelled, as its first try was"
    await nothing_is_left(realm)


async def test_when_its_node_is_gone_it_is_begun_anew_at_no_cost(realm: Realm) -> None:
    ann, bob, cyd = await begun(realm)
    await realm.move(SHARD, bob)
    bob.attempts.members(View(members={name: Member(name, name, "") for name in (bob.name, cyd.name)}))
    await realm.settle()
    assert bob.engine.attempts_out == 1
    assert {effect.token.attempt for effect in realm.outside.effects} == {1}
    assert (await end(realm, KEY))[0] == "succeeded"
    assert ann.engine.attempts_out == 0
    await nothing_is_left(realm)


async def test_a_node_that_leaves_gives_it_back_at_no_cost(realm: Realm) -> None:
    ann, bob, _ = await begun(realm)
    await realm.move(SHARD, bob)
    await ann.attempts.give_back()
    await realm.settle()
    assert (ann.engine.attempts_out, bob.engine.attempts_out) == (0, 1)
    assert {effect.token.attempt for effect in realm.outside.effects} == {1}
    assert (await end(realm, KEY))[0] == "succeeded"


@pytest.mark.parametrize("kind", [Keeping, Noted, Adopt, Unknown, Report, Stop])
async def test_without_envelopes_of_a_kind_work_is_repeated_at_worst(realm: Realm, kind: type[Envelope]) -> None:
    whole = await live(SCENARIOS["chain"], RecordedStore(), Outside(), T0)
    realm.loses = lambda envelope: isinstance(envelope, kind)
    _, bob, cyd = await begun(realm)
    await realm.move(SHARD, bob)
    await pass_time(realm, 0.05)
    await realm.move(SHARD, cyd)
    assert (await end(realm, KEY))[::3] == (whole.ends[0][0], whole.ends[0][3])
    await nothing_is_left(realm)


@pytest.mark.parametrize("seed", range(10))
async def test_however_many_envelopes_are_lost_and_runs_are_moved_all_comes_to_an_end(realm: Realm, seed: int) -> None:
    random = Random(seed)
    realm.loses = lambda envelope: random.random() < 0.3
    realm.tell(KEY, starting("asyncio_shape", "gather_all"))
    for _ in range(12):
        await pass_time(realm, random.random() / 2)
        await realm.move(SHARD, random.choice(list(realm.nodes.values())))
    assert (await end(realm, KEY))[0] == "succeeded"
    await nothing_is_left(realm)
