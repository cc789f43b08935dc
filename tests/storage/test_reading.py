"""Reading is always allowed: beside a writer, after it, after its death; and it changes nothing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.storage.writing import commit, message, row, run, turn
from understudy.errors import BadRequest, StoreError
from understudy_runtime.core.ports import Blob, TurnWrite
from understudy_runtime.storage.reading import open_reader
from understudy_runtime.storage.sqlite import SqliteStore, schema

pytestmark = pytest.mark.anyio

A, B = run("a"), run("b")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


async def written(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    await store.open("node-a", 1000.0)
    first = TurnWrite(A, 1, 1.0, b"[1]", row=row(A), snapshot=b"state", blobs=[Blob("d", b"large")])
    await commit(store, first, TurnWrite(A, 2, 2.0, b"[2]", sent=[message(B, A, 1)]))
    return store


async def test_a_reader_sees_each_commit_of_a_running_writer(path: Path) -> None:
    store = await written(path)
    with open_reader(path) as reader:
        assert reader.rows(namespace="shop") == [row(A)]
        assert [each.seq for each in reader.turns(A)] == [1, 2]
        await commit(store, turn(A, 3))
        assert [each.seq for each in reader.turns(A)] == [1, 2, 3]
        assert [each.seq for each in reader.turns(A, after_seq=1, limit=1)] == [2]
        [a, b] = reader.load([A, B])
        assert (a.snapshot, [each.seq for each in a.turns], len(b.inbox)) == (b"state", [2, 3], 1)
        assert reader.blobs(A, ["d"]) == {"d": b"large"}
    await store.close()


async def test_a_reader_does_not_delay_the_writer(path: Path) -> None:
    store = await written(path)
    with open_reader(path) as reader, reader._one_moment() as con:
        con.execute("SELECT count(*) FROM journal").fetchall()
        await commit(store, turn(A, 3))
        assert con.execute("SELECT count(*) FROM journal").fetchall() == [(2,)], "the moment it began with"
    await store.close()


async def test_a_closed_store_is_read_and_left_as_it_was(path: Path) -> None:
    await (await written(path)).close()
    before = contents(path)
    with open_reader(path) as reader:
        assert len(reader.turns(A)) == 2
    assert contents(path) == before


def contents(path: Path) -> bytes:
    return path.read_bytes()


async def test_a_reader_may_outlive_the_writer_and_see_the_next(path: Path) -> None:
    store = await written(path)
    with open_reader(path) as reader:
        await store.close()
        assert len(reader.turns(A)) == 2
        store = SqliteStore(path)
        await store.open("node-b", 2000.0)
        await commit(store, turn(A, 3))
        assert len(reader.turns(A)) == 3
        await store.close()


def test_a_missing_store_is_an_error_and_not_made(path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no store at .*state.db"):
        open_reader(path)
    assert list(path.parent.iterdir()) == []


async def test_a_store_to_read_is_named_by_url_too(path: Path) -> None:
    await (await written(path)).close()
    with open_reader(f"sqlite:///{path}") as reader:
        assert len(reader.turns(A)) == 2
    with pytest.raises(BadRequest, match="nothing to read"):
        open_reader("memory://")


def test_a_file_that_is_no_store_is_an_error(path: Path) -> None:
    path.write_text("my notes\n" * 100)
    with pytest.raises(StoreError, match="not a SQLite database"):
        open_reader(path)
    path.write_bytes(b"")
    with pytest.raises(StoreError, match="is empty, not an understudy store"):
        open_reader(path)
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE meta (other TEXT)")
    con.close()
    with pytest.raises(StoreError, match="not an understudy store"):
        open_reader(path)
    with pytest.raises(StoreError):
        open_reader(path.parent)


async def test_the_next_schema_is_read_and_a_later_one_refused(path: Path) -> None:
    await (await written(path)).close()
    con = sqlite3.connect(path, isolation_level=None)
    con.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (schema.SCHEMA + 1,))
    with open_reader(path) as reader:
        assert len(reader.turns(A)) == 2
    con.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (schema.SCHEMA + 2,))
    con.close()
    with pytest.raises(StoreError, match="newer understudy"):
        open_reader(path)


AS_NOBODY = """
import os, sys
from understudy.errors import StoreError
from understudy_runtime.storage.reading import open_reader
os.setuid(65534)
try:
    with open_reader(sys.argv[1]) as reader:
        print(len(reader.turns("shop/run/a")))
except StoreError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="gives its privileges away, so it must have some")
@pytest.mark.parametrize("running", [True, False], ids=["beside-a-writer", "at-rest"])
async def test_whoever_may_read_the_file_may_read_the_store(path: Path, running: bool) -> None:
    store = await written(path)
    if not running:
        await store.close()
    for each in path.parents:
        if each.stat().st_uid == os.geteuid():
            each.chmod(each.stat().st_mode | 0o055)
    assert read_as_nobody(path) == "2\n"
    await store.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives its privileges away, so it must have some")
async def test_whoever_may_not_read_the_file_is_told(path: Path) -> None:
    await (await written(path)).close()
    path.parent.chmod(0o700)
    assert "ermission denied" in read_as_nobody(path)


def read_as_nobody(path: Path) -> str:
    return subprocess.run([sys.executable, "-c", AS_NOBODY, path], stdout=subprocess.PIPE, text=True, check=True).stdout
