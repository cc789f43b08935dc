"""What PostgreSQL, the network and other clients do to the store, with a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import pytest

from tests.storage.database import Database
from tests.storage.proxy import Loss, Proxy, proxy_to
from tests.storage.writing import commit, message, row, rows_only, run, seqs, turn
from understudy.errors import StoreError
from understudy_runtime.core.ports import CommitFailed, PartlyFailed, TurnWrite
from understudy_runtime.storage.postgres import PostgresStore, connections
from understudy_runtime.storage.postgres.address import parse
from understudy_runtime.storage.postgres.schema import LATEST

pytestmark = pytest.mark.anyio

A, B, C = run("a"), run("b"), run("c")
MARK = b"the turn that is lost on its way"


@asynccontextmanager
async def opened(url: str, patience_s: float = 20.0) -> AsyncGenerator[PostgresStore]:
    store = PostgresStore(url, patience_s=patience_s)
    await store.open("ann", 1000.0)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def proxy(database: Database) -> AsyncIterator[Proxy]:
    async with proxy_to(database.socket) as proxy:
        yield proxy


def through(proxy: Proxy, url: str) -> str:
    """The same store, through the proxy."""
    return f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres?{url.rpartition('/')[2].partition('&')[2]}"


# --- a COMMIT whose answer is lost


@pytest.mark.parametrize("loss", [Loss.BEFORE, Loss.AFTER])
async def test_a_commit_whose_answer_is_lost_is_durable_once(database: Database, proxy: Proxy, loss: Loss) -> None:
    async with opened(through(proxy, database.url())) as store:
        await commit(store, turn(A, 1), turn(B, 1), TurnWrite(C, 1, 1.0, b"[]", sent=[message(C, C, 1)]))
        proxy.lose(MARK, loss)
        sent, consumed = [message(B, A, 7)], [(C, 1)]
        await commit(store, TurnWrite(A, 2, 1.0, MARK, row=row(A), sent=sent), TurnWrite(C, 2, 1.0, consumed=consumed))
        assert proxy.lost.is_set()
        await commit(store, turn(A, 3))
        assert [(each.lsn, each.seq, each.records) for each in await store.turns(A, 1, 9)] == [
            (2, 2, MARK),
            (3, 3, b"[]"),
        ]
        b, c = await store.load([B, C])
        assert (list(b.inbox), list(c.inbox)) == (sent, [])


async def test_a_commit_that_appends_nothing_is_done_once_too(database: Database, proxy: Proxy) -> None:
    """Were it done twice, the message would be there again after its receiver had taken it in."""
    url = database.url()
    async with opened(through(proxy, url)) as store:
        await commit(store, turn(A, 1))
        proxy.lose(MARK, Loss.AFTER)
        asked: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        store.commit([TurnWrite(A, 1, 1.0, sent=[message(B, A, -1, MARK)])], asked.set_result)
        await proxy.lost.wait()
        client = await database.connect()
        await client.execute(f"DELETE FROM {parse(url).schema}.inbox")
        await client.close()
        assert await asked is None
        [b] = await store.load([B])
        assert list(b.inbox) == []


async def test_a_commit_that_arrives_after_it_was_sent_again_changes_nothing(database: Database, proxy: Proxy) -> None:
    async with opened(through(proxy, database.url())) as store:
        await commit(store, turn(A, 1))
        proxy.lose(MARK, Loss.LATE)
        await commit(store, TurnWrite(A, 2, 1.0, MARK))
        await commit(store, turn(A, 3))
        proxy.release()
        await proxy.arrived.wait()
        await commit(store, turn(A, 4))
        assert [(each.lsn, each.seq) for each in await store.turns(A, 0, 9)] == [(n, n) for n in (1, 2, 3, 4)]


async def test_a_commit_whose_shard_was_taken_meanwhile_is_fenced(database: Database, proxy: Proxy) -> None:
    url = database.url()
    async with opened(through(proxy, url)) as store:
        await commit(store, turn(A, 1))
        proxy.lose(MARK, Loss.LATE)
        fate: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        client = await database.connect()
        block = client.transaction()
        await block.start()
        await client.execute(f"UPDATE {parse(url).schema}.shard SET term = term + 1, incarnation = 'thief'")
        store.commit([TurnWrite(A, 2, 1.0, MARK)], fate.set_result)
        await proxy.lost.wait()
        await block.commit()
        error = await fate
        assert isinstance(error, PartlyFailed)
        proxy.release()
        await proxy.arrived.wait()
        assert await seqs(store, A) == [1]
        await client.close()


# --- servers that go away


@pytest.mark.slow
async def test_commits_and_reads_wait_for_a_server_that_restarts(database: Database) -> None:
    async with opened(database.url()) as store:
        await commit(store, turn(A, 1))
        database.stop()
        committing = asyncio.gather(commit(store, turn(A, 2)), commit(store, turn(A, 3)), commit(store, turn(B, 1)))
        reading = asyncio.create_task(store.load([A]))
        await asyncio.to_thread(database.start)
        await committing
        assert (await reading)[0].key == A
        assert await seqs(store, A) == [1, 2, 3]
        assert store.silent_s == 0.0


@pytest.mark.slow
async def test_restarts_under_load_lose_nothing_and_do_nothing_twice(database: Database) -> None:
    keys = [run(f"r{n}") for n in range(40)]
    async with opened(database.url()) as store:
        stopped = asyncio.Event()

        async def write() -> int:
            seq = 0
            while not stopped.is_set():
                seq += 1
                await commit(store, *(turn(key, seq) for key in keys))
            return seq

        writing = asyncio.create_task(write())
        for _ in range(4):
            await commit(store, turn(A, len(await seqs(store, A)) + 1))
            await asyncio.to_thread(database.stop)
            await asyncio.to_thread(database.start)
        stopped.set()
        last = await writing
        assert [await seqs(store, key) for key in keys] == [list(range(1, last + 1))] * len(keys)


@pytest.mark.slow
async def test_a_server_that_stays_away_is_given_up_and_what_it_has_is_the_truth(database: Database) -> None:
    url = database.url()
    async with opened(url, patience_s=0.5) as store:
        await commit(store, turn(A, 1))
        database.stop()
        try:
            with pytest.raises(CommitFailed, match="not known what is stored: store postgresql://"):
                await commit(store, turn(A, 2))
            with pytest.raises(StoreError, match="cannot be reached"):
                await store.load([A])
        finally:
            database.start()
        with pytest.raises(CommitFailed, match="not known what is stored"):
            await commit(store, turn(A, 2))
    async with opened(url) as again:
        assert await seqs(again, A) == [1]
        await commit(again, turn(A, 2))


@pytest.mark.slow
async def test_when_a_server_that_was_given_up_is_back_shards_are_claimed_anew(database: Database) -> None:
    """As by a node of a cluster, which forgets what it had, and goes on with what is stored."""
    store = PostgresStore(database.url(), patience_s=0.5)
    await store.join("ann", "life-1", 1000.0)
    await store.claim(dict.fromkeys(range(16), 0))
    await commit(store, turn(A, 1))
    database.stop()
    try:
        with pytest.raises(CommitFailed, match="not known what is stored"):
            await commit(store, turn(A, 2))
        assert not store.terms
    finally:
        database.start()
    claimed = await store.claim({row.id: row.term for row in await store.read_shards()})
    assert set(claimed.values()) == {2}
    assert await seqs(store, A) == [1]
    await commit(store, turn(A, 2))
    assert await seqs(store, A) == [1, 2]
    await store.close()


async def test_a_connection_that_is_ended_is_made_again(database: Database) -> None:
    async with opened(database.url()) as store:
        await commit(store, turn(A, 1))
        client = await database.connect()
        await client.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'understudy%'"
        )
        await commit(store, turn(A, 2))
        assert await seqs(store, A) == [1, 2]
        await client.close()


async def test_a_server_without_a_connection_to_spare_is_waited_for(database: Database) -> None:
    client = await database.connect()
    await client.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 3; GRANT ALL ON DATABASE postgres TO few")
    store = PostgresStore(database.url().replace("postgres@", "few@"))
    await store.join("ann", "life-1", 1000.0)
    await store.claim(dict.fromkeys(range(16), 0))
    await commit(store, turn(A, 1))
    async with asyncio.timeout(20):
        while await client.fetchval("SELECT count(*) FROM pg_stat_activity WHERE usename = 'few'") > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # until the connection that migrated has been ended
        others = await all_there_are(database, "few")
        reading = asyncio.create_task(seqs(store, A))
        assert store._opened is not None
        while store._opened.reading.silent_s < 0.1:  # noqa: ASYNC110 - the store tells nobody that it tries again
            await asyncio.sleep(0.01)
        for other in others:
            await other.close()
        assert await reading == [1]
    await store.close()
    await client.execute("DROP OWNED BY few CASCADE; DROP ROLE few")
    await client.close()


async def all_there_are(database: Database, user: str) -> list[Any]:
    """Connect until the server refuses."""
    clients: list[Any] = []
    with suppress(asyncpg.TooManyConnectionsError):
        while True:
            clients.append(await database.connect(user))
    return clients


# --- statements that are refused


@pytest.mark.parametrize(
    "bad",
    [
        TurnWrite(B, 1, 1.0, b"[]", row=row(B, status="a\0b")),
        turn(run("nul\0"), 1),
        turn(run("surrogate\ud800"), 1),
        turn(B, 2**70),
        TurnWrite(B, 1, 1.0, b"[]", snapshot=b"of what has no row"),
    ],
    ids=["nul", "nul-in-key", "surrogate", "huge", "rowless"],
)
async def test_a_value_the_database_refuses_fails_its_actor_alone(database: Database, bad: TurnWrite) -> None:
    good = [run(f"r{n}") for n in range(20)]
    async with opened(database.url()) as store:
        before, after = good[:7], good[7:]
        with pytest.raises(PartlyFailed) as failed:
            await commit(store, *(turn(key, 1) for key in before), bad, *(turn(key, 1) for key in after))
        assert failed.value.rejected.keys() == {bad.key}
        assert not failed.value.fenced
        await commit(store, *(turn(key, 2) for key in good))
        assert [await seqs(store, key) for key in good] == [[1, 2]] * 20
        assert len(store.terms) == store.shards


async def test_a_shard_that_stays_locked_is_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LOCK_TIMEOUT_S", 0.05)
    url = database.url()
    async with opened(url) as store:
        await commit(store, turn(A, 1))
        client = await database.connect()
        block = client.transaction()
        await block.start()
        await client.fetch(f"SELECT 1 FROM {parse(url).schema}.shard FOR UPDATE")
        writing = asyncio.create_task(commit(store, turn(A, 2)))
        while store.silent_s < 0.2:  # longer than one lock timeout  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await block.rollback()
        await writing
        assert await seqs(store, A) == [1, 2]
        await client.close()


async def test_a_shard_locked_for_too_long_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LOCK_TIMEOUT_S", 0.05)
    url = database.url()
    async with opened(url, patience_s=0.3) as store:
        client = await database.connect()
        async with client.transaction():
            await client.fetch(f"SELECT 1 FROM {parse(url).schema}.shard FOR UPDATE")
            with pytest.raises(CommitFailed, match="a row stayed locked"):
                await commit(store, turn(A, 1))
        await client.close()


# --- databases that are not what they were


async def test_a_database_that_forgot_commits_fences_its_writer(database: Database) -> None:
    """A failover to a replica that lagged, or a backup: what is stored counts."""
    url = database.url()
    async with opened(url) as store:
        await commit(store, turn(A, 1))
        await commit(store, turn(A, 2))
        client = await database.connect()
        schema = parse(url).schema
        await client.execute(
            f"DELETE FROM {schema}.journal WHERE seq = 2;UPDATE {schema}.shard SET head = 1, commits = 1 WHERE head = 2"
        )
        await client.close()
        with pytest.raises(PartlyFailed) as failed:
            await commit(store, turn(A, 3))
        assert len(failed.value.fenced) == 1
        assert await seqs(store, A) == [1]


async def test_a_backup_whose_terms_are_reached_again_fences_those_of_before(database: Database) -> None:
    url = database.url()
    async with opened(url) as store:
        client = await database.connect()
        await client.execute(f"UPDATE {parse(url).schema}.shard SET incarnation = 'another life, same term'")
        await client.close()
        with pytest.raises(PartlyFailed):
            await commit(store, turn(A, 1), *rows_only(row(B)))
        assert await store.rows(namespace="shop") == []


# --- opening


async def test_nodes_that_start_at_once_migrate_once(database: Database) -> None:
    url = database.url()
    nodes = [PostgresStore(url) for _ in range(6)]
    await asyncio.gather(*(node.join(f"node-{n}", f"life-{n}", 1000.0 + n) for n, node in enumerate(nodes)))
    claimed = await asyncio.gather(*(node.claim(dict.fromkeys(range(16), 0)) for node in nodes))
    assert sorted(number for each in claimed for number in each) == list(range(16))
    for node in nodes:
        await node.close()


async def test_a_store_keeps_the_number_of_shards_it_was_made_with(database: Database) -> None:
    url = database.url(shards=4)
    async with opened(url) as store:
        assert store.shards == 4
    async with opened(url.replace("shards=4", "shards=64")) as store:
        assert (store.shards, len(store.terms)) == (4, 4)


async def test_the_next_schema_is_worked_with_and_a_later_one_refused(database: Database) -> None:
    url = database.url()
    async with opened(url):
        pass
    client = await database.connect()
    for schema, works in ((f"{LATEST + 1}", True), (f"{LATEST + 2}", False)):
        await client.execute(f"UPDATE {parse(url).schema}.meta SET value = $1 WHERE name = 'schema'", schema)
        if works:
            async with opened(url) as store:
                await commit(store, turn(A, 1))
        else:
            with pytest.raises(StoreError, match="newer understudy"):
                await PostgresStore(url).open("ann", 1.0)
    await client.close()


async def test_tables_of_another_program_are_left_alone(database: Database) -> None:
    url = database.url()
    schema = parse(url).schema
    client = await database.connect()
    for columns in ("other text", "name text, value text"):
        await client.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.meta ({columns})")
        with pytest.raises(StoreError, match=r"holds tables of another program: name another with \?schema="):
            await PostgresStore(url).open("ann", 1.0)
        await client.execute(f"DROP SCHEMA {schema} CASCADE")
    await client.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("/postgres?", "/nowhere?"), "there is no such database"),
        (("postgres@", "nobody:s3cret@"), "role .* does not exist"),
        (("host=/", "host=/nowhere/"), "cannot be reached"),
    ],
)
async def test_a_database_that_cannot_be_opened_says_why_without_the_password(
    database: Database, change: tuple[str, str], told: str
) -> None:
    store = PostgresStore(database.url().replace(*change), patience_s=0.0)
    with pytest.raises(StoreError, match=told) as failed:
        await store.open("ann", 1.0)
    assert "s3cret" not in str(failed.value)


async def test_the_stores_clock_is_known_from_the_opening_and_from_each_commit(database: Database) -> None:
    """On this machine it is the machine's own."""
    async with opened(database.url()) as store:
        first = store.clock_offset_s
        await commit(store, turn(A, 1))
        later = store.clock_offset_s
        assert first is not None
        assert later not in (None, first)
        for offset_s in (first, later):
            assert abs(time.monotonic() + (offset_s or 0) - time.time()) < 5.0
