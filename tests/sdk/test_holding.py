"""What a program outside may think of a lease: never that it still has one that others can have.

The door is a stand-in whose answers take as long, or fail as often, as a test says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from understudy import LeaseLost, lock
from understudy.context import Granted, LeaseRequest
from understudy.errors import Unreachable
from understudy.holding import holding
from understudy.resource_door import ResourceDoor

pytestmark = pytest.mark.anyio

TTL_S = 1.0
"""The least there is."""


class Door:
    """`asked` is what it was asked, in order."""

    def __init__(self, renew: Callable[[int], None] = lambda fence: None, grant_s: float = 0.0) -> None:
        self.asked: list[str] = []
        self.renewal_s = 0.0
        self._renew = renew
        self._grant_s = grant_s
        self._fence = 0

    async def acquire_lease(self, request: LeaseRequest, *, holder: str, ttl_s: float) -> Granted:
        self.asked.append("acquire")
        self._fence += 1
        await asyncio.sleep(self._grant_s)
        return Granted(1, self._fence, 1)

    async def renew_lease(self, address: str, *, holder: str, fence: int, ttl_s: float) -> None:
        self.asked.append("renew")
        await asyncio.sleep(self.renewal_s)
        self._renew(fence)

    async def release_lease(self, address: str, *, holder: str, fence: int) -> None:
        self.asked.append("release")

    def lease(self) -> Any:
        return holding(cast("ResourceDoor", self), lock("l"), TTL_S, {})


async def test_a_grant_that_comes_at_once_is_good() -> None:
    door = Door()
    async with door.lease():
        assert door.asked == ["acquire"]
    assert door.asked == ["acquire", "release"]


async def test_a_grant_that_was_long_on_its_way_is_confirmed_before_it_counts() -> None:
    door = Door(grant_s=TTL_S / 2)
    async with door.lease() as held:
        assert (door.asked, held.fence) == (["acquire", "renew"], 1)


async def test_a_grant_that_has_ended_on_its_way_is_asked_for_again() -> None:
    def only_the_second(fence: int) -> None:
        if fence == 1:
            raise LeaseLost("it has ended")

    door = Door(only_the_second, grant_s=TTL_S / 2)
    async with door.lease() as held:
        assert (door.asked, held.fence) == (["acquire", "renew", "acquire", "renew"], 2)


async def test_what_runs_in_the_block_ends_before_others_can_have_it() -> None:
    def fail(fence: int) -> None:
        raise Unreachable("nobody answers")

    began = time.monotonic()
    with pytest.raises(LeaseLost, match="could not be renewed in time: nobody answers"):
        async with Door(fail).lease():
            await asyncio.Event().wait()
    assert time.monotonic() - began < TTL_S


async def test_it_does_not_wait_longer_than_that_for_an_answer() -> None:
    door = Door()
    door.renewal_s = 60.0
    began = time.monotonic()
    with pytest.raises(LeaseLost, match="could not be renewed in time"):
        async with door.lease():
            await asyncio.Event().wait()
    assert time.monotonic() - began < TTL_S


async def test_a_lease_that_was_confirmed_and_cannot_be_entered_is_given_back() -> None:
    def fail(fence: int) -> None:
        raise Unreachable("nobody answers")

    door = Door(fail, grant_s=TTL_S / 2)
    with pytest.raises(Unreachable):
        await door.lease().__aenter__()
    assert door.asked == ["acquire", "renew", "release"]
