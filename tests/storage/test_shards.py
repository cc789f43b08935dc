"""What stores that many nodes share promise: a shard has one writer, and messages find their way between shards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count

import pytest

from tests.storage.database import Database
from tests.storage.writing import commit, message, row, rows_only, run, seqs, shard, turn
from understudy.errors import StoreError
from understudy_runtime.core.ports import PartlyFailed, ShardedStore, TurnWrite
from understudy_runtime.storage.memory import MemoryData, MemoryStore
from understudy_runtime.storage.postgres import PostgresStore

pytestmark = pytest.mark.anyio

SHARDS = 16
Join = Callable[[str], Awaitable[ShardedStore]]


@pytest.fixture(params=["memory", "postgres"])
async def join(request: pytest.FixtureRequest) -> AsyncIterator[Join]:
    """Makes nodes of one cluster, by their names."""
    data = MemoryData(SHARDS)
    database: Database | None = request.getfixturevalue("database") if request.param == "postgres" else None
    url = "" if database is None else await database.wiped_from_a_loop()
    nodes: list[ShardedStore] = []
    lives = count(1)

    async def join(name: str) -> ShardedStore:
        node: ShardedStore = MemoryStore(data) if database is None else PostgresStore(url)
        await node.join(name, f"{name}-{next(lives)}", 1000.0)
        nodes.append(node)
        return node

    yield join
    for node in nodes:
        await node.close()


async def claim(node: ShardedStore, *keys: str) -> dict[int, int]:
    """Claim the shards of these actors."""
    terms = {row.id: row.term for row in await node.read_shards()}
    return await node.claim({shard(node, key): terms[shard(node, key)] for key in keys})


def keys_of_distinct_shards(node: ShardedStore, wanted: int) -> list[str]:
    found: dict[int, str] = {}
    for n in count():
        found.setdefault(shard(node, run(f"r{n}")), run(f"r{n}"))
        if len(found) == wanted:
            return list(found.values())
    raise AssertionError


async def test_a_new_store_has_its_shards_and_nobody_has_them(join: Join) -> None:
    node = await join("ann")
    assert node.shards == SHARDS
    assert [(row.id, row.term, row.owner, row.head) for row in await node.read_shards()] == [
        (number, 0, "", 0) for number in range(SHARDS)
    ]
    assert node.terms == {}


async def test_a_claim_begins_a_new_term_of_what_was_seen(join: Join) -> None:
    node = await join("ann")
    assert await node.claim({3: 0, 5: 0}) == {3: 1, 5: 1}
    assert node.terms == {3: 1, 5: 1}
    rows = await node.read_shards()
    assert [(row.id, row.term, row.owner) for row in rows if row.owner] == [(3, 1, "ann"), (5, 1, "ann")]


async def test_of_many_that_saw_the_same_one_has_it(join: Join) -> None:
    nodes = [await join(f"node-{n}") for n in range(4)]
    claimed = await asyncio.gather(*(node.claim(dict.fromkeys(range(SHARDS), 0)) for node in nodes))
    assert sorted(number for each in claimed for number in each) == list(range(SHARDS))
    assert [node.terms for node in nodes] == claimed


async def test_a_claim_by_what_is_no_longer_so_changes_nothing(join: Join) -> None:
    ann, bob = await join("ann"), await join("bob")
    await ann.claim({3: 0})
    assert await bob.claim({3: 0, 4: 0}) == {4: 1}
    assert {row.id: row.owner for row in await bob.read_shards()}[3] == "ann"


async def test_a_shard_that_was_not_claimed_cannot_be_written(join: Join) -> None:
    node = await join("ann")
    with pytest.raises(PartlyFailed) as failed:
        await commit(node, turn(run("a"), 1))
    assert failed.value.fenced == {shard(node, run("a"))}
    assert await seqs(node, run("a")) == []


async def test_a_fenced_shard_drops_out_alone(join: Join) -> None:
    ann, bob = await join("ann"), await join("bob")
    lost, kept, also_kept = keys_of_distinct_shards(ann, 3)
    await claim(ann, lost, kept, also_kept)
    await commit(ann, turn(lost, 1), turn(kept, 1), turn(also_kept, 1))
    await claim(bob, lost)
    with pytest.raises(PartlyFailed, match="another node has") as failed:
        await commit(
            ann,
            TurnWrite(lost, 2, 1.0, b"[]", row=row(lost), sent=[message(kept, lost, 1)]),
            turn(kept, 2), turn(also_kept, 2), turn(lost, 3),
        )  # fmt: skip
    assert failed.value.fenced == {shard(ann, lost)}
    assert not failed.value.rejected
    assert [await seqs(bob, key) for key in (lost, kept, also_kept)] == [[1], [1, 2], [1, 2]]
    [of_lost, of_kept] = await bob.load([lost, kept])
    assert (of_lost.row, list(of_kept.inbox)) == (None, [])
    await commit(bob, turn(lost, 2))
    assert ann.terms.keys() == {shard(ann, kept), shard(ann, also_kept)}


async def test_the_next_owner_goes_on_where_the_log_ends(join: Join) -> None:
    ann, bob = await join("ann"), await join("bob")
    a = run("a")
    await claim(ann, a)
    await commit(ann, turn(a, 1), turn(a, 2))
    await commit(ann, *rows_only(row(a)))
    assert await claim(bob, a) == {shard(bob, a): 2}
    await commit(bob, turn(a, 3))
    assert [(each.lsn, each.seq) for each in await bob.turns(a, 0, 10)] == [(1, 1), (2, 2), (3, 3)]
    assert (await bob.read_shards())[shard(bob, a)].head == 3


async def test_a_node_may_have_a_shard_again_that_it_has_lost(join: Join) -> None:
    ann, bob = await join("ann"), await join("bob")
    a = run("a")
    await claim(ann, a)
    await claim(bob, a)
    await commit(bob, turn(a, 1))
    assert await claim(ann, a) == {shard(ann, a): 3}
    await commit(ann, turn(a, 2))
    with pytest.raises(PartlyFailed):
        await commit(bob, turn(a, 2))


async def test_an_actor_that_is_refused_holds_nobody_up(join: Join) -> None:
    node = await join("ann")
    bad, *good = keys_of_distinct_shards(node, 9)
    await claim(node, bad, *good)
    await commit(node, turn(bad, 1))
    batch = [turn(bad, 1), *(turn(key, 1) for key in good), turn(bad, 2), *(turn(key, 2) for key in good)]
    with pytest.raises(PartlyFailed) as failed:
        await commit(node, *batch)
    assert failed.value.rejected.keys() == {bad}
    assert not failed.value.fenced
    assert await seqs(node, bad) == [1]
    assert [await seqs(node, key) for key in good] == [[1, 2]] * 8
    await commit(node, turn(bad, 2))


async def test_a_released_shard_is_written_no_more_and_free_for_all(join: Join) -> None:
    ann, bob = await join("ann"), await join("bob")
    a, b = keys_of_distinct_shards(ann, 2)
    await claim(ann, a, b)
    told: list[BaseException | None] = []
    ann.commit([turn(a, 1)], told.append)
    await ann.release([shard(ann, a)])
    assert told == [None], "what was handed over before is durable"
    with pytest.raises(PartlyFailed):
        await commit(ann, turn(a, 2))
    await commit(ann, turn(b, 1))
    assert (await bob.read_shards())[shard(bob, a)].owner == ""
    await claim(bob, a)
    await commit(bob, turn(a, 2))


async def test_messages_go_from_shard_to_shard_exactly_once(join: Join) -> None:
    ann, bob = await join("ann"), await join("bob")
    sender, receiver = keys_of_distinct_shards(ann, 2)
    await claim(ann, sender)
    await claim(bob, receiver)
    sent = [message(receiver, sender, seq, b"%d" % seq) for seq in range(1, 4)]
    await commit(ann, TurnWrite(sender, 1, 1.0, b"[]", sent=sent))
    assert await bob.scan_inbox([shard(bob, receiver)]) == [receiver]
    assert await bob.scan_inbox([shard(bob, sender)]) == []
    [loaded] = await bob.load([receiver])
    assert list(loaded.inbox) == sent
    assert await bob.inbox([receiver, sender]) == {receiver: sent}
    await commit(bob, TurnWrite(receiver, 1, 1.0, b"[]", consumed=[(sender, 1), (sender, 2)]))
    [loaded] = await bob.load([receiver])
    assert list(loaded.inbox) == sent[2:]
    with pytest.raises(PartlyFailed):
        await commit(ann, TurnWrite(receiver, 2, 1.0, consumed=[(sender, 3)]))
    assert await bob.scan_inbox(range(SHARDS)) == [receiver], "only its owner takes a message in"


async def test_each_node_wakes_its_own(join: Join) -> None:
    ann, bob = await join("ann"), await join("bob")
    a, b, c = keys_of_distinct_shards(ann, 3)
    await claim(ann, a)
    await claim(bob, b, c)
    await commit(ann, *rows_only(row(a, parked_until=5.0)))
    await commit(bob, *rows_only(row(b)), TurnWrite(c, 1, 1.0, b"[]", sent=[message(a, c, 1)]))
    assert await ann.wakeful(0.0) == [(a, None)]
    assert await bob.wakeful(0.0) == [(b, None)]
    assert await bob.wakeful(0.0, [shard(bob, a)]) == [(a, None)]


async def test_rows_are_those_of_all_nodes(join: Join) -> None:
    ann, bob = await join("ann"), await join("bob")
    a, b = keys_of_distinct_shards(ann, 2)
    await claim(ann, a)
    await claim(bob, b)
    await commit(ann, *rows_only(row(a, created_at=1.0)))
    await commit(bob, *rows_only(row(b, created_at=2.0)))
    assert [each.key for each in await ann.rows(namespace="shop")] == [b, a]


async def test_a_store_that_is_shared_is_not_had_alone_and_the_other_way_round(join: Join) -> None:
    node = await join("ann")
    other = await join("bob")
    await other.close()
    with pytest.raises(StoreError, match="already open"):
        await other.open("bob", 1000.0)
    await node.close()
    await other.open("bob", 1000.0)
    with pytest.raises(StoreError, match="already open"):
        await node.join("ann", "ann-9", 1000.0)


async def test_only_the_node_that_has_the_shard_finds_and_deletes_what_is_closed_in_it(join: Join) -> None:
    ann, bob = await join("ann"), await join("bob")
    mine, lost, others = keys_of_distinct_shards(ann, 3)
    await claim(ann, mine, lost)
    await claim(bob, others)
    for node, key in ((ann, mine), (ann, lost), (bob, others)):
        closed = row(key, status="succeeded", closed_at=5.0, parked_until=float("inf"))
        await commit(node, TurnWrite(key, 1, 5.0, b"[]", row=closed))
    await claim(bob, lost)
    assert set(await ann.closed_runs(9.0, 10)) >= {mine}
    assert await ann.delete([mine, lost, others], 9.0) == 1
    assert [await seqs(bob, key) for key in (mine, lost, others)] == [[], [1], [1]]
    assert sorted(await bob.closed_runs(9.0, 10)) == sorted([lost, others])
    floors = {each.id: each.floor for each in await bob.read_shards()}
    assert [floors[shard(ann, key)] for key in (mine, lost, others)] == [2, 0, 0]


async def test_a_deletion_that_was_asked_for_under_an_earlier_term_does_nothing(join: Join) -> None:
    ann, bob = await join("ann"), await join("bob")
    key = run("a")
    await claim(ann, key)
    closed = row(key, status="succeeded", closed_at=5.0, parked_until=float("inf"))
    await commit(ann, TurnWrite(key, 1, 5.0, b"[]", row=closed))
    deletion = ann.delete([key], 9.0)
    await claim(bob, key)
    assert await deletion == 0
    assert await seqs(bob, key) == [1]
