"""What stays small, whatever is stored: the rows a statement looks at, and the rows that change all the time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import pytest

import understudy
from tests.storage.database import Database
from tests.storage.writing import commit, run, turn
from understudy import App
from understudy_runtime.storage.postgres import PostgresStore, claims, reader
from understudy_runtime.storage.postgres.address import parse
from understudy_runtime.storage.postgres.connections import TRANSACTION
from understudy_runtime.storage.postgres.statements import PARTS, Statements

pytestmark = pytest.mark.anyio

TABLES = {"journal", "actor", "inbox", "blob"}
NEWEST = "ORDER BY created_at DESC, key DESC LIMIT 100"
QUERIES = [
    reader.ACTORS,
    reader.TURNS_AFTER_SNAPSHOT,
    reader.INBOX,
    reader.TURNS,
    reader.BLOBS,
    reader.WAKEFUL,
    reader.TOLD,
    claims.CLAIM,
    claims.RELEASE,
    f"SELECT {reader.ROW} FROM {{s}}.actor WHERE namespace = $1 {NEWEST}",
    f"SELECT {reader.ROW} FROM {{s}}.actor WHERE namespace = $1 AND kind = $2 {NEWEST}",
]
SHAPES = [shape for shape in product([False, True], repeat=len(PARTS)) if any(shape)]


@pytest.fixture
async def new(database: Database) -> AsyncIterator[tuple[Any, str]]:
    """A client with the store's settings, and the schema of an empty store: plans must be right before it fills."""
    url = database.url()
    store = PostgresStore(url)
    await store.open("ann", 1000.0)
    await store.close()
    client = await database.connect()
    for name, value in TRANSACTION.items():
        await client.execute(f"SET {name} = '{value}'")
    yield client, parse(url).schema
    await client.close()


async def plan_of(client: Any, sql: str) -> list[str]:
    await client.execute(f"PREPARE asked AS {sql}")
    [types] = await client.fetchrow("SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'asked'")
    nulls = ", ".join(["NULL"] * len(types))
    plan = await client.fetch(f"EXPLAIN EXECUTE asked({nulls})")
    await client.execute("DEALLOCATE asked")
    return [row[0].strip() for row in plan]


def scans(plan: list[str]) -> list[str]:
    """Steps that read all of a table, or of an index."""
    whole = [step for step in plan if "Seq Scan on" in step and step.split("Seq Scan on ")[1].split()[0] in TABLES]
    for step, below in zip(plan, [*plan[1:], ""], strict=True):
        index = "Index Scan" in step or "Index Only Scan" in step
        if index and not below.startswith(("Index Cond", "Order By")) and any(f" on {name}" in step for name in TABLES):
            whole.append(step)
    return whole


async def test_no_question_reads_a_whole_table(new: tuple[Any, str]) -> None:
    client, schema = new
    for sql in QUERIES:
        plan = await plan_of(client, sql.replace("{s}", schema))
        assert not scans(plan), "\n".join([sql, *plan])


async def test_no_commit_reads_a_whole_table(new: tuple[Any, str]) -> None:
    client, schema = new
    statements = Statements(schema)
    for shape in SHAPES:
        plan = await plan_of(client, statements.commit(shape))
        assert not scans(plan), "\n".join([str(shape), *plan])


async def test_shard_rows_stay_small_however_often_they_change(database: Database) -> None:
    url = database.url()
    store = PostgresStore(url)
    await store.open("ann", 1000.0)
    client = await database.connect()
    size = f"SELECT pg_relation_size('{parse(url).schema}.shard')"
    before = await client.fetchval(size)
    for seq in range(1, 400):
        await commit(store, *(turn(run(f"r{n}"), seq) for n in range(16)))
    assert await client.fetchval(size) <= 2 * before
    await client.close()
    await store.close()


# --- a node over it

app = App("postgres-store")


@app.task
async def double(n: int) -> int:
    return 2 * n


@app.workflow
async def quadruple(n: int) -> int:
    return await double(await double(n))


async def test_a_node_runs_over_it_and_the_next_one_knows(database: Database) -> None:
    url = database.url(shards=256)
    async with understudy.embedded(app, store=url) as client:
        assert await client.run(quadruple, 3, id="first") == 12
    async with understudy.embedded(app, store=url) as client:
        assert await client.handle("first", quadruple).result() == 12
        assert await client.run(quadruple, 4) == 16
