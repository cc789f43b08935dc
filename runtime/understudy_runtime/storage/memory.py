"""The store of tests and simulations: nothing but dictionaries.

It keeps every promise of the port but durability. Closing it keeps what was committed, so that opening the
same object again is a restart; it is also the plain statement of what the other stores must do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from operator import attrgetter

import msgspec

from understudy.errors import StoreError
from understudy_runtime.core.keys import namespace_of
from understudy_runtime.core.ports import ActorRow, CommitFailed, InboxRow, JournalRow, Loaded, TurnWrite

FAULT = "this is a fault of understudy, please report it"


class MemoryStore:
    """Implements `Store`."""

    def __init__(self) -> None:
        self.term = 0
        self._open = False
        self._head = 0
        self._rows: dict[str, ActorRow] = {}
        self._snapshots: dict[str, tuple[int, bytes]] = {}
        self._journal: dict[str, list[JournalRow]] = {}
        self._inbox: dict[str, dict[tuple[str, int], InboxRow]] = {}
        self._blobs: dict[tuple[str, str], bytes] = {}

    async def open(self, node: str, now: float) -> None:
        if self._open:
            raise StoreError("this memory store is already open for writing: close it first")
        self._open = True
        self.term += 1

    async def close(self) -> None:
        self._open = False

    def commit(self, batch: Sequence[TurnWrite], done: Callable[[BaseException | None], None]) -> None:
        error = self._check(batch) if self._open else CommitFailed("this memory store is not open for writing")
        if error is None:
            for turn in batch:
                self._write(turn)
        asyncio.get_running_loop().call_soon(done, error)

    def _check(self, batch: Sequence[TurnWrite]) -> CommitFailed | None:
        """Before anything is written, so that a batch that fails leaves nothing."""
        with_row = self._rows.keys() | {turn.key for turn in batch if turn.row is not None}
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
                if name in sent or name[1:] in self._inbox.get(message.to, {}):
                    return CommitFailed(f"message {name} exists already: {FAULT}")
                sent.add(name)
        return None

    def _last_seq(self, key: str) -> int:
        journal = self._journal.get(key)
        return journal[-1].seq if journal else 0

    def _write(self, turn: TurnWrite) -> None:
        if turn.records is not None:
            self._head += 1
            row = JournalRow(self._head, turn.key, turn.seq, turn.at, turn.records)
            self._journal.setdefault(turn.key, []).append(row)
        if turn.row is not None:
            created_at = self._rows.get(turn.key, turn.row).created_at
            self._rows[turn.key] = msgspec.structs.replace(turn.row, created_at=created_at)
        if turn.snapshot is not None:
            self._snapshots[turn.key] = (turn.seq, turn.snapshot)
        for message in turn.sent:
            self._inbox.setdefault(message.to, {})[message.sender, message.sender_seq] = message
        self._consume(turn)
        for blob in turn.blobs:
            self._blobs.setdefault((turn.key, blob.digest), blob.body)

    def _consume(self, turn: TurnWrite) -> None:
        inbox = self._inbox.get(turn.key, {})
        for name in turn.consumed:
            inbox.pop(name, None)
        if not inbox:
            self._inbox.pop(turn.key, None)

    async def load(self, keys: Sequence[str]) -> list[Loaded]:
        self._check_open()
        return [self._load(key) for key in keys]

    def _load(self, key: str) -> Loaded:
        seq, snapshot = self._snapshots.get(key, (0, None))
        turns = [turn for turn in self._journal.get(key, ()) if turn.seq > seq]
        inbox = [message for _, message in sorted(self._inbox.get(key, {}).items())]
        return Loaded(key, self._rows.get(key), snapshot, seq, turns, inbox)

    async def turns(self, key: str, after_seq: int, limit: int) -> list[JournalRow]:
        self._check_open()
        return [turn for turn in self._journal.get(key, ()) if turn.seq > after_seq][:limit]

    async def blobs(self, key: str, digests: Sequence[str]) -> dict[str, bytes]:
        self._check_open()
        return {digest: self._blobs[key, digest] for digest in digests if (key, digest) in self._blobs}

    async def wakeful(self, until: float) -> list[tuple[str, float | None]]:
        self._check_open()
        due = [
            (row.key, row.parked_until)
            for row in self._rows.values()
            if row.key not in self._inbox and _is_due(row.parked_until, until)
        ]
        return [*due, *((key, None) for key in self._inbox)]

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
            for row in self._rows.values()
            if namespace_of(row.key) == namespace
            and kind in ("", row.kind)
            and status in ("", row.status)
            and definition in ("", row.definition)
            and (before is None or (row.created_at, row.key) < before)
        ]
        return sorted(found, key=attrgetter("created_at", "key"), reverse=True)[:limit]

    def _check_open(self) -> None:
        if not self._open:
            raise StoreError("this memory store is not open")


def _is_due(parked_until: float | None, until: float) -> bool:
    return parked_until is None or (parked_until <= until and parked_until != float("inf"))
