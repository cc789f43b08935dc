"""`client.lease`: a lease held by a program that is no workflow, and renewed for as long as its block lasts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar
from uuid import uuid4

from understudy.context import Granted, LeaseRequest
from understudy.errors import LeaseLost, UnderstudyError, UnknownName
from understudy.leases import LeaseBlock, held_of
from understudy.resource_door import ResourceDoor, checked_ttl

T = TypeVar("T")

RENEWALS_PER_TTL: Final = 3
SPARE: Final = 0.1
"""Of a lease's time, what is left to the block to end in when it is lost."""


@asynccontextmanager
async def holding(
    door: ResourceDoor, block: LeaseBlock[T], ttl_s: float, types: Mapping[str, Any]
) -> AsyncGenerator[T, None]:
    """Acquire, renew every third of `ttl_s`, and release.

    When the lease is lost (the program was paused for longer, or nobody could be reached, or an operator has revoked
    it), what runs in the block is cancelled, and LeaseLost raised.
    """
    request = block.request
    if request.kind and request.kind not in types:
        known = ", ".join(types) or "none"
        raise UnknownName(f"there is no resource type {request.kind} in this client's apps; they have: {known}")
    holder, granted, ends_at = await _acquired(door, request, checked_ttl(ttl_s))
    renewing = _Renewing(door, request.address, holder, granted, ttl_s, ends_at)
    try:
        yield held_of(granted, types.get(request.kind))
    except asyncio.CancelledError:
        if renewing.lost is None or not renewing.absorb():
            raise
    finally:
        renewing.stop()
        with suppress(UnderstudyError):  # it ends by itself if nobody can be told
            await door.release_lease(request.address, holder=holder, fence=granted.fence)
    if renewing.lost is not None:
        raise renewing.lost


async def _acquired(door: ResourceDoor, request: LeaseRequest, ttl_s: float) -> tuple[str, Granted, float]:
    """Its holder, the lease, and when it ends at the earliest, by this process's monotonic clock.

    Nobody can tell how long a grant was on its way that did not come at once: the lease may have ended meanwhile, and
    be another's. So it counts from a renewal.
    """
    while True:
        holder, asked_at = uuid4().hex, time.monotonic()
        granted = await door.acquire_lease(request, holder=holder, ttl_s=ttl_s)
        try:
            while time.monotonic() - asked_at > ttl_s / RENEWALS_PER_TTL:
                asked_at = time.monotonic()
                await door.renew_lease(request.address, holder=holder, fence=granted.fence, ttl_s=ttl_s)
        except LeaseLost:
            continue
        except BaseException:
            with suppress(UnderstudyError):
                await door.release_lease(request.address, holder=holder, fence=granted.fence)
            raise
        return holder, granted, asked_at + ttl_s


class _Renewing:
    """The background task; it cancels the task that holds the lease when that is lost."""

    def __init__(
        self, door: ResourceDoor, address: str, holder: str, granted: Granted, ttl_s: float, ends_at: float
    ) -> None:
        self._door = door
        self._address = address
        self._holder = holder
        self._fence = granted.fence
        self._ttl_s = ttl_s
        self._give_up_at = ends_at - SPARE * ttl_s
        self._holds = asyncio.current_task()
        self.lost: LeaseLost | None = None
        self._why = "no answer"
        self._task = asyncio.create_task(self._renew())

    def stop(self) -> None:
        self._task.cancel()

    def absorb(self) -> bool:
        """Whether the cancellation was ours alone."""
        return self._holds is not None and self._holds.uncancel() == 0

    async def _renew(self) -> None:
        while self.lost is None:
            left_s = self._give_up_at - time.monotonic()
            await asyncio.sleep(max(0.0, min(self._ttl_s / RENEWALS_PER_TTL, left_s)))
            await self._renew_once()
        if self._holds is not None:
            self._holds.cancel()

    async def _renew_once(self) -> None:
        began_at = time.monotonic()
        try:
            async with asyncio.timeout(self._give_up_at - began_at):
                await self._door.renew_lease(self._address, holder=self._holder, fence=self._fence, ttl_s=self._ttl_s)
            self._give_up_at = began_at + (1 - SPARE) * self._ttl_s
        except LeaseLost as lost:
            self.lost = lost
        except (UnderstudyError, TimeoutError) as error:
            self._why = str(error) or self._why
            if time.monotonic() >= self._give_up_at:
                self.lost = LeaseLost(f"the lease of {self._address} could not be renewed in time: {self._why}")
