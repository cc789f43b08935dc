"""What waits costs nothing: an idle node over a database hardly asks, and writes nothing."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import understudy
from tests.storage.database import Database
from understudy import App, Client
from understudy_runtime.storage.postgres import connections
from understudy_runtime.storage.postgres.address import parse

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PARKED = 10_000
WATCHED_S = 65.0
"""Longer than the window in which duties are read from the store."""

SHARDS = "SELECT id, term, head, commits FROM {s}.shard ORDER BY id"

app = App("idle")


@app.workflow
async def sleeper() -> None:
    await asyncio.sleep(30 * 86_400)


async def park(client: Client) -> None:
    numbers = iter(range(PARKED))

    async def start() -> None:
        for number in numbers:
            await client.start(sleeper, id=f"sleeper-{number}")

    await asyncio.gather(*(start() for _ in range(100)))


async def test_ten_thousand_parked_runs_are_at_most_one_question_a_second_and_no_write(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []
    fetch, script = connections.Connection.fetch, connections.Connection.script

    async def counted(connection: connections.Connection, sql: str, *arguments: Any) -> Any:
        questions.append(sql)
        return await fetch(connection, sql, *arguments)

    async def counted_script(connection: connections.Connection, sql: str) -> None:
        questions.append(sql)
        await script(connection, sql)

    url = database.url(shards=256)
    schema = parse(url).schema
    observer = await database.connect()
    async with understudy.embedded(app, store=url) as client:
        await park(client)
    async with understudy.embedded(app, store=url) as client:
        assert (await client.handle("sleeper-0", sleeper).describe()).status == "running"
        written = await observer.fetch(SHARDS.format(s=schema))
        monkeypatch.setattr(connections.Connection, "fetch", counted)
        monkeypatch.setattr(connections.Connection, "script", counted_script)
        began = time.monotonic()
        await asyncio.sleep(WATCHED_S)  # what does not happen has to be waited for
        seconds = time.monotonic() - began
        monkeypatch.undo()
        print(f"{len(questions)} statements in {seconds:.0f} s")
        assert 0 < len(questions) <= seconds, questions
        assert {sql.split()[0] for sql in questions} <= {"BEGIN", "SELECT", "COMMIT"}
        assert await observer.fetch(SHARDS.format(s=schema)) == written, "each commit and claim would show here"
    await observer.execute(f"DROP SCHEMA {schema} CASCADE")
    await observer.close()
