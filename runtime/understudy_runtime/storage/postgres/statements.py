"""The commit, as one statement.

It locks its shards' rows in the order of their ids, advances those that are still as this node left them, writes only
what belongs to these, and says which they were: so a fenced shard drops out alone, in one round trip, and sending the
same statement twice does it once. Parts that a batch has no use for are left out; the text of each such shape is made
once, and prepared once for each connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

FENCE: Final = """
locked AS (
    SELECT s.id, n.head
    FROM (
        SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[]) AS n (id, term, commits, head)
        ORDER BY id
    ) n CROSS JOIN LATERAL (
        SELECT s.id FROM {s}.shard s
        WHERE s.id = n.id AND s.term = n.term AND s.commits = n.commits AND s.incarnation = $5 FOR UPDATE
    ) s
), ours AS (
    UPDATE {s}.shard s SET head = l.head, commits = s.commits + 1 FROM locked l WHERE s.id = l.id RETURNING s.id
)"""
"""What all commits begin with. Five arguments. Lateral, so that each row is looked up by its id, and locked in that
order: a plan made for any number of shards would compare each with each."""


class Part:
    """One table's share of a commit: `n` is the relation of its arguments, one array for each of `columns`."""

    def __init__(self, name: str, columns: Sequence[tuple[str, str]], sql: str) -> None:
        self.name = name
        self._columns = columns
        self._sql = sql

    @property
    def width(self) -> int:
        return len(self._columns)

    def text(self, first: int) -> str:
        """`first` is the number of its first argument."""
        arrays = ", ".join(f"${first + i}::{kind}[]" for i, (_, kind) in enumerate(self._columns))
        names = ", ".join(name for name, _ in self._columns)
        return f"{self.name} AS ({self._sql.replace('{n}', f'unnest({arrays}) AS n ({names})')})"


JOURNAL: Final = Part(
    "journal",
    [("shard", "integer"), ("lsn", "bigint"), ("actor", "text"), ("seq", "bigint"), ("at", "double precision"),
     ("records", "bytea")],
    "INSERT INTO {s}.journal (shard, lsn, actor, seq, at, records) SELECT n.* FROM {n}"
    " WHERE n.shard IN (SELECT id FROM ours)",
)  # fmt: skip

ACTOR: Final = Part(
    "actor",
    [("shard", "integer"), ("key", "text"), ("namespace", "text"), ("kind", "text"), ("definition", "text"),
     ("status", "text"), ("execution", "bigint"), ("digest", "text"), ("build", "text"),
     ("created_at", "double precision"), ("updated_at", "double precision"), ("closed_at", "double precision"),
     ("parked_until", "double precision"), ("snapshot_seq", "bigint"), ("snapshot", "bytea")],
    "INSERT INTO {s}.actor (shard, key, namespace, kind, definition, status, execution, digest, build, created_at,"
    " updated_at, closed_at, parked_until, snapshot_seq, snapshot) SELECT n.* FROM {n}"
    " WHERE n.shard IN (SELECT id FROM ours)"
    " ON CONFLICT (key) DO UPDATE SET definition = excluded.definition, status = excluded.status,"
    " execution = excluded.execution, digest = excluded.digest, build = excluded.build,"
    " updated_at = excluded.updated_at, closed_at = excluded.closed_at, parked_until = excluded.parked_until,"
    " snapshot_seq = CASE WHEN excluded.snapshot IS NULL THEN actor.snapshot_seq ELSE excluded.snapshot_seq END,"
    " snapshot = coalesce(excluded.snapshot, actor.snapshot)",
)  # fmt: skip
"""Nothing that `actor_newest` holds is set again, so that a change of status leaves that index alone."""

SNAPSHOT: Final = Part(
    "snapshot",
    [("shard", "integer"), ("key", "text"), ("seq", "bigint"), ("body", "bytea")],
    "UPDATE {s}.actor a SET snapshot_seq = n.seq, snapshot = n.body FROM {n}"
    " WHERE a.key = n.key AND n.shard IN (SELECT id FROM ours) RETURNING a.key",
)

SENT: Final = Part(
    "sent",
    [("sender_shard", "integer"), ("shard", "integer"), ("actor", "text"), ("sender", "text"),
     ("sender_seq", "bigint"), ("body", "bytea")],
    "INSERT INTO {s}.inbox (shard, actor, sender, sender_seq, body)"
    " SELECT n.shard, n.actor, n.sender, n.sender_seq, n.body FROM {n} WHERE n.sender_shard IN (SELECT id FROM ours)",
)  # fmt: skip

CONSUMED: Final = Part(
    "consumed",
    [("shard", "integer"), ("actor", "text"), ("sender", "text"), ("sender_seq", "bigint")],
    "DELETE FROM {s}.inbox i USING {n} WHERE i.shard = n.shard AND i.actor = n.actor AND i.sender = n.sender"
    " AND i.sender_seq = n.sender_seq AND n.shard IN (SELECT id FROM ours)",
)

BLOB: Final = Part(
    "blob",
    [("shard", "integer"), ("actor", "text"), ("digest", "text"), ("body", "bytea")],
    "INSERT INTO {s}.blob (shard, actor, digest, body) SELECT n.* FROM {n}"
    " WHERE n.shard IN (SELECT id FROM ours) ON CONFLICT DO NOTHING",
)

PARTS: Final = (JOURNAL, ACTOR, SNAPSHOT, SENT, CONSUMED, BLOB)

OUTCOME: Final = "SELECT array_agg(id), extract(epoch FROM clock_timestamp())::float8 FROM ours"

ROWLESS: Final = (
    ", (SELECT cast('a snapshot of ' || min(n.key) || ', which has no row' AS integer) FROM {n}"
    " WHERE n.shard IN (SELECT id FROM ours) AND n.key NOT IN (SELECT key FROM snapshot) HAVING count(*) > 0)"
)
"""Fails the statement, and so the commit, if a snapshot found no row to be put in: no text is an integer."""


class Statements:
    """The texts for one schema, by the parts that are there."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._texts: dict[tuple[bool, ...], str] = {}

    def commit(self, shape: tuple[bool, ...]) -> str:
        """`shape` says of each of PARTS whether it is wanted."""
        text = self._texts.get(shape)
        if text is None:
            text = self._texts[shape] = self._compose(
                [part for part, wanted in zip(PARTS, shape, strict=True) if wanted]
            )
        return text

    def _compose(self, parts: Sequence[Part]) -> str:
        texts, first, check = [FENCE], 6, ""
        for part in parts:
            texts.append(part.text(first))
            if part is SNAPSHOT:
                arrays = f"unnest(${first}::integer[], ${first + 1}::text[]) AS n (shard, key)"
                check = ROWLESS.replace("{n}", arrays)
            first += part.width
        outcome = OUTCOME.replace(" FROM ours", f"{check} FROM ours")
        return f"WITH {', '.join(texts)} {outcome}".replace("{s}", self._schema)
