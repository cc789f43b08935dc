"""Where one repeat works: a folder of its own on a real disk, and a store in it, or a database's schema of its own."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import msgspec

import understudy
from benchmarks.app import app
from benchmarks.served import ServedNode, serve
from understudy import App, Client
from understudy.client import connect
from understudy_runtime.storage.postgres.address import Address, parse
from understudy_runtime.storage.urls import is_database

IN_MEMORY = frozenset({"tmpfs", "ramfs"})


class Place(msgspec.Struct, frozen=True):
    """`store` is "sqlite", "memory" or the URL of a database; `folder` is empty and for this repeat alone.

    `via` is "embedded" (the node is in this process) or "grpc" (in another one, with the benchmarks' own app).
    """

    store: str
    folder: Path
    via: str = "embedded"

    @property
    def url(self) -> str:
        if is_database(self.store):
            return self.store
        return "memory://" if self.store == "memory" else f"sqlite:///{self.folder / 'state.db'}"

    @asynccontextmanager
    async def node(self, app: App = app) -> AsyncGenerator[Client]:
        """A node over this place's store."""
        async with self.opened(app) as (client, _):
            yield client

    @asynccontextmanager
    async def opened(self, app: App = app) -> AsyncGenerator[tuple[Client, ServedNode | None]]:
        """A node, and how to reach it if it is a process of its own."""
        if self.via == "embedded":
            async with understudy.embedded(app, store=self.url) as client:
                yield client, None
        else:
            async with self.served() as node, connect(node.address, app) as client:
                yield client, node

    @asynccontextmanager
    async def served(self) -> AsyncGenerator[ServedNode]:
        """A node in another process."""
        async with serve(self.url) as node:
            yield node


@contextmanager
def fresh_place(store: str, parent: Path, via: str = "embedded") -> Generator[Place]:
    """Called outside of any event loop."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        if is_database(store):
            store = f"{store}{'&' if '?' in store else '?'}schema=bench_{uuid.uuid4().hex}"
        try:
            yield Place(store, Path(folder).resolve(), via)
        finally:
            if is_database(store):
                asyncio.run(_drop(parse(store)))


async def _drop(address: Address) -> None:
    database = await asyncpg.connect(address.dsn)
    await database.execute(f"DROP SCHEMA IF EXISTS {address.schema} CASCADE")
    await database.close()


def is_in_memory(folder: Path, mounts: Path = Path("/proc/mounts")) -> bool:
    """Whether the folder is (or would be) on a file system that is known to be in memory, where fsync does nothing."""
    if not mounts.exists():
        return False
    kinds = {Path(point): kind for _, point, kind, *_ in map(str.split, mounts.read_text().splitlines())}
    resolved = folder.resolve()
    return next((kinds[point] in IN_MEMORY for point in (resolved, *resolved.parents) if point in kinds), False)
