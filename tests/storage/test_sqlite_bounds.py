"""What stays small, whatever is stored: the log, the wake-ups, and the rows a statement looks at."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.storage.writing import commit, row, run, turn
from understudy_runtime.core.ports import TurnWrite
from understudy_runtime.storage.sqlite import SqliteStore, reader, schema, statements
from understudy_runtime.storage.sqlite.connections import PAGE_BYTES, WAL_FILE_BYTES, WAL_LIMIT_PAGES
from understudy_runtime.storage.sqlite.statements import EXACT, MAX_ROWS, MultiRow, pieces

pytestmark = pytest.mark.anyio

A = run("a")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def opened(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    await store.open("node-a", 1000.0)
    return store


# --- the log


async def test_the_log_stays_short_under_load(path: Path) -> None:
    store = await opened(path)
    limit = 2 * WAL_LIMIT_PAGES * PAGE_BYTES
    for n in range(40):
        await commit(
            store, *(TurnWrite(run(str(k)), n + 1, 1.0, b"x" * 10_000, row=row(run(str(k)))) for k in range(50))
        )
        assert size(Path(f"{path}-wal")) < limit
    assert size(path) > limit
    await store.close()


async def test_a_log_made_long_by_one_commit_is_cut_back(path: Path) -> None:
    store = await opened(path)
    await commit(store, turn(A, 1, b"x" * (2 * WAL_FILE_BYTES)))
    assert size(Path(f"{path}-wal")) > WAL_FILE_BYTES
    await commit(store, turn(A, 2))
    assert size(Path(f"{path}-wal")) <= WAL_FILE_BYTES
    await store.close()


async def test_an_idle_store_copies_its_log_into_the_file(path: Path) -> None:
    store = await opened(path)
    await commit(store, turn(A, 1, b"a turn to find"))
    with anyio.fail_after(10):
        while not contains(path, b"a turn to find"):  # noqa: ASYNC110 - the store has nobody to tell that it did
            await anyio.sleep(0.01)
    await store.close()


def contains(path: Path, what: bytes) -> bool:
    return what in path.read_bytes()


async def test_closing_leaves_one_file_and_the_lock(path: Path) -> None:
    store = await opened(path)
    await commit(store, turn(A, 1))
    await store.close()
    assert sorted(names(path.parent)) == ["state.db", "state.db.lock"]


def names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


async def test_a_commit_waits_for_the_disk(path: Path) -> None:
    """A `kill -9` cannot show it, only a power cut: so the setting itself is the promise."""
    store = await opened(path)
    assert store._committer is not None
    con = store._committer._con
    assert con.execute("PRAGMA synchronous").fetchall() == [(2,)], "FULL"
    assert con.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    await store.close()


# --- wake-ups


async def test_a_commit_wakes_the_loop_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await opened(path)
    loop = asyncio.get_running_loop()
    wake, wakes = loop.call_soon_threadsafe, 0

    def counted(callback: Callable[..., object], *args: Any) -> asyncio.Handle:
        nonlocal wakes
        wakes += 1
        return wake(callback, *args)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    for n in range(5):
        await commit(store, *(turn(run(str(k)), n + 1) for k in range(200)))
    assert wakes == 5
    monkeypatch.undo()
    await store.close()


# --- statements


@pytest.mark.parametrize("count", [0, 1, EXACT, EXACT + 1, MAX_ROWS, MAX_ROWS + 1, 10_000])
def test_pieces_add_up_and_are_of_few_sizes(count: int) -> None:
    sizes = pieces(count)
    assert sum(sizes) == count
    assert all(0 < each <= MAX_ROWS for each in sizes)
    assert all(each <= EXACT or each.bit_count() == 1 for each in sizes)


def test_the_largest_statement_is_within_what_sqlite_takes() -> None:
    con = empty_store()
    most = con.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    assert max(each._width for each in MULTI_ROW) * MAX_ROWS + 2 <= most
    con.close()


MULTI_ROW = [each for each in vars(statements).values() if isinstance(each, MultiRow)]
FILTERS = ("", "AND kind = ?", "AND kind = ? AND status = ?")
QUERIES = [
    reader.ACTORS,
    reader.TURNS_AFTER_SNAPSHOT,
    reader.INBOX,
    reader.TURNS,
    reader.BLOBS,
    reader.PARKED,
    *(f"{reader.LIST} {each} {reader.NEWEST}" for each in FILTERS),
]


@pytest.mark.parametrize("sql", [*(each._text(3) for each in MULTI_ROW), *QUERIES])
def test_no_statement_reads_a_whole_table(sql: str) -> None:
    con = empty_store()
    plan = [step for *_, step in con.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))]
    con.close()
    assert not [step for step in plan if step.startswith("SCAN ") and step.split()[1] in TABLES], plan


TABLES = {"actor", "a", "journal", "j", "blob", "inbox"}


def empty_store() -> sqlite3.Connection:
    con = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(con, 0.0)
    return con
