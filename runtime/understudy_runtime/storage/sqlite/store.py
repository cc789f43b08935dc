"""The SQLite store, as the engine sees it: commits go to the writer thread, reads to another."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from understudy.errors import StoreError
from understudy_runtime.core.ports import ActorRow, CommitFailed, JournalRow, Loaded, TurnWrite
from understudy_runtime.storage.sqlite.committer import Committer
from understudy_runtime.storage.sqlite.deletion import Deletion
from understudy_runtime.storage.sqlite.errands import Errand, Noting
from understudy_runtime.storage.sqlite.lock import FileLock
from understudy_runtime.storage.sqlite.reader import Reader

P = ParamSpec("P")
T = TypeVar("T")


class SqliteStore:
    """A file on this machine. Implements `Store`."""

    def __init__(self, path: str | Path) -> None:
        # Resolved, so that all names of one file mean one lock.
        self.path = Path(path).expanduser().resolve()
        self._lock = FileLock(Path(f"{self.path}.lock"))
        self._committer: Committer | None = None
        self._reader: Reader | None = None
        self._reads: ThreadPoolExecutor | None = None
        self.epoch = 0

    async def open(self, node: str, now: float) -> None:
        if self._committer is not None:
            raise StoreError(f"store {self.path} is already open")
        _make_folder(self.path)
        self._lock.acquire()
        try:
            self._committer = Committer(self.path, node, uuid.uuid4().hex, now)
            await self._committer.open()
            self._reads = ThreadPoolExecutor(1, thread_name_prefix="understudy-read")
            self._reader = reader = await asyncio.get_running_loop().run_in_executor(self._reads, Reader, self.path)
            self.epoch = await self._read(lambda: reader.epoch)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Wait for what was submitted; then let go of the file."""
        reads, reader, committer = self._reads, self._reader, self._committer
        self._reads = self._reader = self._committer = None
        if reads is not None:
            if reader is not None:
                await asyncio.get_running_loop().run_in_executor(reads, reader.close)
            reads.shutdown()
        if committer is not None:
            await committer.close()
        self._lock.release()

    def commit(self, batch: Sequence[TurnWrite], done: Callable[[BaseException | None], None]) -> None:
        if self._committer is not None and self._lock.held:
            self._committer.submit(batch, done)
        else:
            failed = CommitFailed(f"store {self.path} is not open for writing in this process")
            asyncio.get_running_loop().call_soon(done, failed)

    async def load(self, keys: Sequence[str]) -> list[Loaded]:
        return await self._read(self._open_reader.load, keys)

    async def turns(self, key: str, after_seq: int, limit: int) -> list[JournalRow]:
        return await self._read(self._open_reader.turns, key, after_seq, limit)

    async def blobs(self, key: str, digests: Sequence[str]) -> dict[str, bytes]:
        return await self._read(self._open_reader.blobs, key, digests)

    async def wakeful(self, until: float) -> list[tuple[str, float | None]]:
        return await self._read(self._open_reader.wakeful, until)

    async def rows(
        self,
        *,
        namespace: str,
        kind: str = "",
        status: str = "",
        definition: str = "",
        limit: int = 100,
        before: tuple[float, str] | None = None,
    ) -> list[ActorRow]:
        def read() -> list[ActorRow]:
            return reader.rows(
                namespace=namespace, kind=kind, status=status, definition=definition, limit=limit, before=before
            )

        reader = self._open_reader
        return await self._read(read)

    async def closed_runs(self, before: float, limit: int) -> list[str]:
        return await self._read(self._open_reader.closed_runs, before, limit)

    async def delete(self, keys: Sequence[str], before: float) -> int:
        deletion = Deletion(keys, before)
        while deletion.more:
            await self._run(deletion)
        return deletion.deleted

    async def notes(self, shards: Collection[int]) -> dict[int, bytes]:
        return await self._read(self._open_reader.notes, shards)

    async def note(self, notes: Mapping[int, bytes]) -> None:
        await self._run(Noting(notes))

    async def _run(self, errand: Errand) -> None:
        if self._committer is None:
            raise StoreError(f"store {self.path} is not open")
        done: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self._committer.submit(errand, done.set_result)
        if (error := await asyncio.shield(done)) is not None:
            raise StoreError(str(error)) from error

    @property
    def _open_reader(self) -> Reader:
        if self._reader is None:
            raise StoreError(f"store {self.path} is not open")
        return self._reader

    async def _read(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reads, lambda: read(*args, **kwargs))


def _make_folder(path: Path) -> None:
    try:
        missing = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            _sync(folder.parent)
    except OSError as error:
        raise StoreError(f"cannot make the folder {path.parent} for the store: {error.strerror}") from error


def _sync(folder: Path) -> None:
    """A new folder is durable once the one that names it is."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
