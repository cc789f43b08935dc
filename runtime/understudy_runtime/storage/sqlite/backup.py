"""Backups of a file, taken while a node writes it, and stores made of them.

A backup is a copy as of one moment, with everything that was acknowledged before. It is marked, so that no node opens
it by mistake: since it was taken, terms, fences and positions may have gone further than it knows. `restore` makes a
copy that begins a new epoch (see `core.ports.Store.epoch`), above all of these.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from understudy.errors import StoreError
from understudy_runtime.storage.sqlite import schema
from understudy_runtime.storage.sqlite.connections import connect_reader
from understudy_runtime.storage.sqlite.faults import explain
from understudy_runtime.storage.sqlite.lock import FileLock

PARTIAL: Final = ".partial"
RAISE_TERMS: Final = "UPDATE shard SET term = max(term + 1, ?), owner = '', incarnation = ''"
NAME: Final = "INSERT OR REPLACE INTO meta VALUES (?, ?)"


def back_up(store: Path, to: Path, now: float) -> None:
    """Copy the store, as it is at this moment, to a file that is not there yet. StoreError."""
    _copy(store, to, lambda con: con.execute(NAME, (schema.BACKUP, int(now * 1e6))))


def restore(backup: Path, into: Path, now: float) -> None:
    """Make a store of a backup, or of another store that no process writes, in a file that is not there yet.

    StoreError, also while a process has `into` open, or what that was before it was moved away.
    """
    lock = FileLock(Path(f"{into.resolve()}.lock"))
    if into.parent.is_dir():
        lock.acquire()
    try:
        _copy(backup, into, lambda con: _begin_epoch(con, now))
    finally:
        lock.release()


def adopt(store: Path, now: float) -> None:
    """Begin a new epoch of a file that was restored by other means. StoreError, also while a process has it open."""
    connect_reader(store).close()
    lock = FileLock(Path(f"{store.resolve()}.lock"))
    lock.acquire()
    try:
        _change(store, lambda con: _begin_epoch(con, now))
    except sqlite3.Error as error:
        raise StoreError(explain(store, error)) from error
    finally:
        lock.release()


def _begin_epoch(con: sqlite3.Connection, now: float) -> None:
    epoch = max(schema.meta(con, schema.EPOCH) + 1, int(now * 1e6))
    con.execute(RAISE_TERMS, (epoch,))
    con.execute(NAME, (schema.EPOCH, epoch))
    con.execute("DELETE FROM meta WHERE name = ?", (schema.BACKUP,))


def _copy(source: Path, to: Path, change: Callable[[sqlite3.Connection], object]) -> None:
    """`to` appears when it is whole, changed, checked and durable."""
    for each in (to, Path(f"{to}-wal")):
        if each.exists():
            raise StoreError(f"{each} is there already: move it away, or name another file")
    partial = Path(f"{to}{PARTIAL}")
    partial.unlink(missing_ok=True)
    try:
        con = connect_reader(source)
        try:
            con.execute("VACUUM INTO ?", (str(partial),))
        finally:
            con.close()
        _change(partial, change)
        _sync(partial)
        partial.rename(to)
        _sync(to.parent)
    except (sqlite3.Error, OSError) as error:
        partial.unlink(missing_ok=True)
        raise StoreError(_told(source, to, error)) from error


def _told(source: Path, to: Path, error: sqlite3.Error | OSError) -> str:
    if isinstance(error, OSError):
        return f"{to} cannot be written: {error.strerror}"
    return f"{source} cannot be copied to {to}: {explain(source, error)}"


def _change(file: Path, change: Callable[[sqlite3.Connection], object]) -> None:
    con = sqlite3.connect(file, isolation_level=None)
    try:
        con.execute("PRAGMA synchronous = FULL")
        con.execute("BEGIN IMMEDIATE")
        change(con)
        con.execute("COMMIT")
        if (found := con.execute("PRAGMA quick_check(1)").fetchone()) != ("ok",):
            raise StoreError(f"{file} is damaged: {found[0]}; use an older backup")
    finally:
        con.close()


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
