"""One process writes: the lock is the kernel's, so it ends with its holder and with nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.storage.writing import commit, run, turn
from understudy.errors import StoreError
from understudy_runtime.storage.sqlite import SqliteStore
from understudy_runtime.storage.sqlite.lock import FileLock

pytestmark = pytest.mark.anyio

A = run("a")

HOLD = """
import asyncio, sys
from understudy_runtime.storage.sqlite import SqliteStore
async def hold():
    await SqliteStore(sys.argv[1]).open("node-a", 1.0)
    print("open", flush=True)
    await asyncio.Event().wait()
asyncio.run(hold())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the store open."""
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


async def opened(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    await store.open("node-b", 1.0)
    return store


async def test_a_second_process_is_told_who_has_the_store(path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(StoreError, match=rf"state.db is open for writing in process {holder.pid}: .*reading is always"):
        await opened(path)


async def test_other_names_of_the_file_are_the_same_lock(path: Path, holder: subprocess.Popen[str]) -> None:
    link = path.parent / "link.db"
    link.symlink_to(path)
    for name in (link, path.parent / "." / ".." / path.parent.name / "state.db"):
        with pytest.raises(StoreError, match=f"process {holder.pid}"):
            await opened(name)


async def test_a_kill_lets_go_of_the_store(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    store = await opened(path)
    await commit(store, turn(A, 1))
    await store.close()


async def test_closing_lets_go_of_the_store(path: Path) -> None:
    for seq in (1, 2, 3):
        store = await opened(path)
        await commit(store, turn(A, seq))
        await store.close()


async def test_a_started_program_does_not_keep_the_store_locked(path: Path) -> None:
    store = await opened(path)
    with started_program():
        await store.close()
        await (await opened(path)).close()


def test_a_lock_let_go_of_is_free_although_a_copy_of_it_is_still_open(tmp_path: Path) -> None:
    """As in a child that was forked a moment ago, and has not closed its copy yet."""
    lock, again = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    lock.acquire()
    copies = [os.dup(int(fd.name)) for fd in Path("/proc/self/fd").iterdir() if _is(fd.name, lock.path)]
    assert copies
    lock.release()
    again.acquire()
    again.release()
    for copy in copies:
        os.close(copy)


def _is(fd: str, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(int(fd)), path.stat())
    except OSError:
        return False


def test_a_forked_child_neither_keeps_the_lock_nor_writes(path: Path) -> None:
    program = Path(__file__).with_name("forking_program.py")
    said = subprocess.run([sys.executable, program, path], capture_output=True, text=True, timeout=60, check=True)
    outcome = json.loads(said.stdout)
    assert "not open for writing in this process" in outcome["refused"]
    assert outcome["seqs"] == [1]


@contextmanager
def started_program() -> Generator[None]:
    """A program that inherits all it can from this process, and waits."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False):
        yield
