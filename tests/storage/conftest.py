"""Fixtures: every test that asks for `store` runs once for each implementation of the port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.storage.database import Database, running_database
from tests.storage.pgbouncer import PgBouncer, running_pgbouncer
from understudy_runtime.core.ports import Store
from understudy_runtime.storage.memory import MemoryStore
from understudy_runtime.storage.postgres import PostgresStore, claims
from understudy_runtime.storage.sqlite import SqliteStore

Reopen = Callable[[], Store]


@pytest.fixture(scope="session")
def database() -> Iterator[Database]:
    """A real server, with fsync on. Whoever stops it starts it again."""
    with running_database() as database:
        yield database


@pytest.fixture(scope="session")
def pgbouncer(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PgBouncer]:
    """In front of that server, in transaction mode. It stays up."""
    with running_pgbouncer(tmp_path_factory.mktemp("pgbouncer"), database) as pgbouncer:
        yield pgbouncer


@pytest.fixture(autouse=True)
def short_lock_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test kills a node and opens the next at once, which is what the wait is for."""
    monkeypatch.setattr(claims, "LOCK_WAIT_S", 0.1)


@pytest.fixture(params=["memory", "sqlite", "postgres", "postgres-pgbouncer"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Gives the store as a fresh process would find it."""
    if request.param == "memory":
        memory = MemoryStore()
        return lambda: memory
    if request.param.startswith("postgres"):
        url = request.getfixturevalue("database").wiped()
        if request.param == "postgres-pgbouncer":
            url = request.getfixturevalue("pgbouncer").url(url)
        return lambda: PostgresStore(url)
    return lambda: SqliteStore(tmp_path / "state.db")


@pytest.fixture
async def store(reopen: Reopen) -> AsyncIterator[Store]:
    store = reopen()
    await store.open("node-a", 1000.0)
    yield store
    await store.close()
