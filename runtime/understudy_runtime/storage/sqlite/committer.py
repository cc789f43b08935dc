"""The writer thread: the only place that changes the file.

Batches come in over a queue, in order, and each is one transaction: if term and incarnation in the `shard` row are
still ours, write everything and COMMIT, which returns when the disk has it; then tell the engine with a single
wake-up of its loop. What each failure does:

* no room, file locked or not writable: the transaction is rolled back, the batch reported failed, and a later one may
  succeed, because the file is as it was;
* an I/O error or a damaged file: it cannot be known what the disk has, so this and every later batch
  fails; only opening the store again, which reads what is really there, makes it usable;
* another incarnation in the shard row: `Fenced`, for this and every later batch.

Checkpoints (copying the log into the file) are made here too.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Final

from understudy.errors import StoreError
from understudy_runtime.core.ports import CommitFailed, Fenced, TurnWrite
from understudy_runtime.storage.sqlite import statements
from understudy_runtime.storage.sqlite.connections import connect_writer
from understudy_runtime.storage.sqlite.errands import Errand
from understudy_runtime.storage.sqlite.faults import explain, is_harmless
from understudy_runtime.storage.sqlite.writes import NotOurs, Writes

IDLE_S: Final = 0.1
"""A checkpoint is due when nothing was committed for so long. Under load, SQLite makes one when the log is long."""

Done = Callable[[BaseException | None], None]


class Committer:
    """Owns the writing connection. Made and used on the engine's loop; works on its own thread."""

    def __init__(self, path: Path, node: str, incarnation: str, now: float) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[tuple[Sequence[TurnWrite] | Errand, Done] | None] = queue.SimpleQueue()
        self._incarnation = incarnation
        self._term = self._head = 0
        self._broken: CommitFailed | None = None
        self._at_rest = True
        self._opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(node, now), name="understudy-commit", daemon=True)

    async def open(self) -> None:
        self._thread.start()
        await asyncio.shield(asyncio.wrap_future(self._opened))

    def submit(self, batch: Sequence[TurnWrite] | Errand, done: Done) -> None:
        self._queue.put((batch, done))

    async def close(self) -> None:
        """Commit what was submitted, then end."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    # --- on the writer thread

    def _run(self, node: str, now: float) -> None:
        try:
            self._con = connect_writer(self._path, now)
            self._cursor = self._con.cursor()
            self._take(node)
            self._inode = self._path.stat().st_ino
        except BaseException as error:
            self._opened.set_exception(error)
            return
        self._opened.set_result(None)
        self._serve()
        self._cursor.close()
        with suppress(sqlite3.Error):  # a failing disk was reported already, by the commit that met it
            self._con.close()

    def _take(self, node: str) -> None:
        """Begin a new term: whoever wrote before is fenced from here on."""
        try:
            [(self._term,)] = self._con.execute(statements.TAKE, (node, self._incarnation)).fetchall()
            [(self._head,)] = self._con.execute(statements.HEAD).fetchall()
        except sqlite3.Error as error:
            self._con.close()
            raise StoreError(explain(self._path, error)) from error

    def _serve(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=None if self._at_rest else IDLE_S)
            except queue.Empty:
                self._checkpoint()
                continue
            if item is None:
                return
            batch, done = item
            self._tell(done, self._commit(batch))

    def _tell(self, done: Done, error: BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(done, error)
        except RuntimeError:
            # The loop is closed: nobody is left to be told, and what was not told was never released.
            self._broken = CommitFailed(f"store {self._path}: its event loop was closed")

    def _commit(self, batch: Sequence[TurnWrite] | Errand) -> CommitFailed | None:
        if self._broken is not None:
            return self._broken
        try:
            if isinstance(batch, Sequence):
                writes = Writes(self._head, batch)
                writes.run(self._cursor, self._term, self._incarnation)
                self._head = writes.head
            else:
                batch.run(self._cursor, self._term, self._incarnation)
        except Exception as error:
            failed = self._failed(error, f"{len(batch)} turns" if isinstance(batch, Sequence) else batch.what)
            failed.__cause__ = error
            return failed
        self._at_rest = False
        return None

    def _failed(self, error: Exception, what: str) -> CommitFailed:
        sure = is_harmless(error) and self._roll_back()
        if isinstance(error, NotOurs):
            self._broken = Fenced(f"store {self._path}: another process has taken it over: this one must end")
            return self._broken
        told = explain(self._path, error)
        if sure:
            return CommitFailed(f"the last {what} were not stored: {told}")
        self._broken = CommitFailed(f"the store failed, and can only be used again after a restart: {told}")
        return self._broken

    def _roll_back(self) -> bool:
        try:
            if self._con.in_transaction:
                self._cursor.execute("ROLLBACK")
        except sqlite3.Error:
            return False
        return True

    def _checkpoint(self) -> None:
        """Copy the log into the file, as far as readers allow; the next commit then reuses the log."""
        self._at_rest = True
        try:
            self._cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            # What was acknowledged is safe in the log. A full disk may pass; after the rest nothing can be trusted.
            if not is_harmless(error):
                self._broken = CommitFailed(explain(self._path, error))
        if not self._is_in_place():
            self._broken = CommitFailed(f"store {self._path}: the file was removed or replaced while in use")

    def _is_in_place(self) -> bool:
        """SQLite would write to a deleted file as gladly as to any other."""
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False
