"""Reading what the store keeps for actors that are in memory, when another node says that it has sent something.

The store is authoritative: a wake says only where to look, and one that is lost is made up for by a later scan. All
messages of an inbox are read, so that those of one sender come in their order, whichever wakes got lost. One that was
taken in while the read was under way is not taken in again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from understudy_runtime.actors.cell import Envelope
from understudy_runtime.actors.loading import decode_message
from understudy_runtime.core.ports import ShardedStore

log = structlog.get_logger("understudy.engine")


class Mail:
    """Calls `deliver` with each message found. What is asked for while a read is under way is read after it."""

    def __init__(self, store: ShardedStore, deliver: Callable[[str, Envelope], None]) -> None:
        self._store = store
        self._deliver = deliver
        self._wanted: set[str] = set()
        self._consumed: set[tuple[str, tuple[str, int]]] = set()
        self._reader: asyncio.Task[None] | None = None

    def fetch(self, key: str) -> None:
        self._wanted.add(key)
        if self._reader is None:
            self._reader = asyncio.get_running_loop().create_task(self._read())

    def consumed(self, key: str, names: Iterable[tuple[str, int]]) -> None:
        """These have been taken in for good: what is being read may still have them."""
        if self._reader is not None:
            self._consumed.update((key, name) for name in names)

    async def settled(self) -> None:
        """Returns when all that was asked for until now has been delivered, or could not be read."""
        while (reader := self._reader) is not None:
            await asyncio.wait([reader])

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while self._wanted:
                wanted, self._wanted = self._wanted, set()
                self._consumed.clear()
                found = await self._store.inbox(list(wanted))
                for key, rows in found.items():
                    for row in rows:
                        name = (row.sender, row.sender_seq)
                        if (key, name) not in self._consumed:
                            self._deliver(key, Envelope(decode_message(row.body), inbox=name))
        except Exception as error:
            log.warning("mail could not be read; the next scan finds it", why=str(error))
        finally:
            self._reader = None
