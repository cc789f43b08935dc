"""Deleting what is stored of closed actors, piece by piece, between the commits.

A piece is a transaction of the writer's, and no longer than PIECE_TURNS turns of long journals, or else what is left of
RUNS actors. Of a long journal the oldest turns go first, as far as the snapshot stands for them: whenever the process
dies, an actor that is still there can be loaded.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from understudy_runtime.storage.sqlite import statements
from understudy_runtime.storage.sqlite.writes import NotOurs

RUNS: Final = 20
PIECE_TURNS: Final = 500
"""A few milliseconds of the writer's time."""

OVER: Final = "a.closed_at <= ? AND a.parked_until = 9e999"
CHOSEN: Final = f"(SELECT a.key FROM actor a JOIN json_each(?) k ON a.key = k.value WHERE {OVER})"
OLDEST: Final = (
    f"SELECT j.lsn FROM json_each(?) k JOIN actor a ON a.key = k.value JOIN journal j ON j.actor = a.key"
    f" WHERE {OVER} AND j.seq <= a.snapshot_seq ORDER BY j.actor, j.seq LIMIT {PIECE_TURNS}"
)
LAST: Final = f"SELECT max(lsn) FROM journal WHERE actor IN {CHOSEN}"
FLOOR: Final = "UPDATE shard SET floor = max(floor, ? + 1) WHERE id = 0"
TRIM: Final = "DELETE FROM journal WHERE shard = 0 AND lsn IN (SELECT value FROM json_each(?))"


class Deletion:
    """An `Errand`. `more`: there is another piece to be done. `deleted` counts the actors that are gone."""

    def __init__(self, keys: Sequence[str], before: float) -> None:
        self._keys = list(keys)
        self._before = before
        self.more = bool(keys)
        self.deleted = 0

    @property
    def what(self) -> str:
        return f"{len(self._keys)} runs to be deleted"

    def run(self, cursor: sqlite3.Cursor, term: int, incarnation: str) -> None:
        """One piece. NotOurs or sqlite3.Error: nothing of it was done."""
        cursor.execute("BEGIN IMMEDIATE")
        if cursor.execute(statements.FENCE, (term, incarnation)).fetchone() is None:
            raise NotOurs
        chosen = (json.dumps(self._keys[:RUNS]), self._before)
        trimmed = self._trim(cursor, chosen)
        deleted = 0 if trimmed else self._finish(cursor, chosen)
        cursor.execute("COMMIT")
        self.deleted += deleted
        if not trimmed:
            del self._keys[:RUNS]
        self.more = bool(self._keys)

    def _trim(self, cursor: sqlite3.Cursor, chosen: tuple[str, float]) -> int:
        oldest = [lsn for (lsn,) in cursor.execute(OLDEST, chosen).fetchall()]
        if oldest:
            cursor.execute(TRIM, (json.dumps(oldest),))
            cursor.execute(FLOOR, (max(oldest),))
        return len(oldest)

    def _finish(self, cursor: sqlite3.Cursor, chosen: tuple[str, float]) -> int:
        [(last,)] = cursor.execute(LAST, chosen).fetchall()
        if last is not None:
            cursor.execute(FLOOR, (last,))
        cursor.execute(f"DELETE FROM journal WHERE actor IN {CHOSEN}", chosen)
        cursor.execute(f"DELETE FROM blob WHERE actor IN {CHOSEN}", chosen)
        return cursor.execute(f"DELETE FROM actor WHERE key IN {CHOSEN}", chosen).rowcount
