"""The shared database: every order is in it once, and its budget of connections is kept."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from examples import shared_database as example
from tests.storage.database import running_database
from understudy import embedded

pytestmark = pytest.mark.anyio

ORDERS = 30


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'shop.db'}"
    else:
        with running_database() as server:
            yield f"postgresql://postgres@/postgres?host={server.socket.parent}"


async def test_never_more_connections_are_open_than_there_may_be(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    async with embedded(example.app, store=f"sqlite:///{tmp_path / 'state.db'}") as client:
        assert await client.run(example.import_orders, ORDERS, shop) == ORDERS
    assert 1 < max(opened) <= example.CONNECTIONS
    async with connection(shop) as execute:
        rows = await execute("SELECT number, cents FROM orders ORDER BY number")
    assert [tuple(row) for row in rows] == [(number, 100 + number) for number in range(ORDERS)]
