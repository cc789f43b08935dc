"""Retention: a node deletes the runs that closed long ago, of the shards that it has, a few at a time.

A pass is made when the node starts and every PERIOD_S from then on; what it deletes in a pass is spread out, so that
commits go on beside it. A store that cannot be asked is asked again with the next pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, Protocol

import structlog

from understudy.errors import StoreError
from understudy_runtime.core.ports import Clock

PERIOD_S: Final = 600.0
RUNS_AT_ONCE: Final = 100
PAUSE_S: Final = 0.1
"""Between them: a node so deletes fewer than a thousand runs a second."""
LEAST_S: Final = 600.0
"""For so long, commands are known by their idempotency keys, which are kept in the run."""

log = structlog.get_logger("understudy.retention")


class Keeper(Protocol):
    """What has the runs: the engine."""

    async def delete_closed(self, before: float, limit: int) -> int: ...


@asynccontextmanager
async def retaining(keeper: Keeper, clock: Clock, retention_s: float | None) -> AsyncGenerator[None, None]:
    """Delete runs that closed more than `retention_s` ago, for as long as the block lasts; None: keep all."""
    if retention_s is None:
        yield
        return
    task = asyncio.get_running_loop().create_task(_keep_deleting(keeper, clock, retention_s), name="retention")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep_deleting(keeper: Keeper, clock: Clock, retention_s: float) -> None:
    while True:
        deleted = 0
        try:
            while some := await keeper.delete_closed(clock.now() - retention_s, RUNS_AT_ONCE):
                deleted += some
                await _pause(clock, PAUSE_S)
        except StoreError as error:
            log.warning("old runs could not be deleted; they are tried again later", why=str(error))
        if deleted:
            log.info("old runs deleted", runs=deleted)
        await _pause(clock, PERIOD_S)


async def _pause(clock: Clock, seconds: float) -> None:
    over = asyncio.Event()
    stop = clock.call_at(clock.now() + seconds, over.set)
    try:
        await over.wait()
    finally:
        stop()
