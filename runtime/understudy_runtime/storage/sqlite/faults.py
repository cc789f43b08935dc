"""SQLite's errors, told to the operator: what happened, whose fault it is, what to do next."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

ADVICE: Final = {
    "SQLITE_FULL": "the disk (or its quota) is full: free some space",
    "SQLITE_IOERR": "the disk failed to read or write: look at the system log and the disk's health",
    "SQLITE_CORRUPT": "the file is damaged: restore a backup, or salvage what is left with `sqlite3 FILE .recover`",
    "SQLITE_NOTADB": "the file is not a SQLite database: name another file, or move this one away",
    "SQLITE_BUSY": "another program keeps the file locked: end it, for example an open `sqlite3` shell",
    "SQLITE_READONLY": "the file or its folder may not be written: check permissions and whether the disk is read-only",
    "SQLITE_CANTOPEN": "the file cannot be opened: check that the folder exists and its permissions",
    "SQLITE_PERM": "permission was denied: check the permissions of the file and its folder",
    "SQLITE_TOOBIG": "a value is larger than SQLite can store: keep large data elsewhere and pass a reference",
    "SQLITE_NOMEM": "memory ran out",
    "SQLITE_CONSTRAINT": "a row exists already: this is a fault of understudy, please report it",
}

HARMLESS: Final = frozenset({"SQLITE_FULL", "SQLITE_BUSY", "SQLITE_READONLY", "SQLITE_TOOBIG", "SQLITE_CONSTRAINT"})
"""After these the file is as it was before the transaction, and a later commit may succeed."""


def primary_name(error: BaseException) -> str:
    """SQLITE_IOERR for SQLITE_IOERR_FSYNC, and so on; empty if the error is not SQLite's."""
    name = getattr(error, "sqlite_errorname", None) or ""
    return "_".join(name.split("_")[:2])


def explain(path: Path, error: BaseException) -> str:
    advice = ADVICE.get(primary_name(error), "")
    code = getattr(error, "sqlite_errorname", None) or type(error).__name__
    told = f"store {path}: {advice or error}"
    return f"{told} ({code}: {error})" if advice else f"{told} ({code})"


def is_harmless(error: BaseException) -> bool:
    return not isinstance(error, sqlite3.Error) or primary_name(error) in HARMLESS
