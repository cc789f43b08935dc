"""One process writes: the lock is the kernel's, so it ends with its holder and with nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.storage.writing import commit, run, seqs, turn
from understudy.errors import StoreError
from understudy_runtime.core.ports import CommitFailed
from understudy_runtime.storage.sqlite import SqliteStore

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
async def holder(path: Path) -> AsyncIterator[subprocess.Popen[str]]:
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
    with pytest.raises(StoreError, match=f"state.db is open for writing in process {holder.pid}: .*reading is always"):
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
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False) as child:
        await store.close()
        await (await opened(path)).close()
        child.kill()


async def test_a_forked_child_neither_keeps_the_lock_nor_writes(path: Path) -> None:
    store = await opened(path)
    await commit(store, turn(A, 1))
    go_read, go_write = os.pipe()
    said_read, said_write = os.pipe()
    child = fork()
    if child == 0:
        os.read(go_read, 1)
        os.write(said_write, refusal(store).encode())
        os._exit(0)
    await store.close()
    again = await opened(path)
    os.write(go_write, b"x")
    assert b"not open for writing in this process" in os.read(said_read, 1000)
    os.waitpid(child, 0)
    assert await seqs(again, A) == [1]
    await again.close()
    for each in (go_read, go_write, said_read, said_write):
        os.close(each)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def fork() -> int:
    return os.fork()


def refusal(store: SqliteStore) -> str:
    """What the store says, in a child that has no loop of its own."""
    errors: list[BaseException | None] = []
    store.commit([turn(A, 2)], errors.append)
    return str(errors[0]) if errors and isinstance(errors[0], CommitFailed) else f"no refusal: {errors}"
