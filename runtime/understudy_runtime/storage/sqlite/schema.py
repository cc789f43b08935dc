"""The tables, as forward-only numbered migrations.

Migration n takes the schema from n-1 to n and is never changed once released. Each must leave a schema that
the release before still works on, because a node tolerates the next schema (and no later one): then a
rolling upgrade never stops the old nodes.

`journal.lsn` has one writer and no gaps; the shard's head is the last one. `journal_actor` is unique, so that no fault
can give an actor two turns of one number. `actor.parked_until` NULL means: load it on takeover; infinite ones (only a
message wakes them, and every closed run) are left out of the index, which so stays as small as the work that waits.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from understudy.errors import StoreError

MIGRATIONS: Final = (
    """
    CREATE TABLE shard (
        id INTEGER PRIMARY KEY, term INTEGER NOT NULL, owner TEXT NOT NULL, incarnation TEXT NOT NULL,
        floor INTEGER NOT NULL
    ) STRICT;
    INSERT INTO shard VALUES (0, 0, '', '', 0);

    CREATE TABLE journal (
        shard INTEGER NOT NULL, lsn INTEGER NOT NULL, actor TEXT NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL,
        records BLOB NOT NULL, PRIMARY KEY (shard, lsn)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX journal_actor ON journal (actor, seq);

    CREATE TABLE actor (
        key TEXT PRIMARY KEY, shard INTEGER NOT NULL, namespace TEXT NOT NULL, kind TEXT NOT NULL,
        definition TEXT NOT NULL, status TEXT NOT NULL, execution INTEGER NOT NULL, digest TEXT NOT NULL,
        build TEXT NOT NULL, created_at REAL NOT NULL, updated_at REAL NOT NULL, closed_at REAL, parked_until REAL,
        snapshot_seq INTEGER NOT NULL DEFAULT 0, snapshot BLOB
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX actor_newest ON actor (namespace, kind, created_at);
    CREATE INDEX actor_wakeful ON actor (ifnull(parked_until, 0)) WHERE ifnull(parked_until, 0) < 9e999;

    CREATE TABLE inbox (
        shard INTEGER NOT NULL, actor TEXT NOT NULL, sender TEXT NOT NULL, sender_seq INTEGER NOT NULL,
        body BLOB NOT NULL, PRIMARY KEY (actor, sender, sender_seq)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE blob (
        shard INTEGER NOT NULL, actor TEXT NOT NULL, digest TEXT NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (actor, digest)
    ) STRICT, WITHOUT ROWID;
    """,
)

SCHEMA: Final = len(MIGRATIONS)
"""The schema that this release writes."""

EPOCH: Final = "epoch"
BACKUP: Final = "backup_at"
"""Names in `meta`: see `core.ports.Store.epoch`; when the file was made as a backup, in microseconds since 1970."""

APPLICATION_ID: Final = 0x756E6473
"""Marks the file as ours, to any program that looks: SQLite keeps it in the file's header."""

META: Final = "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID"
"""Before all migrations, and never changed: how every release finds out what it has before it."""


def version(con: sqlite3.Connection) -> int | None:
    """The file's schema; 0 for an empty database; None if it belongs to some other program."""
    if con.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
        return None if con.execute("SELECT 1 FROM sqlite_schema").fetchone() else 0
    [(found,)] = con.execute("SELECT value FROM meta WHERE name = 'schema'").fetchall()
    return int(found)


def check(path: Path, found: int | None) -> None:
    """StoreError unless this release can work with the schema found."""
    if found is None:
        raise StoreError(f"{path} is a SQLite database, but not an understudy store: name another file")
    if found > SCHEMA + 1:
        raise StoreError(
            f"store {path} was written by a newer understudy (schema {found}; this one works with up to {SCHEMA + 1}): "
            "upgrade understudy"
        )


def meta(con: sqlite3.Connection, name: str) -> int:
    """A number that the file says of itself; 0 if it does not."""
    return int(next((value for (value,) in con.execute("SELECT value FROM meta WHERE name = ?", (name,))), 0))


def migrate(con: sqlite3.Connection, now: float) -> None:
    """Bring the file to this release's schema, each migration in a transaction of its own."""
    con.execute("BEGIN IMMEDIATE")
    try:
        found = version(con) or 0
        if found == 0:
            con.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            con.execute(META)
            con.execute("INSERT INTO meta VALUES ('schema', 0), ('created_at', ?)", (now,))
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise
    for number in range(found + 1, SCHEMA + 1):
        steps = MIGRATIONS[number - 1]
        con.executescript(f"BEGIN IMMEDIATE; {steps} UPDATE meta SET value = {number} WHERE name = 'schema'; COMMIT;")
