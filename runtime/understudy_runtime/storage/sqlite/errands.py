"""What the writer thread does between the commits: one short transaction each, fenced as they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Protocol

from understudy_runtime.storage.sqlite import statements
from understudy_runtime.storage.sqlite.writes import NotOurs


class Errand(Protocol):
    @property
    def what(self) -> str:
        """For people, in the plural: what was not stored if it fails."""
        ...

    def run(self, cursor: sqlite3.Cursor, term: int, incarnation: str) -> None:
        """In a transaction of its own. NotOurs or sqlite3.Error: nothing of it was done."""
        ...


def note_name(shard: int) -> str:
    """Where it is in the `meta` table."""
    return f"note:{shard}"


class Noting:
    """See `core.ports.Store.note`."""

    what = "notes"

    def __init__(self, notes: Mapping[int, bytes]) -> None:
        self._notes = notes

    def run(self, cursor: sqlite3.Cursor, term: int, incarnation: str) -> None:
        cursor.execute("BEGIN IMMEDIATE")
        if cursor.execute(statements.FENCE, (term, incarnation)).fetchone() is None:
            raise NotOurs
        cursor.executemany("DELETE FROM meta WHERE name = ?", [(note_name(shard),) for shard in self._notes])
        given = [(note_name(shard), body) for shard, body in self._notes.items() if body]
        cursor.executemany("INSERT INTO meta VALUES (?, ?)", given)
        cursor.execute("COMMIT")
