"""A backup taken while a node writes has all that was acknowledged before it; what is made of it goes on above it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

import understudy
from tests.storage.committing_program import ACTORS
from tests.storage.writing import commit, run, seqs, turn
from understudy import App, Client, lock, wait_until
from understudy.errors import StoreError
from understudy_runtime.storage.reading import open_reader
from understudy_runtime.storage.sqlite import SqliteStore
from understudy_runtime.storage.sqlite.backup import adopt, back_up, restore
from understudy_runtime.storage.sqlite.connections import connect_writer
from understudy_runtime.storage.sqlite.writes import NotOurs, Writes

pytestmark = pytest.mark.anyio

NOW = time.time()
A = run("a")
app = App("backup")


@app.workflow
async def fence_of(name: str) -> int:
    async with lock(name) as held:
        return held.fence


@app.workflow
class Waiting:
    def __init__(self) -> None:
        self.word: str | None = None

    async def run(self) -> str:
        return await wait_until(lambda: self.word)

    @understudy.handler
    def say(self, word: str) -> None:
        self.word = word


class Writer:
    """A process that commits without a pause."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.storage.committing_program", path], stdout=subprocess.PIPE, text=True
        )

    def acknowledged(self, more: int) -> int:
        """The last of so many further batches that are durable."""
        assert self.process.stdout is not None
        return [int(self.process.stdout.readline()) for _ in range(more)][-1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    writer = Writer(path)
    yield writer
    writer.process.kill()
    writer.process.communicate()


async def test_a_backup_under_load_has_all_that_was_acknowledged_before_it(writer: Writer, path: Path) -> None:
    for number in range(3):
        before = writer.acknowledged(20)
        backup = path.with_name(f"backup-{number}")
        back_up(path, backup, NOW)
        writer.acknowledged(20)
        restored = path.with_name(f"restored-{number}")
        restore(backup, restored, NOW)
        store = SqliteStore(restored)
        await store.open("node-b", NOW)
        written = {len(await seqs(store, key)) for key in ACTORS}
        assert len(written) == 1, "of each batch there is all or nothing"
        assert written.pop() >= before
        await commit(store, turn(A, 1))
        await store.close()


async def test_no_node_opens_a_backup_by_mistake(path: Path) -> None:
    await make(path)
    back_up(path, path.with_name("backup"), NOW)
    with pytest.raises(StoreError, match="is a backup: make a store of it with `understudy store restore"):
        await SqliteStore(path.with_name("backup")).open("node-b", NOW)
    with open_reader(path.with_name("backup")) as reader:
        assert [each.seq for each in reader.turns(A)] == [1]


async def test_nothing_is_overwritten(path: Path) -> None:
    await make(path)
    with pytest.raises(StoreError, match="is there already"):
        back_up(path, path, NOW)
    back_up(path, path.with_name("backup"), NOW)
    with pytest.raises(StoreError, match="is there already"):
        restore(path.with_name("backup"), path, NOW)
    with pytest.raises(StoreError, match="there is no store"):
        back_up(path.with_name("missing"), path.with_name("other"), NOW)
    assert sorted(each.name for each in path.parent.iterdir() if "partial" in each.name) == []


def test_while_a_process_has_the_old_store_open_nothing_is_restored_in_its_place(writer: Writer, path: Path) -> None:
    writer.acknowledged(5)
    backup = path.with_name("backup")
    back_up(path, backup, NOW)
    path.rename(path.with_name("moved"))
    for each in ("-wal", "-shm"):
        Path(f"{path}{each}").rename(path.with_name(f"moved{each}"))
    with pytest.raises(StoreError, match="is open for writing in process"):
        restore(backup, path, NOW)
    assert not path.exists()


async def test_a_writer_of_before_cannot_write_to_what_was_restored(path: Path) -> None:
    """Where locks do not reach, as between machines, its term is of no use either."""
    await make(path)
    con = sqlite3.connect(path)
    [(term, incarnation)] = con.execute("SELECT term, incarnation FROM shard").fetchall()
    con.close()
    back_up(path, path.with_name("backup"), NOW)
    restored = path.with_name("restored")
    restore(path.with_name("backup"), restored, NOW)
    con = connect_writer(restored, NOW)
    with pytest.raises(NotOurs):
        Writes(1, [turn(A, 2)]).run(con.cursor(), term, incarnation)
    con.close()


async def test_runs_go_on_and_fences_only_grow_also_those_that_the_backup_does_not_know_of(path: Path) -> None:
    """Restored twice from the same backup, too."""
    seen: list[int] = []
    async with embedded(path) as client:
        waiting = await client.start(Waiting, id="waiting")
        seen.append(await client.run(fence_of, "ledger"))
        await asyncio.to_thread(back_up, path, path.with_name("backup"), time.time())
        seen += [await client.run(fence_of, name) for name in ("ledger", "made-after", "ledger", "made-after")]
    for number in range(2):
        restored = path.with_name(f"restored-{number}")
        restore(path.with_name("backup"), restored, time.time())
        async with embedded(restored) as client:
            now = [await client.run(fence_of, name) for name in ("ledger", "made-after", "ledger")]
            assert min(now) > max(seen)
            assert now[2] > now[0]
            assert now[0] < 2**53, "also a number to programs that have no integers"
            seen += now
            waiting = client.handle("waiting", Waiting)
            await waiting.tell(Waiting.say, "on")
            async with asyncio.timeout(30):
                assert await waiting.result() == "on"


async def test_a_file_that_was_copied_by_other_means_is_adopted_in_its_place(path: Path) -> None:
    store = await make(path)
    copied = path.with_name("copied")
    shutil.copy(path, copied)
    adopt(copied, NOW)
    again = SqliteStore(copied)
    await again.open("node-b", NOW)
    assert again.epoch == int(NOW * 1e6)
    assert await seqs(again, A) == [1]
    with pytest.raises(StoreError, match="already open for writing in this process"):
        adopt(copied, NOW)
    await again.close()
    assert store.epoch == 0
    adopt(copied, NOW - 1000)
    with open_reader(copied) as reader:
        assert reader.epoch == int(NOW * 1e6) + 1, "a clock that was set back changes nothing"


def test_a_damaged_store_makes_no_backup(path: Path) -> None:
    asyncio.run(closed_after_making(path))
    data = bytearray(path.read_bytes())
    data[4096 * 2 :] = b"\xff" * (len(data) - 4096 * 2)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="cannot be copied"):
        back_up(path, path.with_name("backup"), NOW)
    assert not path.with_name("backup").exists()


async def make(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    await store.open("node-a", NOW)
    await commit(store, turn(A, 1))
    await store.close()
    return store


async def closed_after_making(path: Path) -> None:
    await make(path)


def embedded(path: Path) -> AbstractAsyncContextManager[Client]:
    return understudy.embedded(app, store=f"sqlite:///{path}")
