"""Stores written by every release go on under this one: what ended is known, what was open ends."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import understudy
from tests.storage.journals.shop import LARGE, PACKING_MAY_END, Purchase, Stock, app, labelled, out_of_stock, quote
from understudy import Client, RunFailed
from understudy_runtime.actors import journal
from understudy_runtime.storage.reading import open_reader
from understudy_runtime.storage.sqlite import schema

pytestmark = pytest.mark.anyio

KEPT = sorted(Path(__file__).with_name("journals").glob("schema-*.sql"))


def test_the_store_of_this_schema_is_kept() -> None:
    assert f"schema-{schema.SCHEMA}.sql" in [each.name for each in KEPT]


@pytest.fixture(params=KEPT, ids=lambda each: each.stem)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A store as that release left it when it was killed."""
    path = tmp_path / "state.db"
    con = sqlite3.connect(path)
    con.executescript(request.param.read_text())
    con.close()
    return path


@pytest.fixture
async def client(path: Path) -> AsyncIterator[Client]:
    PACKING_MAY_END.set()
    async with understudy.embedded(app, store=f"sqlite:///{path}") as client:
        yield client


def test_every_turn_can_be_decoded(path: Path) -> None:
    with open_reader(path) as reader:
        rows = [row for kind in ("run", "actor.Stock") for row in reader.rows(namespace="default", kind=kind)]
        assert len(rows) == 8
        for row in rows:
            turns = reader.turns(row.key)
            assert turns
            for turn in turns:
                assert journal.decode(turn, reader.blobs(row.key, journal.digests_of(turn))).records


async def test_what_had_ended_is_known(client: Client) -> None:
    assert await client.handle("quote", quote).result() == 900
    assert await client.handle("labelled", labelled).result() == len("tea" + LARGE)
    with pytest.raises(RunFailed, match="OutOfStock: tea"):
        await client.handle("out-of-stock", out_of_stock).result()
    assert len(await client.handle("out-of-stock", out_of_stock).history()) > 3


async def test_what_was_under_way_is_done_again_and_ends(client: Client) -> None:
    async with asyncio.timeout(30):
        assert await client.handle("packing", Purchase).result() == "bought at 300: packed tea"


async def test_what_waited_goes_on_when_it_is_told(client: Client) -> None:
    undecided = client.handle("undecided", Purchase)
    await undecided.tell(Purchase.decide, "returned")
    async with asyncio.timeout(30):
        assert await undecided.result() == "returned at 600: packed coffee"


async def test_actors_have_their_state(client: Client) -> None:
    assert await client.ask(Stock.at("tea"), Stock.current) == 42
    assert await client.ask(Stock.at("tea"), Stock.add, 1) == 43
