"""The PostgreSQL store, as the engine sees it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from understudy.errors import StoreError
from understudy_runtime.core.ports import ActorRow, CommitFailed, InboxRow, JournalRow, Loaded, ShardRow, TurnWrite
from understudy_runtime.storage.postgres.address import parse
from understudy_runtime.storage.postgres.connections import silence
from understudy_runtime.storage.postgres.opened import Opened
from understudy_runtime.storage.postgres.reader import Reader

PATIENCE_S: Final = 30.0
"""How long the server may be away (a restart, a failover) before whatever is asked of it fails."""


class PostgresStore:
    """A database that many nodes share. Implements `ShardedStore`."""

    def __init__(self, url: str, *, patience_s: float = PATIENCE_S) -> None:
        self._address = parse(url)
        self._patience_s = patience_s
        self._opened: Opened | None = None
        self._opening = False

    @property
    def epoch(self) -> int:
        return self._at_work.epoch

    async def open(self, node: str, now: float) -> None:
        opened = await self._open(node, uuid.uuid4().hex, now, alone=True)
        try:
            seen = {row.id: row.term for row in await opened.reader.shards()}
            claimed = await opened.claims.claim(seen)
            if claimed.keys() != seen.keys():
                raise StoreError(f"store {self._address.shown}: another node claims its shards: end it first")
        except BaseException:
            await self.close()
            raise

    async def join(self, node: str, incarnation: str, now: float) -> None:
        await self._open(node, incarnation, now, alone=False)

    async def _open(self, node: str, incarnation: str, now: float, *, alone: bool) -> Opened:
        if self._opened is not None or self._opening:
            raise StoreError(f"store {self._address.shown} is already open")
        self._opening = True
        try:
            opened = Opened(self._address, node, incarnation, self._patience_s, alone=alone)
            await opened.open(now)
            self._opened = opened
        finally:
            self._opening = False
        return opened

    async def close(self) -> None:
        """Wait for what was handed over; then let go of the database."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.close()

    def commit(self, batch: Sequence[TurnWrite], done: Callable[[BaseException | None], None]) -> None:
        if self._opened is None:
            failed = CommitFailed(f"store {self._address.shown} is not open for writing")
            asyncio.get_running_loop().call_soon(done, failed)
        else:
            self._opened.committer.submit(batch, done)

    # --- reading

    async def load(self, keys: Sequence[str]) -> list[Loaded]:
        return await self._reader.load(keys)

    async def turns(self, key: str, after_seq: int, limit: int) -> list[JournalRow]:
        return await self._reader.turns(key, after_seq, limit)

    async def blobs(self, key: str, digests: Sequence[str]) -> dict[str, bytes]:
        return await self._reader.blobs(key, digests)

    async def wakeful(self, until: float, shards: Collection[int] | None = None) -> list[tuple[str, float | None]]:
        return await self._reader.wakeful(until, self.terms if shards is None else shards)

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
        filters = {"namespace": namespace, "kind": kind, "status": status, "definition": definition}
        given = {name: value for name, value in filters.items() if value or name == "namespace"}
        return await self._reader.rows(given, limit, before)

    async def closed_runs(self, before: float, limit: int) -> list[str]:
        return await self._reader.closed_runs(before, self.terms, limit)

    async def delete(self, keys: Sequence[str], before: float) -> int:
        return await self._at_work.deleter.delete(keys, before, self.terms)

    @property
    def _reader(self) -> Reader:
        return self._at_work.reader

    async def notes(self, shards: Collection[int]) -> dict[int, bytes]:
        return await self._reader.notes(shards)

    async def note(self, notes: Mapping[int, bytes]) -> None:
        await self._at_work.claims.note(notes)

    # --- shards

    @property
    def shards(self) -> int:
        return self._at_work.shards

    @property
    def terms(self) -> Mapping[int, int]:
        return {shard: held.term for shard, held in self._at_work.held.items()}

    @property
    def clock_offset_s(self) -> float | None:
        return self._at_work.committer.clock_offset_s

    @property
    def silent_s(self) -> float:
        return silence(self._at_work.writing, self._at_work.reading)

    async def read_shards(self) -> list[ShardRow]:
        return await self._reader.shards()

    async def claim(self, seen: Mapping[int, int]) -> dict[int, int]:
        claimed = await self._at_work.claims.claim(seen)
        if claimed:
            self._at_work.committer.begin_anew()
        return claimed

    async def release(self, shards: Collection[int]) -> None:
        await self._at_work.release(shards)

    async def inbox(self, keys: Collection[str]) -> dict[str, list[InboxRow]]:
        return await self._reader.inbox(keys)

    async def scan_inbox(self, shards: Collection[int]) -> list[str]:
        return await self._reader.scan_inbox(shards)

    async def begin_epoch(self) -> None:
        """After a restore: raise the terms of all shards above any that were ever begun, and give all of them up.

        To be asked of a store that is open for this node alone, which cannot write it after that. StoreError.
        """
        opened = self._at_work
        await opened.claims.begin_epoch()
        opened.held.clear()

    @property
    def _at_work(self) -> Opened:
        if self._opened is None:
            raise StoreError(f"store {self._address.shown} is not open")
        return self._opened
