"""Fixtures: every test that asks for `store` runs once for each implementation of the port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from understudy_runtime.core.ports import Store
from understudy_runtime.storage.memory import MemoryStore
from understudy_runtime.storage.sqlite import SqliteStore

Reopen = Callable[[], Store]


@pytest.fixture(params=["memory", "sqlite"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Gives the store as a fresh process would find it."""
    if request.param == "memory":
        memory = MemoryStore()
        return lambda: memory
    return lambda: SqliteStore(tmp_path / "state.db")


@pytest.fixture
async def store(reopen: Reopen) -> AsyncIterator[Store]:
    store = reopen()
    await store.open("node-a", 1000.0)
    yield store
    await store.close()
