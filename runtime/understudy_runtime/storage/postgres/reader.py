"""All questions about what is stored. Each sees the store as it was at one moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, TypeVar

from understudy_runtime.core.keys import shard_of
from understudy_runtime.core.ports import ActorRow, InboxRow, JournalRow, Loaded, ShardRow
from understudy_runtime.storage.postgres.address import Address
from understudy_runtime.storage.postgres.connections import Connection, Connections, Row, as_store_error

T = TypeVar("T")

MAX_KEYS: Final = 1000
"""Actors loaded by one transaction; more take several."""

ROW: Final = "key, kind, definition, status, execution, digest, build, created_at, updated_at, closed_at, parked_until"

ACTORS: Final = f"SELECT {ROW}, snapshot, snapshot_seq FROM {{s}}.actor WHERE key = ANY($1::text[])"
TURNS_AFTER_SNAPSHOT: Final = (
    "SELECT j.lsn, j.actor, j.seq, j.at, j.records FROM unnest($1::text[]) AS k (key)"
    " LEFT JOIN {s}.actor a ON a.key = k.key JOIN {s}.journal j ON j.actor = k.key"
    " AND j.seq > coalesce(a.snapshot_seq, 0) ORDER BY j.actor, j.seq"
)
INBOX: Final = (
    "SELECT i.actor, i.sender, i.sender_seq, i.body FROM unnest($1::text[], $2::integer[]) AS k (key, shard)"
    " JOIN {s}.inbox i ON i.shard = k.shard AND i.actor = k.key ORDER BY i.actor, i.sender, i.sender_seq"
)
TURNS: Final = (
    "SELECT lsn, actor, seq, at, records FROM {s}.journal WHERE actor = $1 AND seq > $2 ORDER BY seq LIMIT $3"
)
BLOBS: Final = "SELECT digest, body FROM {s}.blob WHERE actor = $1 AND digest = ANY($2::text[])"
NOTES: Final = (
    "SELECT n.shard, convert_to(m.value, 'UTF8') FROM unnest($1::integer[]) AS n (shard)"
    " JOIN {s}.meta m ON m.name = 'note:' || n.shard"
)
TOLD: Final = "SELECT DISTINCT actor FROM {s}.inbox WHERE shard = ANY($1::integer[])"
WAKEFUL: Final = (
    "SELECT key, parked_until FROM {s}.actor WHERE shard = ANY($1::integer[]) AND coalesce(parked_until, 0) <= $2"
    " AND coalesce(parked_until, 0) < 'infinity'"
    " UNION ALL SELECT DISTINCT actor, NULL::float8 FROM {s}.inbox WHERE shard = ANY($1::integer[])"
)
"""One statement, not two in a transaction: it is what a node that has nothing to do asks most."""
SHARDS: Final = "SELECT id, term, owner, incarnation, head, floor FROM {s}.shard ORDER BY id"
NAMESPACES: Final = (
    "WITH RECURSIVE n (name) AS (SELECT min(namespace) FROM {s}.actor UNION ALL"
    " SELECT (SELECT min(namespace) FROM {s}.actor WHERE namespace > name) FROM n WHERE name IS NOT NULL)"
    " SELECT name FROM n WHERE name IS NOT NULL"
)
CLOSED_RUNS: Final = (
    "SELECT key FROM {s}.actor WHERE namespace = $1 AND kind = 'run' AND created_at <= $2 AND closed_at <= $2"
    " AND parked_until = 'infinity' AND shard = ANY($3::integer[]) AND key NOT IN (SELECT actor FROM {s}.inbox)"
    " AND key NOT IN (SELECT sender FROM {s}.inbox) ORDER BY created_at LIMIT $4"
)
"""Whatever ended by then began by then: so no index over the ends is needed, which each run would have to pay for."""

FILTERS: Final = ("namespace", "kind", "status", "definition")


class Reader:
    """Errors are StoreError."""

    def __init__(self, address: Address, shards: int, connections: Connections) -> None:
        self._address = address
        self._shards = shards
        self._connections = connections

    async def load(self, keys: Sequence[str]) -> list[Loaded]:
        loaded: list[Loaded] = []
        for start in range(0, len(keys), MAX_KEYS):
            loaded += await self._load(keys[start : start + MAX_KEYS])
        return loaded

    async def _load(self, keys: Sequence[str]) -> list[Loaded]:
        wanted = list(dict.fromkeys(keys))
        shards = [shard_of(key, self._shards) for key in wanted]

        async def read(connection: Connection) -> tuple[Sequence[Row], Sequence[Row], Sequence[Row]]:
            async with connection.transaction("ISOLATION LEVEL REPEATABLE READ, READ ONLY"):
                actors = await connection.fetch(self._sql(ACTORS), wanted)
                turns = await connection.fetch(self._sql(TURNS_AFTER_SNAPSHOT), wanted)
                inbox = await connection.fetch(self._sql(INBOX), wanted, shards)
            return actors, turns, inbox

        actors, turns, inbox = await self._ask(read)
        rows = {actor[0]: actor for actor in actors}
        turns_of: dict[str, list[JournalRow]] = {key: [] for key in keys}
        for each in turns:
            turns_of[each[1]].append(JournalRow(*each))
        inbox_of: dict[str, list[InboxRow]] = {key: [] for key in keys}
        for each in inbox:
            inbox_of[each[0]].append(InboxRow(*each))
        return [_loaded(key, rows.get(key), turns_of[key], inbox_of[key]) for key in keys]

    async def turns(self, key: str, after_seq: int, limit: int) -> list[JournalRow]:
        return [JournalRow(*row) for row in await self._fetch(TURNS, key, after_seq, limit)]

    async def blobs(self, key: str, digests: Sequence[str]) -> dict[str, bytes]:
        return {row[0]: row[1] for row in await self._fetch(BLOBS, key, list(digests))}

    async def notes(self, shards: Collection[int]) -> dict[int, bytes]:
        return {row[0]: row[1] for row in await self._fetch(NOTES, list(shards))}

    async def wakeful(self, until: float, shards: Collection[int]) -> list[tuple[str, float | None]]:
        found: dict[str, float | None] = {}
        for key, at in await self._fetch(WAKEFUL, list(shards), until):
            # Who is there twice is parked and has mail.
            found[key] = None if key in found else at
        return list(found.items())

    async def inbox(self, keys: Collection[str]) -> dict[str, list[InboxRow]]:
        found: dict[str, list[InboxRow]] = {}
        for row in await self._fetch(INBOX, list(keys), [shard_of(key, self._shards) for key in keys]):
            found.setdefault(row[0], []).append(InboxRow(*row))
        return found

    async def scan_inbox(self, shards: Collection[int]) -> list[str]:
        return [row[0] for row in await self._fetch(TOLD, list(shards))]

    async def rows(self, filters: dict[str, str], limit: int, before: tuple[float, str] | None) -> list[ActorRow]:
        """`filters`: what columns of FILTERS must be."""
        assert filters.keys() <= set(FILTERS)
        where = " AND ".join(f"{name} = ${n}" for n, name in enumerate(filters, 1))
        values: list[object] = list(filters.values())
        if before is not None:
            where += f" AND (created_at, key) < (${len(values) + 1}, ${len(values) + 2})"
            values += before
        order = f"ORDER BY created_at DESC, key DESC LIMIT ${len(values) + 1}"
        found = await self._fetch(f"SELECT {ROW} FROM {{s}}.actor WHERE {where} {order}", *values, limit)
        return [ActorRow(*row) for row in found]

    async def closed_runs(self, before: float, shards: Collection[int], limit: int) -> list[str]:
        found: list[str] = []
        for (namespace,) in await self._fetch(NAMESPACES):
            rows = await self._fetch(CLOSED_RUNS, namespace, before, list(shards), limit - len(found))
            found += [row[0] for row in rows]
            if len(found) >= limit:
                break
        return found

    async def shards(self) -> list[ShardRow]:
        return [ShardRow(*row) for row in await self._fetch(SHARDS)]

    def _sql(self, text: str) -> str:
        return text.replace("{s}", self._address.schema)

    async def _fetch(self, sql: str, *arguments: object) -> Sequence[Row]:
        return await self._ask(lambda connection: connection.fetch(self._sql(sql), *arguments))

    async def _ask(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            return await self._connections.ask(question)
        except Exception as error:
            raise as_store_error(self._address, error) from error


def _loaded(key: str, actor: Row | None, turns: list[JournalRow], inbox: list[InboxRow]) -> Loaded:
    if actor is None:
        return Loaded(key, None, None, 0, turns, inbox)
    *row, snapshot, snapshot_seq = actor
    return Loaded(key, ActorRow(*row), snapshot, snapshot_seq, turns, inbox)
