"""The shared database: every order is in it once, and its budget of connections is kept."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from examples import shared_database as example
from understudy import embedded

pytestmark = pytest.mark.anyio

ORDERS = 30


async def test_never_more_connections_are_open_than_there_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, opened = example.connection, list[int]()
    now_open = 0

    @asynccontextmanager
    async def counted(database: str) -> AsyncGenerator[example.Execute]:
        nonlocal now_open
        now_open += 1
        opened.append(now_open)
        try:
            async with connection(database) as execute:
                yield execute
        finally:
            now_open -= 1

    monkeypatch.setattr(example, "connection", counted)
    file = tmp_path / "shop.db"
    async with embedded(example.app, store=f"sqlite:///{tmp_path / 'state.db'}") as client:
        assert await client.run(example.import_orders, ORDERS, f"sqlite:///{file}") == ORDERS
    assert 1 < max(opened) <= example.CONNECTIONS
    with closing(sqlite3.connect(file)) as shop:
        rows = shop.execute("SELECT number, cents FROM orders ORDER BY number").fetchall()
    assert rows == [(number, 100 + number) for number in range(ORDERS)]
