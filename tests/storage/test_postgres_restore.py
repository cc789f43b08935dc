"""A database that was restored by its own tools is adopted: then nobody of before can write to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

import understudy
from tests.storage.database import Database
from tests.storage.test_backup import Waiting, app, fence_of
from tests.storage.writing import commit, run, seqs, turn
from understudy.errors import StoreError
from understudy_runtime.storage.postgres import PostgresStore
from understudy_runtime.storage.postgres.address import parse

pytestmark = pytest.mark.anyio

KEYS = [run(f"{n}") for n in range(40)]


@pytest.fixture
async def url(database: Database) -> AsyncIterator[str]:
    url = database.url()
    yield url
    client = await database.connect()
    await client.execute(f"DROP SCHEMA IF EXISTS {parse(url).schema} CASCADE")
    await client.close()


async def adopted(url: str) -> None:
    store = PostgresStore(url)
    await store.open("adopting", time.time())
    await store.begin_epoch()
    await store.close()


class Writer:
    """Commits without a pause."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._stopped = False
        self.under_way = asyncio.Event()
        self.acknowledged = 0

    async def write(self) -> None:
        while not self._stopped:
            await commit(self._store, *(turn(key, self.acknowledged + 1) for key in KEYS))
            self.acknowledged += 1
            if self.acknowledged == 20:
                self.under_way.set()

    def stop(self) -> None:
        self._stopped = True


async def test_a_dump_under_load_has_all_that_was_acknowledged_and_its_old_node_is_shut_out(
    database: Database, url: str
) -> None:
    old = PostgresStore(f"{url}&pooler=1")  # so that no lock keeps it apart, only terms
    await old.open("old", time.time())
    writer = Writer(old)
    writing = asyncio.create_task(writer.write())
    await writer.under_way.wait()
    before = writer.acknowledged
    dump = await asyncio.to_thread(database.dump, parse(url).schema)
    writer.stop()
    await writing
    assert writer.acknowledged > before

    await asyncio.to_thread(database.load, parse(url).schema, dump)
    await adopted(url)
    with pytest.raises(Exception, match="another node has taken over"):
        await commit(old, turn(KEYS[0], 1_000))
    seen = {row.id: row.term for row in await old.read_shards()}
    with pytest.raises(StoreError, match="restored from a backup since this node opened it: end this node"):
        await old.claim(seen)
    await old.close()

    new = PostgresStore(url)
    await new.open("new", time.time())
    written = {len(await seqs(new, key)) for key in KEYS}
    assert len(written) == 1
    assert written.pop() >= before
    await commit(new, turn(KEYS[0], 1_000))
    assert min(new.terms.values()) > new.epoch > 0
    await new.close()


async def test_a_store_that_a_node_has_open_is_not_adopted(url: str) -> None:
    node = PostgresStore(url)
    await node.join("ann", "ann-1", time.time())
    with pytest.raises(StoreError, match="already open for writing"):
        await adopted(url)
    await node.close()
    await adopted(url)


async def test_runs_go_on_and_fences_only_grow(database: Database, url: str) -> None:
    async with understudy.embedded(app, store=url) as client:
        await client.start(Waiting, id="waiting")
        seen = [await client.run(fence_of, "ledger")]
        dump = await asyncio.to_thread(database.dump, parse(url).schema)
        seen += [await client.run(fence_of, name) for name in ("ledger", "made-after")]
    await asyncio.to_thread(database.load, parse(url).schema, dump)
    await adopted(url)
    async with understudy.embedded(app, store=url) as client:
        now = [await client.run(fence_of, name) for name in ("ledger", "made-after")]
        assert min(now) > max(seen)
        waiting = client.handle("waiting", Waiting)
        await waiting.tell(Waiting.say, "on")
        async with asyncio.timeout(30):
            assert await waiting.result() == "on"
