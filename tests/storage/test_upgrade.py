"""A rolling upgrade: nodes of neighbouring releases work on one store, whichever of them has changed its tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from tests.storage.conftest import Reopen
from tests.storage.database import Database
from tests.storage.writing import commit, message, row, run, seqs, turn
from understudy.errors import StoreError
from understudy_runtime.core.keys import shard_of
from understudy_runtime.core.ports import Blob, Store, TurnWrite
from understudy_runtime.storage.postgres import PostgresStore
from understudy_runtime.storage.postgres import schema as postgres_schema
from understudy_runtime.storage.postgres.address import parse
from understudy_runtime.storage.reading import open_reader
from understudy_runtime.storage.sqlite import SqliteStore
from understudy_runtime.storage.sqlite import schema as sqlite_schema

pytestmark = pytest.mark.anyio

FOR_EVER = float("inf")
A = run("a")
LOAD_TURNS: Final = 40

TABLES: Final = ("journal", "actor", "inbox", "blob", "shard")
NEXT: Final = {
    "sqlite": "".join(f"ALTER TABLE {name} ADD COLUMN later TEXT;" for name in TABLES)
    + "CREATE TABLE added (id INTEGER PRIMARY KEY) STRICT;",
    "postgres": "".join(f"ALTER TABLE {{s}}.{name} ADD COLUMN later text;" for name in TABLES)
    + "CREATE TABLE {s}.added (id integer PRIMARY KEY);",
}
"""What a next release may do to the tables: columns that may be null, a table, an index."""


def release(monkeypatch: pytest.MonkeyPatch, *, later_by: int) -> None:
    """From here on stores are opened by a release that knows so many more migrations."""
    empty = ("SELECT 1;",) * (later_by - 1)
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", (*sqlite_schema.MIGRATIONS, NEXT["sqlite"], *empty))
    monkeypatch.setattr(sqlite_schema, "SCHEMA", sqlite_schema.SCHEMA + later_by)
    monkeypatch.setattr(postgres_schema, "MIGRATIONS", (*postgres_schema.MIGRATIONS, NEXT["postgres"], *empty))
    monkeypatch.setattr(postgres_schema, "LATEST", postgres_schema.LATEST + later_by)


@pytest.fixture(params=["sqlite", "postgres"])
async def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Reopen]:
    """Of a store that only this test has, because it changes its tables."""
    if request.param == "sqlite":
        yield lambda: SqliteStore(tmp_path / "state.db")
        return
    database: Database = request.getfixturevalue("database")
    url = database.url()
    yield lambda: PostgresStore(url)
    client = await database.connect()
    await client.execute(f"DROP SCHEMA IF EXISTS {parse(url).schema} CASCADE")
    await client.close()


async def work(store: Store, name: str) -> None:
    """All that a store is asked for, some dozens of times."""
    key, other = run(name), run(f"{name}-other")
    for seq in range(1, LOAD_TURNS + 1):
        first = TurnWrite(
            key, seq, 1.0, b"[]", row=row(key), snapshot=b"s", blobs=[Blob(f"{seq}", b"x")],
            sent=[message(other, key, seq)],
        )  # fmt: skip
        await commit(store, first, turn(other, seq))
        await commit(store, TurnWrite(other, seq, 1.0, consumed=[(key, seq)]))
    [loaded, _] = await store.load([key, other])
    assert (loaded.row, loaded.snapshot_seq) == (row(key), LOAD_TURNS)
    assert await seqs(store, other) == list(range(1, LOAD_TURNS + 1))
    assert len(await store.blobs(key, [str(seq) for seq in range(1, LOAD_TURNS + 1)])) == LOAD_TURNS
    assert key in dict(await store.wakeful(0.0))
    assert key in [each.key for each in await store.rows(namespace="shop", kind="run")]
    over = row(key, status="succeeded", closed_at=5.0, parked_until=FOR_EVER)
    await commit(store, TurnWrite(key, LOAD_TURNS + 1, 5.0, b"[]", row=over))
    assert await store.delete(await store.closed_runs(9.0, 10), 9.0) == 1


async def test_a_node_works_on_the_next_releases_schema(reopen: Reopen) -> None:
    with pytest.MonkeyPatch.context() as next_release:
        release(next_release, later_by=1)
        newer = reopen()
        await newer.open("newer", 1000.0)
        await work(newer, "newer")
        await newer.close()
    store = reopen()
    await store.open("older", 2000.0)
    await work(store, "older")
    await store.close()
    if isinstance(store, SqliteStore):
        with open_reader(store.path) as reader:
            assert len(reader.turns(run("older-other"))) == LOAD_TURNS


async def test_a_node_refuses_a_schema_that_is_two_releases_ahead(reopen: Reopen) -> None:
    with pytest.MonkeyPatch.context() as next_but_one:
        release(next_but_one, later_by=2)
        newer = reopen()
        await newer.open("newer", 1000.0)
        await newer.close()
    with pytest.raises(StoreError, match=r"was written by a newer understudy .*: upgrade understudy"):
        await reopen().open("older", 2000.0)


async def test_an_older_store_is_migrated_and_keeps_what_it_has(reopen: Reopen) -> None:
    older = reopen()
    await older.open("older", 1000.0)
    await commit(older, TurnWrite(A, 1, 1.0, b"[1]", row=row(A), snapshot=b"s", blobs=[Blob("d", b"x")]))
    await older.close()
    with pytest.MonkeyPatch.context() as next_release:
        release(next_release, later_by=1)
        newer = reopen()
        await newer.open("newer", 2000.0)
        [loaded] = await newer.load([A])
        assert (loaded.row, loaded.snapshot, await newer.blobs(A, ["d"])) == (row(A), b"s", {"d": b"x"})
        await work(newer, "newer")
        await newer.close()


@pytest.fixture
async def url(database: Database) -> AsyncIterator[str]:
    url = database.url()
    yield url
    client = await database.connect()
    await client.execute(f"DROP SCHEMA IF EXISTS {parse(url).schema} CASCADE")
    await client.close()


async def take(store: PostgresStore, shards: range) -> None:
    seen = {row.id: row.term for row in await store.read_shards()}
    assert len(await store.claim({shard: seen[shard] for shard in shards})) == len(shards)


async def test_nodes_of_the_next_release_join_while_one_of_this_release_is_at_work(url: str) -> None:
    """Several at once, of which one changes the tables under the other's commits."""
    older = PostgresStore(url)
    await older.join("older", "older-1", 1000.0)
    await take(older, range(16))
    working = [asyncio.create_task(work_on(older, f"before-{n}")) for n in range(5)]
    newer = [PostgresStore(url) for _ in range(4)]
    with pytest.MonkeyPatch.context() as next_release:
        release(next_release, later_by=1)
        await asyncio.gather(*(node.join(f"newer-{n}", f"newer-{n}-1", 1000.0) for n, node in enumerate(newer)))
    await asyncio.gather(*working)
    await work_on(older, "after")
    await older.release(range(8))
    await take(newer[0], range(8))
    for node, name in ((newer[0], "taken"), (older, "kept")):
        await commit(node, turn(key_in(node, name), 1))
    for node in (*newer, older):
        await node.close()


async def work_on(store: PostgresStore, name: str) -> None:
    for seq in range(1, LOAD_TURNS + 1):
        await commit(
            store, *(TurnWrite(run(f"{name}-{n}"), seq, 1.0, b"[]", row=row(run(f"{name}-{n}"))) for n in "ab")
        )
    assert await seqs(store, run(f"{name}-a")) == list(range(1, LOAD_TURNS + 1))


def key_in(store: PostgresStore, name: str) -> str:
    """An actor in one of its shards."""
    return next(key for n in range(1000) if shard_of(key := run(f"{name}-{n}"), store.shards) in store.terms)
