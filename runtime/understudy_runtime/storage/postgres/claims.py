"""Whose a shard is: claims, which the table decides, and a lock that is there for politeness.

A claim is `term + 1` where the term is still the one that was seen: of several nodes that saw the same, one has it, and
every commit under the old term is refused from then on. That is the whole safety.

The lock (PostgreSQL's advisory one, held by the connection that commits) only keeps a node that wants the store for
itself from taking it away from one that lives, by mistake. It ends with its connection, and is not taken behind a
pooler, where connections belong to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Final

from understudy.errors import StoreError
from understudy_runtime.storage.postgres.address import Address
from understudy_runtime.storage.postgres.connections import Connection, Connections, as_store_error
from understudy_runtime.storage.postgres.writes import Held

LOCK_WAIT_S: Final = 1.0
"""How long the server may take to notice that a process that had the lock is gone."""
LOCK_RETRY_S: Final = 0.05
RELEASE_TIMEOUT_S: Final = 2.0

CLAIM: Final = """
WITH locked AS (
    SELECT s.id FROM unnest($1::integer[], $2::bigint[]) AS n (id, term)
    JOIN {s}.shard s ON s.id = n.id AND s.term = n.term ORDER BY s.id FOR UPDATE OF s
)
UPDATE {s}.shard s SET term = s.term + 1, owner = $3, incarnation = $4 FROM locked l WHERE s.id = l.id
"""
LOOK: Final = "SELECT id, term, incarnation, head, commits FROM {s}.shard WHERE id = ANY($1::integer[])"
EPOCH: Final = "SELECT coalesce((SELECT value FROM {s}.meta WHERE name = 'epoch'), '0')::bigint"
BEGIN_EPOCH: Final = """
WITH locked AS (
    SELECT s.id FROM {s}.shard s ORDER BY s.id FOR UPDATE OF s
), epoch AS (
    INSERT INTO {s}.meta VALUES ('epoch', (extract(epoch FROM clock_timestamp()) * 1e6)::bigint::text)
    ON CONFLICT (name) DO UPDATE SET value = greatest(meta.value::bigint + 1, excluded.value::bigint)::text
    RETURNING value::bigint AS at
)
UPDATE {s}.shard s SET term = greatest(s.term + 1, e.at), owner = '', incarnation = ''
FROM locked l, epoch e WHERE s.id = l.id
"""
NOTE: Final = """
WITH given AS (SELECT * FROM unnest($1::integer[], $2::bytea[]) AS n (shard, body)),
gone AS (DELETE FROM {s}.meta m USING given g WHERE m.name = 'note:' || g.shard AND g.body = '')
INSERT INTO {s}.meta SELECT 'note:' || shard, convert_from(body, 'UTF8') FROM given WHERE body <> ''
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
RELEASE: Final = """
WITH locked AS (
    SELECT s.id FROM {s}.shard s WHERE s.id = ANY($1::integer[]) AND s.incarnation = $2 ORDER BY s.id FOR UPDATE OF s
)
UPDATE {s}.shard s SET owner = '' FROM locked l WHERE s.id = l.id
"""


class Claims:
    """Claims and releases shards; `held` are those it has."""

    def __init__(
        self, address: Address, node: str, incarnation: str, held: dict[int, Held], connections: Connections
    ) -> None:
        self._address = address
        self._node = node
        self._incarnation = incarnation
        self._held = held
        self._connections = connections
        self.epoch = 0
        """The store's when it was opened: of another one, nothing in this process is true."""

    async def claim(self, seen: Mapping[int, int]) -> dict[int, int]:
        """As in the port. Safe to send twice: whether it took effect is read from the rows."""

        async def take(connection: Connection) -> dict[int, Held]:
            if await connection.value(self._sql(EPOCH)) != self.epoch:
                raise StoreError(
                    f"store {self._address.shown} has been restored from a backup since this node opened it: "
                    "end this node and start it again"
                )
            await connection.fetch(self._sql(CLAIM), list(seen), list(seen.values()), self._node, self._incarnation)
            rows = await connection.fetch(self._sql(LOOK), list(seen))
            return {
                shard: Held(term, head, commits)
                for shard, term, incarnation, head, commits in rows
                if (term, incarnation) == (seen[shard] + 1, self._incarnation)
            }

        try:
            claimed = await self._connections.ask(take)
        except Exception as error:
            raise as_store_error(self._address, error) from error
        self._held.update(claimed)
        return {shard: held.term for shard, held in claimed.items()}

    async def begin_epoch(self) -> None:
        try:
            await self._connections.ask(lambda connection: connection.fetch(self._sql(BEGIN_EPOCH)))
        except Exception as error:
            raise as_store_error(self._address, error) from error

    async def note(self, notes: Mapping[int, bytes]) -> None:
        try:
            await self._connections.ask(
                lambda connection: connection.fetch(self._sql(NOTE), list(notes), list(notes.values()))
            )
        except Exception as error:
            raise as_store_error(self._address, error) from error

    async def release(self, shards: Collection[int]) -> None:
        """They are given up at once; that the table says so as well is only for those who look."""
        gone = [shard for shard in shards if self._held.pop(shard, None) is not None]
        if not gone:
            return
        with suppress(Exception):
            async with asyncio.timeout(RELEASE_TIMEOUT_S):
                await self._connections.ask(
                    lambda connection: connection.fetch(self._sql(RELEASE), gone, self._incarnation)
                )

    def _sql(self, text: str) -> str:
        return text.replace("{s}", self._address.schema)


class SoleUse:
    """`alone`: the store is for one node. Otherwise it is for all that say so too."""

    def __init__(self, address: Address, *, alone: bool) -> None:
        self._address = address
        self._shared = "" if alone else "_shared"
        self._had = False

    async def greet(self, connection: Connection) -> None:
        """Take the lock on a new connection. StoreError if it is another's, and we have not had it before: a node that
        comes back after its connection broke is judged by its terms alone."""
        if connection.pooled:
            return
        lock = f"SELECT pg_try_advisory_lock{self._shared}(hashtextextended('understudy writes ' || $1, 0))"
        until = asyncio.get_running_loop().time() + LOCK_WAIT_S
        while not await connection.value(lock, self._address.schema) and not self._had:
            if asyncio.get_running_loop().time() > until:
                raise StoreError(await self._taken(connection))
            await asyncio.sleep(LOCK_RETRY_S)
        self._had = True

    async def _taken(self, connection: Connection) -> str:
        owners = ""
        with suppress(Exception):
            owners = await connection.value(
                f"SELECT string_agg(DISTINCT owner, ', ') FROM {self._address.schema}.shard WHERE owner <> ''"
            )
        who = f"by {owners}" if owners else "by another node"
        return f"store {self._address.shown} is already open for writing {who}: end it first, or use another --store"


FAREWELL: Final = "SELECT pg_advisory_unlock_all()"
"""Before a connection is closed, so that whoever comes next need not wait until the server has noticed."""
