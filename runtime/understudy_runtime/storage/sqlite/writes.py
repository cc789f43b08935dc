"""A batch of turns, taken apart into the rows of each table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from understudy_runtime.core.keys import namespace_of
from understudy_runtime.core.ports import ActorRow, TurnWrite
from understudy_runtime.storage.sqlite import statements


class NotOurs(Exception):
    """The shard row names another term or incarnation."""


class Writes:
    """`head` is the shard's last position once these are written."""

    def __init__(self, head: int, batch: Sequence[TurnWrite]) -> None:
        journal: list[Any] = []
        self._journal = journal
        self._rows: dict[str, tuple[Any, ...]] = {}
        self._snapshots: dict[str, tuple[Any, ...]] = {}
        self._sent: list[Any] = []
        self._consumed: list[Any] = []
        self._blobs: list[Any] = []
        self._first = head + 1
        for turn in batch:
            if turn.records is not None:
                head += 1
                journal += (head, turn.key, turn.seq, turn.at, turn.records)
            if turn.row is not None:
                self._rows[turn.key] = _actor_values(turn.row, self._rows.get(turn.key))
            if turn.snapshot is not None:
                self._snapshots[turn.key] = (turn.key, turn.seq, turn.snapshot)
            for message in turn.sent:
                self._sent += (message.to, message.sender, message.sender_seq, message.body)
            for sender, sender_seq in turn.consumed:
                self._consumed += (turn.key, sender, sender_seq)
            for blob in turn.blobs:
                self._blobs += (turn.key, blob.digest, blob.body)
        self.head = head

    def run(self, cursor: sqlite3.Cursor, term: int, incarnation: str) -> None:
        """In one transaction, if the shard is ours. NotOurs, ValueError or sqlite3.Error: nothing was written."""
        others = self._rows or self._snapshots or self._sent or self._consumed or self._blobs
        if self._journal and not others and self.head - self._first < statements.EXACT:
            # The commonest batch by far is one statement, which is a transaction in itself: one call, not three.
            self._append(cursor, term, incarnation)
            return
        cursor.execute("BEGIN IMMEDIATE")
        if self._journal:
            self._append(cursor, term, incarnation)
        elif cursor.execute(statements.FENCE, (term, incarnation)).fetchone() is None:
            raise NotOurs
        self._write_others(cursor)
        cursor.execute("COMMIT")

    def _append(self, cursor: sqlite3.Cursor, term: int, incarnation: str) -> None:
        if not statements.JOURNAL.run(cursor, self._journal, (term, incarnation)):
            raise NotOurs

    def _write_others(self, cursor: sqlite3.Cursor) -> None:
        """Rows before snapshots, and sent before consumed, so that one batch may hold both of an actor."""
        if self._rows:
            statements.ACTOR.run(cursor, _flat(self._rows.values()))
        if self._snapshots:
            changed = statements.SNAPSHOT.run(cursor, _flat(self._snapshots.values()))
            if changed != len(self._snapshots):
                raise ValueError("a snapshot of an actor with no row: this is a fault of understudy, please report it")
        if self._sent:
            statements.SEND.run(cursor, self._sent)
        if self._consumed:
            statements.CONSUME.run(cursor, self._consumed)
        if self._blobs:
            statements.BLOB.run(cursor, self._blobs)


def _actor_values(row: ActorRow, earlier: tuple[Any, ...] | None) -> tuple[Any, ...]:
    """`earlier` are the values of the same actor earlier in the batch, which say when it was created."""
    created_at = row.created_at if earlier is None else earlier[8]
    return (
        row.key, namespace_of(row.key), row.kind, row.definition, row.status, row.execution, row.digest, row.build,
        created_at, row.updated_at, row.closed_at, row.parked_until,
    )  # fmt: skip


def _flat(rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    return list(chain.from_iterable(rows))
