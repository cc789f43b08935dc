"""How the file is opened: once to write, any number of times to read.

The writer waits for the disk at every commit (`synchronous=FULL`, and `fullfsync` where fsync alone is a promise).
A reader is `mode=ro`: it never makes the file, takes no lock that a writer could wait for, and works whether or not
a process writes; after a `kill -9` it reads the log that is left over.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from understudy.errors import StoreError
from understudy_runtime.storage.sqlite import schema
from understudy_runtime.storage.sqlite.faults import explain

MIN_SQLITE: Final = (3, 38, 0)
"""STRICT tables and built-in JSON functions."""

BUSY_TIMEOUT_S: Final = 5.0
"""How long to wait for another program's lock before giving up."""

PAGE_BYTES: Final = 4096
CACHE_KIB: Final = 32 * 1024
WAL_LIMIT_PAGES: Final = 1000
"""At this length of the log a commit also copies it into the file, about 4 ms; a longer log only makes that longer."""

WAL_FILE_BYTES: Final = 16 * 1024 * 1024
"""A log that a huge commit or a slow reader has made longer than this is cut back to it when it can be."""

CACHED_STATEMENTS: Final = 1024
"""More than there are sizes of statements (see `statements`), so that none is prepared twice."""


class NoStore(StoreError):
    """There is no file, or no tables in it yet. A writer would make them."""


def connect_writer(path: Path, now: float) -> sqlite3.Connection:
    """Open the file, made if need be, and bring it to this release's schema. StoreError."""
    _check_sqlite()
    _check_file(path)
    try:
        con = _connect(f"file:{quote(str(path))}?mode=rwc")
    except sqlite3.Error as error:
        raise StoreError(explain(path, error)) from error
    try:
        # Before anything is set: another program's database is not ours to change.
        found = schema.version(con)
        schema.check(path, found)
        if found and schema.meta(con, schema.BACKUP):
            raise StoreError(
                f"{path} is a backup: make a store of it with `understudy store restore {path} --into FILE`"
            )
        _set_up_writer(con, path)
        schema.migrate(con, now)
    except sqlite3.Error as error:
        con.close()
        raise StoreError(explain(path, error)) from error
    except BaseException:
        con.close()
        raise
    return con


def _set_up_writer(con: sqlite3.Connection, path: Path) -> None:
    con.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    if con.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
        raise StoreError(f"store {path}: its file system has no shared memory for SQLite's log: use a local disk")
    con.execute("PRAGMA synchronous = FULL")
    con.execute("PRAGMA fullfsync = ON")
    con.execute("PRAGMA checkpoint_fullfsync = ON")
    con.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    con.execute(f"PRAGMA wal_autocheckpoint = {WAL_LIMIT_PAGES}")
    con.execute(f"PRAGMA journal_size_limit = {WAL_FILE_BYTES}")


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open an existing store to read. StoreError if it is missing or no understudy store."""
    _check_sqlite()
    try:
        path.stat()  # since CPython 3.14 `exists` says no where one may not look
        _check_file(path)
        return _open_reader(path)
    except (FileNotFoundError, NotADirectoryError):
        raise NoStore(f"there is no store at {path}: check the path, or start a run to make it") from None
    except (sqlite3.Error, OSError) as error:
        raise StoreError(explain(path, error)) from error


def _open_reader(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path))}?mode=ro"
    con = _connect(uri)
    try:
        _check_reader(con, path)
    except sqlite3.OperationalError:
        con.close()
        if not _is_at_rest(path):
            raise
        con = _connect(f"{uri}&immutable=1")
        _check_reader(con, path)
    except BaseException:
        con.close()
        raise
    return con


def _check_reader(con: sqlite3.Connection, path: Path) -> None:
    found = schema.version(con)
    if found == 0:
        raise NoStore(f"{path} is empty, not an understudy store: check the path, or start a run to make it")
    schema.check(path, found)


def _is_at_rest(path: Path) -> bool:
    """Nobody has the file open, and we may not make the log that SQLite needs even to read."""
    return not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists()


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S, cached_statements=CACHED_STATEMENTS,
        check_same_thread=False,
    )  # fmt: skip


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise StoreError(f"{path} is a folder: name a file in it as the store")


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < MIN_SQLITE:
        least = ".".join(map(str, MIN_SQLITE))
        raise StoreError(f"this Python has SQLite {sqlite3.sqlite_version}; understudy needs {least} or later")
