"""Statements over many rows at once.

Each call into SQLite gives up the interpreter's lock and must win it back, against an engine that is busy: so a
commit is a handful of statements with many rows each, never one call per row (`executemany` is one per row).
A statement is prepared once for each number of rows up to EXACT, and for some larger ones; more rows take several.

`OR ROLLBACK`, because a failed commit is rolled back as a whole anyway, and SQLite then need not keep copies of all
pages for the sake of undoing one statement: a third of the time of a commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

EXACT: Final = 128
MAX_ROWS: Final = 512
"""Rows of one statement; the widest has 12 values a row, and SQLite takes 32,766 in all."""


class MultiRow:
    """`before VALUES (?, ..), (?, ..) after`, for any number of rows."""

    def __init__(self, before: str, row: str, after: str = "") -> None:
        self._before, self._row, self._after = before, row, after
        self._width = row.count("?")
        self._sql: dict[int, str] = {}

    def run(self, cursor: sqlite3.Cursor, values: Sequence[Any], tail: Sequence[Any] = ()) -> int:
        """`values` are those of all rows, one after the other; `tail` those of `after`. Returns the rows changed."""
        changed = start = 0
        for size in pieces(len(values) // self._width):
            end = start + size * self._width
            changed += cursor.execute(self._text(size), [*values[start:end], *tail]).rowcount
            start = end
        return changed

    def _text(self, count: int) -> str:
        text = self._sql.get(count)
        if text is None:
            text = self._sql[count] = f"{self._before} VALUES {', '.join([self._row] * count)} {self._after}"
        return text


def pieces(count: int) -> list[int]:
    """Few sizes that add up to `count`, all from a small set, so that prepared statements are found again."""
    sizes: list[int] = []
    while count > EXACT:
        size = min(MAX_ROWS, 1 << (count.bit_length() - 1))
        sizes.append(size)
        count -= size
    return [*sizes, count] if count else sizes


JOURNAL: Final = MultiRow(
    "INSERT OR ROLLBACK INTO journal (shard, lsn, actor, seq, at, records)"
    " SELECT 0, column1, column2, column3, column4, column5 FROM (",
    "(?, ?, ?, ?, ?)",
    ") WHERE (SELECT term = ? AND incarnation = ? FROM shard WHERE id = 0)",
)

ACTOR: Final = MultiRow(
    "INSERT OR ROLLBACK INTO actor (shard, key, namespace, kind, definition, status, execution, digest, build,"
    " created_at, updated_at, closed_at, parked_until)",
    "(0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "ON CONFLICT (key) DO UPDATE SET definition = excluded.definition, status = excluded.status,"
    " execution = excluded.execution, digest = excluded.digest, build = excluded.build,"
    " updated_at = excluded.updated_at, closed_at = excluded.closed_at, parked_until = excluded.parked_until",
)
"""Nothing that `actor_newest` holds is set again, so that a change of status leaves that index alone."""

SNAPSHOT: Final = MultiRow(
    "UPDATE OR ROLLBACK actor SET snapshot_seq = new.column2, snapshot = new.column3 FROM (",
    "(?, ?, ?)",
    ") AS new WHERE actor.key = new.column1",
)

SEND: Final = MultiRow(
    "INSERT OR ROLLBACK INTO inbox (shard, actor, sender, sender_seq, body)",
    "(0, ?, ?, ?, ?)",
)

CONSUME: Final = MultiRow(
    "DELETE FROM inbox WHERE (actor, sender, sender_seq) IN"
    " (SELECT cast(column1 AS TEXT), cast(column2 AS TEXT), cast(column3 AS INTEGER) FROM (",
    "(?, ?, ?)",
    "))",
)
"""Without the casts the planner does not see that the whole key is given, and reads the whole inbox."""

BLOB: Final = MultiRow("INSERT OR IGNORE INTO blob (shard, actor, digest, body)", "(0, ?, ?, ?)")

TAKE: Final = "UPDATE shard SET term = term + 1, owner = ?, incarnation = ? WHERE id = 0 RETURNING term"
HEAD: Final = "SELECT max(floor - 1, ifnull((SELECT max(lsn) FROM journal WHERE shard = 0), 0)) FROM shard WHERE id = 0"
FENCE: Final = "SELECT 1 FROM shard WHERE id = 0 AND term = ? AND incarnation = ?"
