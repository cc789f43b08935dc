"""All queries, on a read-only connection. Each call sees the store as it was at one moment."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from understudy.errors import StoreError
from understudy_runtime.core.ports import ActorRow, InboxRow, JournalRow, Loaded
from understudy_runtime.storage.sqlite import schema
from understudy_runtime.storage.sqlite.connections import connect_reader
from understudy_runtime.storage.sqlite.errands import note_name
from understudy_runtime.storage.sqlite.faults import explain

MAX_KEYS: Final = 1000
"""Actors loaded by one query; more take several."""

ROW: Final = "key, kind, definition, status, execution, digest, build, created_at, updated_at, closed_at, parked_until"

ACTORS: Final = f"SELECT {ROW}, snapshot, snapshot_seq FROM actor WHERE key IN (SELECT value FROM json_each(?))"

TURNS_AFTER_SNAPSHOT: Final = (
    "SELECT j.lsn, j.actor, j.seq, j.at, j.records FROM json_each(?) k LEFT JOIN actor a ON a.key = k.value"
    " JOIN journal j ON j.actor = k.value AND j.seq > ifnull(a.snapshot_seq, 0) ORDER BY k.key, j.seq"
)
INBOX: Final = (
    "SELECT actor, sender, sender_seq, body FROM inbox WHERE actor IN (SELECT value FROM json_each(?))"
    " ORDER BY actor, sender, sender_seq"
)
TURNS: Final = "SELECT lsn, actor, seq, at, records FROM journal WHERE actor = ? AND seq > ? ORDER BY seq LIMIT ?"

BLOBS: Final = "SELECT digest, body FROM blob WHERE actor = ? AND digest IN (SELECT value FROM json_each(?))"

PARKED: Final = (
    "SELECT key, parked_until FROM actor WHERE ifnull(parked_until, 0) <= ? AND ifnull(parked_until, 0) < 9e999"
)
TOLD: Final = "SELECT DISTINCT actor FROM inbox"

KINDS: Final = "SELECT DISTINCT kind FROM actor WHERE namespace = ?"

LIST: Final = f"SELECT {ROW} FROM actor WHERE namespace = ?"
AFTER: Final = " AND (created_at, key) < (?, ?)"
NEWEST: Final = "ORDER BY created_at DESC, key DESC LIMIT ?"

NAMESPACES: Final = (
    "WITH RECURSIVE n (name) AS (SELECT min(namespace) FROM actor UNION ALL"
    " SELECT (SELECT min(namespace) FROM actor WHERE namespace > name) FROM n WHERE name IS NOT NULL)"
    " SELECT name FROM n WHERE name IS NOT NULL"
)
CLOSED_RUNS: Final = (
    "SELECT key FROM actor WHERE namespace = ? AND kind = 'run' AND created_at <= ? AND closed_at <= ?"
    " AND parked_until = 9e999 AND key NOT IN (SELECT actor FROM inbox) AND key NOT IN (SELECT sender FROM inbox)"
    " ORDER BY created_at LIMIT ?"
)
"""Whatever ended by then began by then: so no index over the ends is needed, which each run would have to pay for."""


class Reader:
    """A read-only connection. May be used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._con = connect_reader(path)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def epoch(self) -> int:
        with self._one_moment() as con:
            return schema.meta(con, schema.EPOCH)

    def close(self) -> None:
        self._con.close()

    def load(self, keys: Sequence[str]) -> list[Loaded]:
        """What is stored of each of these actors, in the order asked for."""
        loaded: list[Loaded] = []
        for start in range(0, len(keys), MAX_KEYS):
            loaded += self._load(keys[start : start + MAX_KEYS])
        return loaded

    def _load(self, keys: Sequence[str]) -> list[Loaded]:
        wanted = (json.dumps(list(dict.fromkeys(keys))),)
        with self._one_moment() as con:
            actors = con.execute(ACTORS, wanted).fetchall()
            turns = con.execute(TURNS_AFTER_SNAPSHOT, wanted).fetchall()
            inbox = con.execute(INBOX, wanted).fetchall()
        rows = {actor[0]: actor for actor in actors}
        turns_of: dict[str, list[JournalRow]] = {key: [] for key in keys}
        for each in turns:
            turns_of[each[1]].append(JournalRow(*each))
        inbox_of: dict[str, list[InboxRow]] = {key: [] for key in keys}
        for each in inbox:
            inbox_of[each[0]].append(InboxRow(*each))
        return [_loaded(key, rows.get(key), turns_of[key], inbox_of[key]) for key in keys]

    def turns(self, key: str, after_seq: int = 0, limit: int = -1) -> list[JournalRow]:
        """The actor's journal rows with seq > after_seq, in order, at most `limit` (negative: all)."""
        with self._one_moment() as con:
            return [JournalRow(*row) for row in con.execute(TURNS, (key, after_seq, limit)).fetchall()]

    def blobs(self, key: str, digests: Sequence[str]) -> dict[str, bytes]:
        with self._one_moment() as con:
            return dict(con.execute(BLOBS, (key, json.dumps(digests))).fetchall())

    def notes(self, shards: Collection[int]) -> dict[int, bytes]:
        with self._one_moment() as con:
            found = dict(con.execute("SELECT name, value FROM meta WHERE name LIKE 'note:%'").fetchall())
        return {shard: found[name] for shard in shards if (name := note_name(shard)) in found}

    def wakeful(self, until: float) -> list[tuple[str, float | None]]:
        """(key, parked_until) of actors to load by `until`; None for those never parked and those with messages."""
        with self._one_moment() as con:
            found: dict[str, float | None] = dict(con.execute(PARKED, (until,)).fetchall())
            found.update((key, None) for (key,) in con.execute(TOLD).fetchall())
        return list(found.items())

    def kinds(self, namespace: str) -> list[str]:
        """Of the actors that there are."""
        with self._one_moment() as con:
            return [kind for (kind,) in con.execute(KINDS, (namespace,)).fetchall()]

    def rows(
        self,
        *,
        namespace: str,
        kind: str = "",
        status: str = "",
        definition: str = "",
        limit: int = 100,
        before: tuple[float, str] | None = None,
    ) -> list[ActorRow]:
        """Rows of the actor table, newest first; empty filters match all. `before`: as in the port."""
        filters = {"kind": kind, "status": status, "definition": definition}
        given = {name: value for name, value in filters.items() if value}
        where = "".join(f" AND {name} = ?" for name in given)
        query = f"{LIST}{where}{'' if before is None else AFTER} {NEWEST}"
        values = (namespace, *given.values(), *(before or ()), limit)
        with self._one_moment() as con:
            return [ActorRow(*row) for row in con.execute(query, values).fetchall()]

    def closed_runs(self, before: float, limit: int) -> list[str]:
        """As in the port; without a limit if it is negative."""
        found: list[str] = []
        with self._one_moment() as con:
            for (namespace,) in con.execute(NAMESPACES).fetchall():
                rest = limit if limit < 0 else limit - len(found)
                found += [key for (key,) in con.execute(CLOSED_RUNS, (namespace, before, before, rest)).fetchall()]
        return found

    @contextmanager
    def _one_moment(self) -> Generator[sqlite3.Connection]:
        """Queries inside see one state of the store, whatever is committed meanwhile."""
        try:
            self._con.execute("BEGIN")
            try:
                yield self._con
            finally:
                self._con.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(explain(self._path, error)) from error


def _loaded(key: str, actor: tuple[Any, ...] | None, turns: list[JournalRow], inbox: list[InboxRow]) -> Loaded:
    if actor is None:
        return Loaded(key, None, None, 0, turns, inbox)
    *row, snapshot, snapshot_seq = actor
    return Loaded(key, ActorRow(*row), snapshot, snapshot_seq, turns, inbox)
