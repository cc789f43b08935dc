"""A store that is open: everything it is made of, built and taken down in one place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Final

from understudy_runtime.storage.postgres import schema
from understudy_runtime.storage.postgres.address import Address
from understudy_runtime.storage.postgres.claims import FAREWELL, Claims, SoleUse
from understudy_runtime.storage.postgres.committer import Committer
from understudy_runtime.storage.postgres.connections import Connection, Connections, Dialer, as_store_error
from understudy_runtime.storage.postgres.deletion import Deleter
from understudy_runtime.storage.postgres.reader import Reader
from understudy_runtime.storage.postgres.writes import Held

OPEN_PATIENCE_S: Final = 10.0
COMMIT_TIMEOUT_S: Final = 10.0
READ_TIMEOUT_S: Final = 30.0
MIGRATE_TIMEOUT_S: Final = 600.0
READ_CONNECTIONS: Final = 4


async def _clock_offset(connection: Connection) -> float:
    """What to add to this process's monotonic time to get the server's, in seconds."""
    asked_at = time.monotonic()
    at = await connection.value("SELECT extract(epoch FROM clock_timestamp())::float8")
    return float(at) - (asked_at + time.monotonic()) / 2


class Opened:
    """One connection commits and claims, a few read. `held` are the shards that may be written."""

    def __init__(self, address: Address, node: str, incarnation: str, patience_s: float, *, alone: bool) -> None:
        self._address = address
        self._incarnation = incarnation
        self._patience_s = patience_s
        self._dialer = Dialer(address, f"understudy {node}")
        self.writing = Connections(
            self._dialer, 1, statement_timeout_s=COMMIT_TIMEOUT_S, patience_s=patience_s,
            greet=SoleUse(address, alone=alone).greet,
        )  # fmt: skip
        self.reading = Connections(
            self._dialer, READ_CONNECTIONS, statement_timeout_s=READ_TIMEOUT_S, patience_s=patience_s
        )
        self.held: dict[int, Held] = {}
        self.claims = Claims(address, node, incarnation, self.held, self.writing)

    async def open(self, now: float) -> None:
        """StoreError if the database cannot be reached, is another's or too new, or is in use."""
        try:
            await self.writing.ask(lambda connection: schema.look(connection, self._address), OPEN_PATIENCE_S)
            found = await self._migrate(now)
            offset_s = await self.writing.ask(_clock_offset)
        except Exception as error:
            await self.writing.close()
            raise as_store_error(self._address, error) from error
        self.shards = found.shards
        self.epoch = self.claims.epoch = found.epoch
        self.reader = Reader(self._address, self.shards, self.reading)
        self.committer = Committer(self._address, self.shards, self.held, self._incarnation, self.writing, offset_s)
        self.deleter = Deleter(self._address, self.shards, self._incarnation, self.reading)

    async def _migrate(self, now: float) -> schema.Found:
        patience_s = min(self._patience_s, OPEN_PATIENCE_S)
        migrating = Connections(self._dialer, 1, statement_timeout_s=MIGRATE_TIMEOUT_S, patience_s=patience_s)
        try:
            return await migrating.ask(lambda connection: schema.migrate(connection, self._address, now))
        finally:
            await migrating.close()

    async def release(self, shards: Collection[int]) -> None:
        """After what was handed over so far, and before whatever comes."""
        reached: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.committer.submit((), reached.set_result)
        await reached
        await self.claims.release(shards)

    async def close(self) -> None:
        await self.committer.settle()
        await self.writing.close(FAREWELL)
        await self.reading.close()
