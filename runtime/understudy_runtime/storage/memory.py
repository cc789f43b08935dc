"""The store of tests and simulations: nothing but dictionaries.

It keeps every promise of the port but durability. What was committed is in a `MemoryData`: closing a store keeps it, so
that opening the same object again is a restart, and several stores over the same data are the nodes of a cluster. It is
also the plain statement of what the other stores must do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter

import msgspec

from understudy.errors import StoreError
from understudy_runtime.core.keys import RUN, namespace_of, shard_of
from understudy_runtime.core.ports import (
    ActorRow,
    CommitFailed,
    InboxRow,
    JournalRow,
    Loaded,
    PartlyFailed,
    ShardRow,
    TurnWrite,
)

FAULT = "this is a fault of understudy, please report it"


class MemoryData:
    """What stores have in common. `alone` is the one that has it for itself, `joined` are those that share it."""

    def __init__(self, shards: int = 1) -> None:
        self.shards = [ShardRow(number, 0, "", "", 0, 0) for number in range(shards)]
        self.rows: dict[str, ActorRow] = {}
        self.snapshots: dict[str, tuple[int, bytes]] = {}
        self.journal: dict[str, list[JournalRow]] = {}
        self.inbox: dict[str, dict[tuple[str, int], InboxRow]] = {}
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.notes: dict[int, bytes] = {}
        self.alone: MemoryStore | None = None
        self.joined: set[MemoryStore] = set()


class MemoryStore:
    """Implements `Store`; over data that are given, also `ShardedStore`, and then a bad turn fails its actor alone."""

    def __init__(self, data: MemoryData | None = None) -> None:
        self._data = data or MemoryData()
        self._all_or_nothing = data is None
        self._open = False
        self._node = ""
        self._incarnation = ""
        self._terms: dict[int, int] = {}

    @property
    def epoch(self) -> int:
        return 0

    async def open(self, node: str, now: float) -> None:
        if self._data.alone is not None or self._data.joined:
            raise StoreError("this memory store is already open for writing: close it first")
        terms = {shard.id: shard.term for shard in self._data.shards}
        self._begin(node, f"alone since {sum(terms.values())}")
        self._data.alone = self
        await self.claim(terms)

    async def join(self, node: str, incarnation: str, now: float) -> None:
        if self._open or self._data.alone is not None:
            raise StoreError("this memory store is already open for writing: close it first")
        self._begin(node, incarnation)
        self._data.joined.add(self)

    def _begin(self, node: str, incarnation: str) -> None:
        self._open = True
        self._node, self._incarnation = node, incarnation
        self._terms = {}

    async def close(self) -> None:
        self._open = False
        self._data.joined.discard(self)
        if self._data.alone is self:
            self._data.alone = None

    def commit(self, batch: Sequence[TurnWrite], done: Callable[[BaseException | None], None]) -> None:
        asyncio.get_running_loop().call_soon(done, self._commit(batch))

    def _commit(self, batch: Sequence[TurnWrite]) -> CommitFailed | None:
        if not self._open:
            return CommitFailed("this memory store is not open for writing")
        if self._all_or_nothing:
            return self._write_all(batch)
        fenced: set[int] = set()
        rejected: dict[str, str] = {}
        for key in dict.fromkeys(turn.key for turn in batch):
            shard = shard_of(key, self.shards)
            if not self._has(shard):
                self._terms.pop(shard, None)
                fenced.add(shard)
            elif (error := self._write_all([turn for turn in batch if turn.key == key])) is not None:
                rejected[key] = str(error)
        if not fenced and not rejected:
            return None
        told = f"another node has shards {sorted(fenced)}; not stored: {rejected}"
        return PartlyFailed(told, frozenset(fenced), rejected)

    def _has(self, shard: int) -> bool:
        now = self._data.shards[shard]
        return self._terms.get(shard) == now.term and self._incarnation == now.incarnation

    def _write_all(self, batch: Sequence[TurnWrite]) -> CommitFailed | None:
        error = self._check(batch)
        if error is None:
            for turn in batch:
                self._write(turn)
        return error

    def _check(self, batch: Sequence[TurnWrite]) -> CommitFailed | None:
        """Before anything is written, so that a batch that fails leaves nothing."""
        with_row = self._data.rows.keys() | {turn.key for turn in batch if turn.row is not None}
        last_seq: dict[str, int] = {}
        sent: set[tuple[str, str, int]] = set()
        for turn in batch:
            if turn.snapshot is not None and turn.key not in with_row:
                return CommitFailed(f"a snapshot of {turn.key}, which has no row: {FAULT}")
            if turn.records is not None:
                if turn.seq <= last_seq.get(turn.key, self._last_seq(turn.key)):
                    return CommitFailed(f"turn {turn.seq} of {turn.key} exists already: {FAULT}")
                last_seq[turn.key] = turn.seq
            for message in turn.sent:
                name = (message.to, message.sender, message.sender_seq)
                if name in sent or name[1:] in self._data.inbox.get(message.to, {}):
                    return CommitFailed(f"message {name} exists already: {FAULT}")
                sent.add(name)
        return None

    def _last_seq(self, key: str) -> int:
        journal = self._data.journal.get(key)
        return journal[-1].seq if journal else 0

    def _write(self, turn: TurnWrite) -> None:
        if turn.records is not None:
            shard = self._data.shards[shard_of(turn.key, self.shards)]
            self._data.shards[shard.id] = msgspec.structs.replace(shard, head=shard.head + 1)
            row = JournalRow(shard.head + 1, turn.key, turn.seq, turn.at, turn.records)
            self._data.journal.setdefault(turn.key, []).append(row)
        if turn.row is not None:
            created_at = self._data.rows.get(turn.key, turn.row).created_at
            self._data.rows[turn.key] = msgspec.structs.replace(turn.row, created_at=created_at)
        if turn.snapshot is not None:
            self._data.snapshots[turn.key] = (turn.seq, turn.snapshot)
        for message in turn.sent:
            self._data.inbox.setdefault(message.to, {})[message.sender, message.sender_seq] = message
        self._consume(turn)
        for blob in turn.blobs:
            self._data.blobs.setdefault((turn.key, blob.digest), blob.body)

    def _consume(self, turn: TurnWrite) -> None:
        inbox = self._data.inbox.get(turn.key, {})
        for name in turn.consumed:
            inbox.pop(name, None)
        if not inbox:
            self._data.inbox.pop(turn.key, None)

    async def load(self, keys: Sequence[str]) -> list[Loaded]:
        self._check_open()
        return [self._load(key) for key in keys]

    def _load(self, key: str) -> Loaded:
        seq, snapshot = self._data.snapshots.get(key, (0, None))
        turns = [turn for turn in self._data.journal.get(key, ()) if turn.seq > seq]
        inbox = [message for _, message in sorted(self._data.inbox.get(key, {}).items())]
        return Loaded(key, self._data.rows.get(key), snapshot, seq, turns, inbox)

    async def turns(self, key: str, after_seq: int, limit: int) -> list[JournalRow]:
        self._check_open()
        return [turn for turn in self._data.journal.get(key, ()) if turn.seq > after_seq][:limit]

    async def notes(self, shards: Collection[int]) -> dict[int, bytes]:
        self._check_open()
        return {shard: self._data.notes[shard] for shard in shards if shard in self._data.notes}

    async def note(self, notes: Mapping[int, bytes]) -> None:
        self._check_open()
        self._data.notes = {shard: note for shard, note in {**self._data.notes, **notes}.items() if note}

    async def blobs(self, key: str, digests: Sequence[str]) -> dict[str, bytes]:
        self._check_open()
        return {digest: self._data.blobs[key, digest] for digest in digests if (key, digest) in self._data.blobs}

    async def wakeful(self, until: float, shards: Collection[int] | None = None) -> list[tuple[str, float | None]]:
        self._check_open()
        among = self._terms.keys() if shards is None else set(shards)
        due = [
            (row.key, row.parked_until)
            for row in self._data.rows.values()
            if row.key not in self._data.inbox and _is_due(row.parked_until, until)
        ]
        found = [*due, *((key, None) for key in self._data.inbox)]
        return [each for each in found if shard_of(each[0], self.shards) in among]

    async def rows(
        self,
        *,
        namespace: str,
        kind: str = "",
        status: str = "",
        definition: str = "",
        limit: int = 100,
        before: tuple[float, str] | None = None,
    ) -> list[ActorRow]:
        self._check_open()
        found = [
            row
            for row in self._data.rows.values()
            if namespace_of(row.key) == namespace
            and kind in ("", row.kind)
            and status in ("", row.status)
            and definition in ("", row.definition)
            and (before is None or (row.created_at, row.key) < before)
        ]
        return sorted(found, key=attrgetter("created_at", "key"), reverse=True)[:limit]

    async def closed_runs(self, before: float, limit: int) -> list[str]:
        self._check_open()
        busy = {
            name for key, rows in self._data.inbox.items() for name in (key, *(row.sender for row in rows.values()))
        }
        found = [
            row
            for row in self._data.rows.values()
            if row.kind == RUN and _is_over(row, before) and row.key not in busy and self._has(self._shard(row.key))
        ]
        return [row.key for row in sorted(found, key=attrgetter("created_at", "key"))[:limit]]

    async def delete(self, keys: Sequence[str], before: float) -> int:
        self._check_open()
        rows = [row for key in keys if (row := self._data.rows.get(key)) is not None and _is_over(row, before)]
        gone = [row.key for row in rows if self._has(self._shard(row.key))]
        for key in gone:
            del self._data.rows[key]
            self._data.snapshots.pop(key, None)
            self._data.blobs = {name: body for name, body in self._data.blobs.items() if name[0] != key}
            shard = self._data.shards[self._shard(key)]
            floor = max([shard.floor, *(turn.lsn + 1 for turn in self._data.journal.pop(key, ()))])
            self._data.shards[shard.id] = msgspec.structs.replace(shard, floor=floor)
        return len(gone)

    def _shard(self, key: str) -> int:
        return shard_of(key, self.shards)

    # --- shards

    @property
    def shards(self) -> int:
        return len(self._data.shards)

    @property
    def terms(self) -> Mapping[int, int]:
        return dict(self._terms)

    @property
    def clock_offset_s(self) -> float | None:
        return None

    @property
    def silent_s(self) -> float:
        return 0.0

    async def read_shards(self) -> list[ShardRow]:
        self._check_open()
        return list(self._data.shards)

    async def claim(self, seen: Mapping[int, int]) -> dict[int, int]:
        self._check_open()
        claimed: dict[int, int] = {}
        for number, term in seen.items():
            shard = self._data.shards[number]
            if shard.term == term:
                self._data.shards[number] = msgspec.structs.replace(
                    shard, term=term + 1, owner=self._node, incarnation=self._incarnation
                )
                claimed[number] = term + 1
        self._terms.update(claimed)
        return claimed

    async def release(self, shards: Collection[int]) -> None:
        await asyncio.sleep(0)  # whoever handed something over is told of it first
        for number in shards:
            shard = self._data.shards[number]
            if self._terms.pop(number, None) is not None and shard.incarnation == self._incarnation:
                self._data.shards[number] = msgspec.structs.replace(shard, owner="")

    async def inbox(self, keys: Collection[str]) -> dict[str, list[InboxRow]]:
        self._check_open()
        found = {key: [message for _, message in sorted(self._data.inbox.get(key, {}).items())] for key in keys}
        return {key: rows for key, rows in found.items() if rows}

    async def scan_inbox(self, shards: Collection[int]) -> list[str]:
        self._check_open()
        return [key for key in self._data.inbox if shard_of(key, self.shards) in set(shards)]

    def _check_open(self) -> None:
        if not self._open:
            raise StoreError("this memory store is not open")


def _is_due(parked_until: float | None, until: float) -> bool:
    return parked_until is None or (parked_until <= until and parked_until != float("inf"))


def _is_over(row: ActorRow, before: float) -> bool:
    return row.closed_at is not None and row.closed_at <= before and row.parked_until == float("inf")
