"""Behind a real PgBouncer in transaction mode. That it keeps what every store promises is shown by test_conformance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.storage.database import Database
from tests.storage.pgbouncer import POOL_SIZE, PgBouncer, running_pgbouncer
from tests.storage.writing import commit, run, seqs, turn
from understudy_runtime.core.ports import PartlyFailed
from understudy_runtime.storage.postgres import PostgresStore
from understudy_runtime.storage.postgres.connections import SESSION, TRANSACTION

pytestmark = pytest.mark.anyio

A, B = run("a"), run("b")
KEYS = [run(f"r{n}") for n in range(20)]
OURS = ", ".join([*SESSION, *TRANSACTION, "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"])


@pytest.fixture
def own(tmp_path: Path, database: Database) -> Iterator[PgBouncer]:
    """One to do harm to."""
    with running_pgbouncer(tmp_path, database) as made:
        yield made


@pytest.fixture
async def client(pgbouncer: PgBouncer) -> AsyncIterator[Any]:
    client = await asyncpg.connect(pgbouncer.url("?"), statement_cache_size=0)
    yield client
    await client.close()


class Writing:
    """Commits that go on all the while, of which none may fail."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._over = asyncio.Event()
        self._seq = 0
        self._task = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while not self._over.is_set():
            self._seq += 1
            await commit(self._store, *(turn(key, self._seq) for key in KEYS))

    async def more(self) -> None:
        """Returns when some have come through that began after this was asked."""
        async with asyncio.timeout(30):
            seen = self._seq
            while self._seq < seen + 3:
                assert not self._task.done(), self._task
                await asyncio.sleep(0.005)

    async def end(self) -> None:
        self._over.set()
        await self._task
        for key in KEYS:
            assert await seqs(self._store, key) == list(range(1, self._seq + 1))


async def test_one_that_ignores_our_settings_is_found_out_as_one_that_refuses_them(
    database: Database, tmp_path: Path
) -> None:
    """The second store comes upon statements that the first has left on the servers when it found out."""
    with running_pgbouncer(tmp_path, database, ignored=OURS) as ignoring:
        for _ in range(2):
            store = PostgresStore(ignoring.url(database.url()))
            await store.open("ann", 1000.0)
            for seq in range(1, 6):
                await commit(store, turn(A, seq))
                assert await seqs(store, A) == list(range(1, seq + 1))
            await store.close()


async def test_nodes_that_start_at_once_migrate_once_and_share_the_shards(
    pgbouncer: PgBouncer, database: Database
) -> None:
    url = pgbouncer.url(database.url())
    nodes = [PostgresStore(url) for _ in range(6)]
    await asyncio.gather(*(node.join(f"node-{n}", f"life-{n}", 1000.0 + n) for n, node in enumerate(nodes)))
    claimed = await asyncio.gather(*(node.claim(dict.fromkeys(range(16), 0)) for node in nodes))
    assert sorted(number for each in claimed for number in each) == list(range(16))
    for node in nodes:
        await node.close()


async def test_there_is_no_lock_and_the_last_to_open_a_store_writes_it(
    pgbouncer: PgBouncer, database: Database
) -> None:
    url = pgbouncer.url(database.url())
    ann, bob = PostgresStore(url), PostgresStore(url)
    await ann.open("ann", 1000.0)
    await commit(ann, turn(A, 1))
    await bob.open("bob", 2000.0)
    with pytest.raises(PartlyFailed, match="another node has taken over"):
        await commit(ann, turn(A, 2))
    await commit(bob, turn(A, 2))
    assert await seqs(bob, A) == [1, 2]
    await ann.close()
    await bob.close()


async def test_what_a_transaction_sets_is_gone_with_it(pgbouncer: PgBouncer, database: Database, client: Any) -> None:
    """Who shares the servers with us has the settings that it had."""
    store = PostgresStore(pgbouncer.url(database.url()))
    await store.open("ann", 1000.0)
    await asyncio.gather(*(seqs(store, A) for _ in range(10)), *(commit(store, turn(A, seq)) for seq in range(1, 5)))
    for _ in range(2 * POOL_SIZE):
        assert await client.fetchval("SHOW statement_timeout") == "0"
        assert await client.fetchval("SHOW enable_seqscan") == "on"
        assert await client.fetchval("SELECT count(*) FROM pg_prepared_statements") == 0
    await store.close()


async def test_commits_and_reads_go_on_while_it_is_restarted(own: PgBouncer, database: Database) -> None:
    store = PostgresStore(own.url(database.url()))
    await store.open("ann", 1000.0)
    writing = Writing(store)
    for _ in range(3):
        await writing.more()
        await asyncio.to_thread(own.stop)
        reading = asyncio.create_task(store.load([A]))
        await asyncio.to_thread(own.start)
        assert (await reading)[0].key == A
    await writing.more()
    await writing.end()
    await store.close()


@pytest.mark.slow
async def test_commits_and_reads_go_on_when_the_server_behind_it_restarts(own: PgBouncer, database: Database) -> None:
    store = PostgresStore(own.url(database.url()))
    await store.open("ann", 1000.0)
    writing = Writing(store)
    for _ in range(2):
        await writing.more()
        await asyncio.to_thread(database.stop)
        reading = asyncio.create_task(store.load([A]))
        await asyncio.to_thread(database.start)
        assert (await reading)[0].key == A
    await writing.more()
    await writing.end()
    await store.close()


async def test_a_pool_that_others_have_taken_is_waited_for(own: PgBouncer, database: Database) -> None:
    store = PostgresStore(own.url(database.url()))
    await store.open("ann", 1000.0)
    others = [await asyncpg.connect(own.url("?"), statement_cache_size=0) for _ in range(POOL_SIZE)]
    for other in others:
        await other.execute("BEGIN")
    committing = asyncio.create_task(commit(store, turn(A, 1)))
    while store.silent_s < 0.2:  # noqa: ASYNC110 - it tells nobody that it waits
        await asyncio.sleep(0.01)
    for other in others:
        await other.execute("ROLLBACK")
        await other.close()
    await committing
    assert await seqs(store, A) == [1]
    await store.close()
