"""Deleting what is stored of closed actors, piece by piece, on a connection that reads.

Each piece is one statement, which begins as a commit does: it locks the rows of its shards, and goes on with those
alone that are still under the term they had when the deletion was asked for. So it is over before another node can
claim them, or it does nothing. A piece is no longer than PIECE_TURNS turns of long journals, of which the oldest go
first, as far as the snapshot stands for them, or else what is left of RUNS actors: an actor that is still there can
be loaded at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from understudy_runtime.core.keys import shard_of
from understudy_runtime.storage.postgres.address import Address
from understudy_runtime.storage.postgres.connections import Connection, Connections, as_store_error

RUNS: Final = 20
PIECE_TURNS: Final = 500

CHOSEN: Final = """
WITH ours AS (
    SELECT s.id FROM unnest($1::integer[], $2::bigint[]) AS n (id, term)
    JOIN {s}.shard s ON s.id = n.id AND s.term = n.term AND s.incarnation = $3
    WHERE s.id = ANY($1::integer[]) ORDER BY s.id FOR UPDATE OF s
), chosen AS (
    SELECT a.key, a.shard, a.snapshot_seq FROM {s}.actor a
    WHERE a.key = ANY($4::text[]) AND a.shard IN (SELECT id FROM ours)
    AND a.closed_at <= $5 AND a.parked_until = 'infinity'
)"""

FLOORS: Final = """
floors AS (
    UPDATE {s}.shard s SET floor = greatest(s.floor, l.lsn + 1)
    FROM (SELECT shard, max(lsn) AS lsn FROM turns GROUP BY shard) l WHERE s.id = l.shard
)"""

TRIM: Final = f"""{CHOSEN}, oldest AS (
    SELECT j.shard, j.lsn FROM chosen c JOIN {{s}}.journal j ON j.actor = c.key AND j.seq <= c.snapshot_seq
    ORDER BY j.actor, j.seq LIMIT {PIECE_TURNS}
), turns AS (
    DELETE FROM {{s}}.journal j USING oldest o WHERE j.shard = o.shard AND j.lsn = o.lsn RETURNING j.shard, j.lsn
), {FLOORS}
SELECT count(*) FROM turns
"""

FINISH: Final = f"""{CHOSEN}, turns AS (
    DELETE FROM {{s}}.journal j USING chosen c WHERE j.actor = c.key RETURNING j.shard, j.lsn
), blobs AS (
    DELETE FROM {{s}}.blob b USING chosen c WHERE b.actor = c.key
), {FLOORS}, actors AS (
    DELETE FROM {{s}}.actor a USING chosen c WHERE a.key = c.key RETURNING a.key
)
SELECT count(*) FROM actors
"""


class Deleter:
    """Deletes for one incarnation of a node."""

    def __init__(self, address: Address, shards: int, incarnation: str, connections: Connections) -> None:
        self._address = address
        self._shards = shards
        self._incarnation = incarnation
        self._connections = connections

    async def delete(self, keys: Sequence[str], before: float, terms: Mapping[int, int]) -> int:
        """`terms` are those that the node holds as it asks. StoreError."""
        gone = 0
        for start in range(0, len(keys), RUNS):
            some = keys[start : start + RUNS]
            shards = sorted({shard for key in some if (shard := shard_of(key, self._shards)) in terms})
            arguments = (shards, [terms[shard] for shard in shards], self._incarnation, list(some), before)
            while await self._do(TRIM, arguments):
                pass
            gone += await self._do(FINISH, arguments)
        return gone

    async def _do(self, sql: str, arguments: tuple[object, ...]) -> int:
        """Sent again, it finds nothing left to do: then some are not counted."""

        async def send(connection: Connection) -> int:
            return int(await connection.value(sql.replace("{s}", self._address.schema), *arguments))

        try:
            return await self._connections.ask(send)
        except Exception as error:
            raise as_store_error(self._address, error) from error
