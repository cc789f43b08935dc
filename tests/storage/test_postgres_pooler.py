"""Behind a pooler in transaction mode: no transaction finds anything of the one before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.storage.database import Database
from tests.storage.pooler import Pooler, pooler_to
from tests.storage.writing import commit, message, row, run, seqs, turn
from understudy_runtime.core.keys import shard_of
from understudy_runtime.core.ports import Blob, PartlyFailed, TurnWrite
from understudy_runtime.storage.postgres import PostgresStore

pytestmark = pytest.mark.anyio

A, B = run("a"), run("b")


@pytest.fixture(params=[False, True], ids=["refuses-settings", "ignores-settings"])
async def pooler(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Pooler]:
    async with pooler_to(database.socket, ignores_settings=request.param) as pooler:
        yield pooler


@pytest.fixture
def url(pooler: Pooler, database: Database) -> str:
    options = database.url().rpartition("/")[2].partition("&")[2]
    return f"postgresql://postgres@127.0.0.1:{pooler.port}/postgres?{options}"


async def test_a_pooler_is_found_out_and_worked_with(pooler: Pooler, url: str) -> None:
    store = PostgresStore(url)
    await store.open("ann", 1000.0)
    for n in range(1, 6):
        sent = [message(B, A, n)]
        write = TurnWrite(A, n, 1.0, b"[]", row=row(A), snapshot=b"s", blobs=[Blob("d", b"x")], sent=sent)
        await commit(store, write, turn(B, n))
    for _ in range(3):
        a, b = await store.load([A, B])
        assert (a.row, len(b.turns), len(b.inbox)) == (row(A), 5, 5)
        assert await store.blobs(A, ["d"]) == {"d": b"x"}
    assert pooler.transactions > 10
    await store.close()


async def test_the_fence_holds_behind_a_pooler(url: str) -> None:
    ann, bob = PostgresStore(url), PostgresStore(url)
    await ann.open("ann", 1000.0)
    await commit(ann, turn(A, 1))
    await bob.open("bob", 2000.0)
    with pytest.raises(PartlyFailed, match="another node has taken over"):
        await commit(ann, turn(A, 2))
    await commit(bob, turn(A, 2))
    assert await seqs(bob, A) == [1, 2]
    await ann.close()
    await bob.close()


async def test_a_value_that_is_refused_fails_its_actor_alone_behind_a_pooler(url: str) -> None:
    store = PostgresStore(url)
    await store.open("ann", 1000.0)
    with pytest.raises(PartlyFailed) as failed:
        await commit(store, turn(A, 1), turn(run("nul\0"), 1), turn(B, 1))
    assert failed.value.rejected.keys() == {run("nul\0")}
    assert [await seqs(store, key) for key in (A, B)] == [[1], [1]]
    await store.close()


async def test_nodes_that_start_at_once_migrate_and_share_the_shards_behind_a_pooler(url: str) -> None:
    nodes = [PostgresStore(url) for _ in range(4)]
    await asyncio.gather(*(node.join(f"node-{n}", f"node-{n}-1", 1000.0) for n, node in enumerate(nodes)))
    seen = {row.id: row.term for row in await nodes[0].read_shards()}
    claimed = await asyncio.gather(*(node.claim(seen) for node in nodes))
    assert sorted(shard for each in claimed for shard in each) == list(range(16))
    owner = next(node for node in nodes if shard_of(A, 16) in node.terms)
    other = next((node for node in nodes if node is not owner), owner)
    await commit(owner, TurnWrite(A, 1, 1.0, b"[]", row=row(A), sent=[message(B, A, 1)]))
    assert await other.scan_inbox(range(16)) == [B]
    assert list(await other.inbox([A, B])) == [B]
    assert dict(await other.wakeful(10.0, range(16))) == {A: None, B: None}
    assert [each.key for each in await other.rows(namespace="shop")] == [A]
    await owner.release(range(16))
    assert owner.terms == {}
    for node in nodes:
        await node.close()


async def test_runs_are_deleted_behind_a_pooler_and_an_epoch_is_begun(url: str) -> None:
    store = PostgresStore(url)
    await store.open("ann", 1000.0)
    over = row(A, status="succeeded", closed_at=5.0, parked_until=float("inf"))
    await commit(store, TurnWrite(A, 1, 5.0, b"[]", row=over), turn(B, 1))
    assert await store.closed_runs(9.0, 10) == [A]
    assert await store.delete([A], 9.0) == 1
    assert [await seqs(store, key) for key in (A, B)] == [[], [1]]
    await store.begin_epoch()
    with pytest.raises(PartlyFailed):
        await commit(store, turn(B, 2))
    await store.close()
