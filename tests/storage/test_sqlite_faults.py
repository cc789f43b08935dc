"""When the file or the disk is at fault: a clear error, nothing reported that is not durable, no hang."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.storage.writing import commit, message, row, rows_only, run, seqs, turn
from understudy.errors import StoreError
from understudy_runtime.core.ports import CommitFailed, Fenced, TurnWrite
from understudy_runtime.storage.sqlite import SqliteStore, schema
from understudy_runtime.storage.sqlite.committer import IDLE_S

pytestmark = pytest.mark.anyio

A, B = run("a"), run("b")


async def open_store(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    await store.open("node-a", 1000.0)
    return store


def said_by(program: str, path: Path) -> str:
    return subprocess.run([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True, check=True).stdout


# --- opening


async def test_missing_folders_are_made(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "some" / "new" / "state.db")
    await commit(store, turn(A, 1))
    await store.close()


async def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot make the folder .*file"):
        await open_store(tmp_path / "file" / "state.db")


async def test_a_folder_in_the_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder: name a file in it"):
        await open_store(tmp_path)


async def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "state.db").touch()
    store = await open_store(tmp_path / "state.db")
    await commit(store, turn(A, 1))
    await store.close()


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes, which matter to me\n" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a SQLite database"):
        await open_store(path)
    assert path.read_bytes() == before


async def test_a_database_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE customers (name TEXT)")
    con.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not an understudy store"):
        await open_store(path)
    assert path.read_bytes() == before


def set_schema(path: Path, version: int) -> None:
    con = sqlite3.connect(path, isolation_level=None)
    con.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (version,))
    con.close()


async def test_the_next_schema_is_tolerated_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await (await open_store(path)).close()
    set_schema(path, schema.SCHEMA + 1)
    store = await open_store(path)
    await commit(store, turn(A, 1))
    await store.close()
    con = sqlite3.connect(path)
    assert schema.version(con) == schema.SCHEMA + 1
    con.close()


async def test_a_schema_after_the_next_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await (await open_store(path)).close()
    set_schema(path, schema.SCHEMA + 2)
    with pytest.raises(StoreError, match=r"newer understudy .* upgrade understudy"):
        await open_store(path)


AS_NOBODY = """
import asyncio, os, sys
from understudy.errors import StoreError
from understudy_runtime.storage.sqlite import SqliteStore
os.setuid(65534)
try:
    asyncio.run(SqliteStore(sys.argv[1]).open("node-a", 1.0))
except StoreError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="gives its privileges away, so it must have some")
@pytest.mark.parametrize("lock", ["", "0"], ids=["no-lock-file", "lock-file"])
async def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path, lock: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    if lock:
        (folder / "state.db.lock").touch()
        (folder / "state.db.lock").chmod(0o666)
    for each in (folder, *folder.parents):
        if each.stat().st_uid == os.geteuid():
            each.chmod(0o755)
    said = said_by(AS_NOBODY, folder / "state.db")
    assert str(folder) in said
    assert "ermission" in said


async def test_a_failed_open_lets_go_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_text("not a database, but long enough to look like something\n" * 50)
    with pytest.raises(StoreError):
        await open_store(path)
    path.unlink()
    await (await open_store(path)).close()


# --- committing


async def test_a_full_disk_fails_the_commit_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "state.db")
    await commit(store, turn(A, 1))
    pages = limit_pages(store, 0)
    limit_pages(store, pages + 4)
    with pytest.raises(CommitFailed, match=r"were not stored: .*disk .* full: free some space .*SQLITE_FULL"):
        await commit(store, TurnWrite(B, 1, 1.0, b"small", row=row(B)), turn(A, 2, b"x" * 100_000))
    assert await seqs(store, A) == [1]
    assert await seqs(store, B) == []
    limit_pages(store, pages + 4000)
    await commit(store, turn(A, 2, b"x" * 100_000))
    assert await seqs(store, A) == [1, 2], "with room again, the store goes on"
    await store.close()


def limit_pages(store: SqliteStore, pages: int) -> int:
    """The size that SQLite lets the file have: a disk that is full on demand. Returns the size it has."""
    assert store._committer is not None
    con = store._committer._con
    con.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    [(count,)] = con.execute("PRAGMA page_count").fetchall()
    assert isinstance(count, int)
    return count


ON_A_BOUNDED_FILE = """
import asyncio, resource, signal, sys
from understudy_runtime.core.ports import CommitFailed, TurnWrite
from understudy_runtime.storage.sqlite import SqliteStore

async def commit(store, *batch):
    done = asyncio.get_running_loop().create_future()
    store.commit(batch, done.set_result)
    return await done

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = SqliteStore(sys.argv[1])
    await store.open("node-a", 1.0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    stored, error = 0, None
    while error is None:
        error = await commit(store, TurnWrite("shop/run/a", stored + 1, 1.0, b"x" * 1000))
        stored += error is None
    assert isinstance(error, CommitFailed), error
    again = await commit(store, TurnWrite("shop/run/a", stored + 1, 1.0, b"x"))
    print(stored, repr(str(error)), repr(str(again)), sep="\\n")
    sys.stdout.flush()
    import os; os._exit(0)

asyncio.run(main())
"""


async def test_a_disk_that_fails_to_write_stops_the_store_but_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    stored, first, second = said_by(ON_A_BOUNDED_FILE, path).splitlines()
    assert "disk failed to read or write" in first, first
    assert first == second, "after an I/O error nothing is written any more"
    store = await open_store(path)
    assert int(stored) > 10
    assert (await seqs(store, A))[: int(stored)] == list(range(1, int(stored) + 1))
    await store.close()


async def test_a_damaged_file_is_reported_by_reads_and_commits(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await open_store(path)
    await commit(store, *(TurnWrite(run(str(n)), 1, 1.0, b"x" * 500, row=row(run(str(n)))) for n in range(500)))
    await store.close()
    damage(path)
    store = await open_store(path)
    with pytest.raises(StoreError, match="damaged: restore a backup"):
        await store.load([run(str(n)) for n in range(500)])
    with pytest.raises(CommitFailed, match="damaged: restore a backup"):
        await commit(store, *(TurnWrite(run(str(n)), 2, 1.0, b"x", row=row(run(str(n)))) for n in range(500)))
    await store.close()


def damage(path: Path) -> None:
    """Overwrite the pages that hold the actors and their turns, as a failing disk would."""
    con = sqlite3.connect(path)
    roots: dict[str, int] = dict(con.execute("SELECT name, rootpage FROM sqlite_schema").fetchall())
    con.close()
    with path.open("r+b") as file:
        for name in ("actor", "journal_actor"):
            file.seek((roots[name] - 1) * 4096)
            file.write(b"\xff" * 4096)


@pytest.mark.parametrize("bad", [turn("shop/run/\ud800", 1), turn(B, 2**70)], ids=["surrogate", "huge"])
async def test_a_value_the_file_cannot_hold_fails_its_batch_only(tmp_path: Path, bad: TurnWrite) -> None:
    store = await open_store(tmp_path / "state.db")
    with pytest.raises(CommitFailed, match="were not stored"):
        await commit(store, turn(A, 1), bad)
    await commit(store, TurnWrite(A, 1, 1.0, b"[]", sent=[message(B, A, 1)]))
    assert await seqs(store, A) == [1]
    await store.close()


async def test_another_program_that_locks_the_file_is_blamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy_runtime.storage.sqlite.connections.BUSY_TIMEOUT_S", 0.0)
    store = await open_store(tmp_path / "state.db")
    shell = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    with pytest.raises(CommitFailed, match="another program keeps the file locked"):
        await commit(store, turn(A, 1))
    shell.execute("ROLLBACK")
    await commit(store, turn(A, 1))
    shell.close()
    await store.close()


@pytest.mark.parametrize(
    "batch", [[turn(A, 2)], rows_only(row(A)), [turn(A, seq) for seq in range(2, 700)]], ids=["turn", "row", "many"]
)
async def test_a_store_taken_over_is_fenced_for_good(tmp_path: Path, batch: list[TurnWrite]) -> None:
    store = await open_store(tmp_path / "state.db")
    await commit(store, turn(A, 1))
    thief = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    thief.execute("UPDATE shard SET term = term + 1, incarnation = 'thief'")
    for _ in range(2):
        with pytest.raises(Fenced, match="taken it over"):
            await commit(store, *batch)
    assert thief.execute("SELECT count(*) FROM journal").fetchall() == [(1,)]
    assert thief.execute("SELECT count(*) FROM actor").fetchall() == [(0,)]
    thief.close()
    await store.close()


async def test_a_file_removed_while_in_use_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await open_store(path)
    await commit(store, turn(A, 1))
    path.unlink()
    assert store._committer is not None
    store._committer._checkpoint()
    with pytest.raises(CommitFailed, match="removed or replaced"):
        await commit(store, turn(A, 2))
    await store.close()
    assert IDLE_S < 1, "it is looked at whenever the store falls idle"
