"""A batch of turns, taken apart into the columns of each table, with the positions its shards give it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from understudy_runtime.core.keys import namespace_of, shard_of
from understudy_runtime.core.ports import ActorRow, Blob, InboxRow, TurnWrite


class Held:
    """A shard as this node left it: its term, its last position, and how many commits it has had."""

    __slots__ = ("commits", "head", "term")

    def __init__(self, term: int, head: int, commits: int) -> None:
        self.term = term
        self.head = head
        self.commits = commits


class Writes:
    """What one commit asks for. The same bytes however often it is sent, so that it may be sent until it is answered.

    `heads` are the shards' last positions once these are written. Turns of shards that are not in `held` are left out:
    these shards are `fenced`.
    """

    def __init__(self, shards: int, held: dict[int, Held], batch: Iterable[TurnWrite]) -> None:
        self._shards = shards
        self.heads: dict[int, int] = {}
        self.held: dict[int, Held] = {}
        """The shards as they were when this was made; whoever claims one anew makes another of it."""
        self.fenced: set[int] = set()
        self._journal: list[tuple[Any, ...]] = []
        self._rows: dict[str, ActorRow] = {}
        self._snapshots: dict[str, tuple[int, bytes]] = {}
        self._sent: dict[tuple[str, str, int], list[tuple[int, InboxRow]]] = {}
        self._consumed: list[tuple[Any, ...]] = []
        self._freed: set[tuple[str, str, int]] = set()
        self._blobs: list[tuple[int, str, Blob]] = []
        shard_by_key: dict[str, int] = {}
        for turn in batch:
            shard = shard_by_key.get(turn.key)
            if shard is None:
                shard = shard_by_key[turn.key] = shard_of(turn.key, shards)
            if shard in held:
                self._take(held[shard], shard, turn)
            else:
                self.fenced.add(shard)
        self._shard_by_key = shard_by_key

    def _take(self, held: Held, shard: int, turn: TurnWrite) -> None:
        head = self.heads.get(shard)
        if head is None:
            head = held.head
            self.held[shard] = held
        if turn.records is not None:
            head += 1
            self._journal.append((shard, head, turn.key, turn.seq, turn.at, turn.records))
        self.heads[shard] = head
        if turn.row is not None:
            self._rows[turn.key] = _created_as_before(turn.row, self._rows.get(turn.key))
        if turn.snapshot is not None:
            self._snapshots[turn.key] = (turn.seq, turn.snapshot)
        if turn.consumed:
            self._consume(shard, turn)
        for message in turn.sent:
            name = (message.to, message.sender, message.sender_seq)
            # A name that the batch frees is still taken: sent twice, it is refused as it is where it is not free.
            self._sent.setdefault(name, []).extend([(shard, message)] * (2 if name in self._freed else 1))
        for blob in turn.blobs:
            self._blobs.append((shard, turn.key, blob))

    def _consume(self, shard: int, turn: TurnWrite) -> None:
        """One statement cannot delete what it inserts: a message of this very batch is left out of it."""
        for sender, sender_seq in turn.consumed:
            if self._sent.pop((turn.key, sender, sender_seq), None) is None:
                self._consumed.append((shard, turn.key, sender, sender_seq))
                self._freed.add((turn.key, sender, sender_seq))

    def fence(self, incarnation: str) -> list[Any]:
        """The arguments of what each commit begins with."""
        held = self.held.values()
        return [
            list(self.heads), [each.term for each in held], [each.commits for each in held],
            list(self.heads.values()), incarnation,
        ]  # fmt: skip

    def parts(self) -> tuple[tuple[bool, ...], list[Any]]:
        """Which parts there are (see `statements.PARTS`), and their columns, one after the other."""
        shard_by_key = self._shard_by_key
        alone = [(shard_by_key[key], key, *each) for key, each in self._snapshots.items() if key not in self._rows]
        tables: list[Sequence[tuple[Any, ...]]] = [
            self._journal,
            [_actor_values(shard_by_key[key], row, self._snapshots.get(key)) for key, row in self._rows.items()],
            alone,
            self._sent_values(),
            self._consumed,
            [(shard, key, blob.digest, blob.body) for shard, key, blob in self._blobs],
        ]
        columns = [list(column) for table in tables if table for column in zip(*table, strict=True)]
        return tuple(bool(table) for table in tables), columns

    def _sent_values(self) -> list[tuple[Any, ...]]:
        return [
            (shard, shard_of(message.to, self._shards), message.to, message.sender, message.sender_seq, message.body)
            for each in self._sent.values()
            for shard, message in each
        ]

    def advance(self, shards: Collection[int]) -> None:
        """These are durable."""
        for shard in shards:
            held = self.held[shard]
            held.head = self.heads[shard]
            held.commits += 1


def _created_as_before(row: ActorRow, earlier: ActorRow | None) -> ActorRow:
    """A row keeps when it was created, which the batch's first one says."""
    if earlier is None or earlier.created_at == row.created_at:
        return row
    return ActorRow(
        row.key, row.kind, row.definition, row.status, row.execution, row.digest, row.build, earlier.created_at,
        row.updated_at, row.closed_at, row.parked_until,
    )  # fmt: skip


def _actor_values(shard: int, row: ActorRow, snapshot: tuple[int, bytes] | None) -> tuple[Any, ...]:
    seq, body = (0, None) if snapshot is None else snapshot
    return (
        shard, row.key, namespace_of(row.key), row.kind, row.definition, row.status, row.execution, row.digest,
        row.build, row.created_at, row.updated_at, row.closed_at, row.parked_until, seq, body,
    )  # fmt: skip
