"""The tables, as forward-only numbered migrations.

Migration n takes the schema from n-1 to n and is never changed once released. Each must leave a schema that the release
before still works on, because a node tolerates the next schema (and no later one): then a rolling upgrade never
stops the old nodes. Several nodes may start at once: one migrates, under a lock that ends with its transaction, and
the others then find nothing left to do.

`shard` is the fence. `head` is the last position in its log; `commits` counts the shard's commits, so that one that
appends nothing (an actor parks) can be told from one that never arrived. `floor` is the first position still kept.
Keys compare by their bytes (COLLATE "C"), as in every other store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from understudy.errors import StoreError
from understudy_runtime.storage.postgres.address import Address

if TYPE_CHECKING:
    from understudy_runtime.storage.postgres.connections import Connection

MIGRATIONS: Final = (
    """
    CREATE TABLE {s}.shard (
        id integer PRIMARY KEY, term bigint NOT NULL DEFAULT 0, owner text NOT NULL DEFAULT '',
        incarnation text NOT NULL DEFAULT '', head bigint NOT NULL DEFAULT 0, commits bigint NOT NULL DEFAULT 0,
        floor bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
    INSERT INTO {s}.shard (id)
        SELECT generate_series(0, (SELECT value FROM {s}.meta WHERE name = 'shards')::integer - 1);

    CREATE TABLE {s}.journal (
        shard integer NOT NULL, lsn bigint NOT NULL, actor text COLLATE "C" NOT NULL, seq bigint NOT NULL,
        at double precision NOT NULL, records bytea NOT NULL, PRIMARY KEY (shard, lsn)
    );
    CREATE UNIQUE INDEX journal_actor ON {s}.journal (actor, seq);

    CREATE TABLE {s}.actor (
        key text COLLATE "C" PRIMARY KEY, shard integer NOT NULL, namespace text COLLATE "C" NOT NULL,
        kind text COLLATE "C" NOT NULL, definition text COLLATE "C" NOT NULL, status text COLLATE "C" NOT NULL,
        execution bigint NOT NULL, digest text COLLATE "C" NOT NULL, build text COLLATE "C" NOT NULL,
        created_at double precision NOT NULL, updated_at double precision NOT NULL, closed_at double precision,
        parked_until double precision, snapshot_seq bigint NOT NULL DEFAULT 0, snapshot bytea
    ) WITH (fillfactor = 80);
    CREATE INDEX actor_newest ON {s}.actor (namespace, created_at, key);
    CREATE INDEX actor_kind ON {s}.actor (namespace, kind, created_at, key);
    CREATE INDEX actor_wakeful ON {s}.actor (shard, coalesce(parked_until, 0))
        WHERE coalesce(parked_until, 0) < 'infinity';

    CREATE TABLE {s}.inbox (
        shard integer NOT NULL, actor text COLLATE "C" NOT NULL, sender text COLLATE "C" NOT NULL,
        sender_seq bigint NOT NULL, body bytea NOT NULL, PRIMARY KEY (shard, actor, sender, sender_seq)
    ) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

    CREATE TABLE {s}.blob (
        shard integer NOT NULL, actor text COLLATE "C" NOT NULL, digest text COLLATE "C" NOT NULL,
        body bytea NOT NULL, PRIMARY KEY (actor, digest)
    );
    """,
)

LATEST: Final = len(MIGRATIONS)
"""The schema that this release writes."""

META: Final = """
    CREATE SCHEMA IF NOT EXISTS {s};
    CREATE TABLE {s}.meta (name text PRIMARY KEY, value text NOT NULL);
    INSERT INTO {s}.meta VALUES
        ('application', 'understudy'), ('schema', '0'), ('shards', '{shards}'), ('created_at', '{now}');
"""
"""Before all migrations, and never changed: how every release finds out what it has before it."""

COLUMNS: Final = (
    "SELECT a.attname FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'meta'"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE n.nspname = $1"
)
"""Of the meta table. Read from the catalogue's tables, because what a transaction that waited for LOCK is told by
`to_regclass` may be from before that."""

LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('understudy migrates ' || $1, 0))"


class Found(dict[str, str]):
    """What the meta table says; empty where there is no store yet."""

    @property
    def schema(self) -> int:
        return int(self.get("schema", "0"))

    @property
    def shards(self) -> int:
        return int(self["shards"])

    @property
    def epoch(self) -> int:
        """See `core.ports.Store.epoch`."""
        return int(self.get("epoch", "0"))


async def look(con: Connection, address: Address) -> Found:
    """StoreError if the schema belongs to some other program, or is too new for this release."""
    columns = {row[0] for row in await con.fetch(COLUMNS, address.schema)}
    if not columns:
        return Found()
    found = Found()
    if {"name", "value"} <= columns:
        found.update({row[0]: row[1] for row in await con.fetch(f"SELECT name, value FROM {address.schema}.meta")})
    if found.get("application") != "understudy":
        raise StoreError(
            f"schema {address.schema!r} of {address.shown} holds tables of another program: name another with ?schema="
        )
    if found.schema > LATEST + 1:
        raise StoreError(
            f"the store at {address.shown} was written by a newer understudy (schema {found.schema}; this one works "
            f"with up to {LATEST + 1}): upgrade understudy"
        )
    return found


async def migrate(con: Connection, address: Address, now: float) -> Found:
    """Bring the database to this release's schema, in one transaction. A store that is up to date is only looked at,
    so that a node needs no right to change tables."""
    found = await look(con, address)
    if found and found.schema >= LATEST:
        return found
    async with con.transaction():
        await con.fetch(LOCK, address.schema)
        found = await look(con, address)
        if not found:
            await con.script(META.format(s=address.schema, shards=address.shards, now=now))
        for number in range(found.schema + 1, LATEST + 1):
            await con.script(MIGRATIONS[number - 1].format(s=address.schema))
            await con.script(f"UPDATE {address.schema}.meta SET value = '{number}' WHERE name = 'schema'")
        return await look(con, address)
