"""Clients that wait for a lease, at real nodes: killed while they wait, without a node for a while, standing still."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from tests.node import waiting_client
from tests.node.nodes import PATIENCE_S, Yard, environment, free_address
from understudy import App, Client, embedded, lock
from understudy.client import connect
from understudy.resource_door import ResourceDoor, resource_door
from understudy_runtime.actors.journal import decode
from understudy_runtime.core.records.resources import WaitEnded
from understudy_runtime.storage.reading import open_reader

pytestmark = pytest.mark.anyio

app = App("waiting")
TTL_S = 3.0
LOCK = "lock/ledger"


class WaitingClient:
    def __init__(self, address: str, leases: int) -> None:
        command = [sys.executable, str(waiting_client.__file__), address, str(leases), str(TTL_S)]
        self._process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)

    async def fences(self) -> list[int]:
        """What it was granted, when it has come to its end."""
        out, _ = await asyncio.to_thread(self._process.communicate, None, PATIENCE_S)
        return [int(line) for line in out.split()]

    def close(self) -> None:
        self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()


Begin = Callable[[str, int], WaitingClient]


@pytest.fixture
def begin() -> Iterator[Begin]:
    begun: list[WaitingClient] = []

    def begin(address: str, leases: int) -> WaitingClient:
        begun.append(WaitingClient(address, leases))
        return begun[-1]

    yield begin
    for each in begun:
        each.close()


async def soon(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.01)


async def in_queue(door: ResourceDoor, count: int) -> None:
    async def is_so() -> bool:
        described = await door.describe_resource(LOCK)
        return described.waiting == count

    await soon(is_so)


async def records(door: ResourceDoor, kind: str) -> list[dict[str, Any]]:
    turns = await door.resource_history(LOCK, 0, 1_000)
    return [record for turn in turns for record in turn.records if record["t"] == kind]


async def test_clients_that_are_killed_while_they_wait_delay_nobody(yard: Yard, begin: Begin) -> None:
    node = yard.node()
    async with connect(node.address, app) as client:
        door = resource_door(client.door)
        async with client.lease(lock("ledger"), ttl="60s") as held:
            killed = [begin(node.address, 4) for _ in range(3)]
            await in_queue(door, 12)
            alive = begin(node.address, 1)
            await in_queue(door, 13)
            for each in killed:
                each.kill()
            await in_queue(door, 1)
            await still_there(door, 2)
        assert await alive.fences() == [held.fence + 1]
        assert [ended["why"] for ended in await records(door, "WaitEnded")] == ["silent"] * 12
        assert len(await records(door, "LeaseGranted")) == 2


async def still_there(door: ResourceDoor, times: int) -> None:
    """The last in the queue has said so this many times, and so waits for longer than its ttl."""
    holder = (await door.describe_resource(LOCK)).queue[-1].holder

    async def is_so() -> bool:
        said = [record["holder"] for record in await records(door, "WaitRenewed")]
        return said.count(holder) >= times

    await soon(is_so)


async def test_places_outlive_a_node_that_is_away_for_longer_than_a_ttl(yard: Yard) -> None:
    address, request, ttl_s = free_address(), lock("ledger").request, 1.0
    node = yard.node("--listen", address)
    assert node.address == address
    async with connect(address, app) as client, connect(address, app) as other:
        door = resource_door(client.door)
        held = await door.acquire_lease(request, holder="h", ttl_s=600.0)
        first = asyncio.create_task(door.acquire_lease(request, holder="a", ttl_s=ttl_s))
        await in_queue(door, 1)
        second = asyncio.create_task(resource_door(other.door).acquire_lease(request, holder="b", ttl_s=ttl_s))
        await in_queue(door, 2)
        before = (await door.describe_resource(LOCK)).queue
        node.signal(SIGKILL)
        node.ended()
        await asyncio.sleep(1.5 * ttl_s)  # not to wait for anything: that long, nobody can be asked
        yard.node("--listen", address)
        await still_there(door, 2)
        assert (await door.describe_resource(LOCK)).queue == before
        await door.release_lease(LOCK, holder="h", fence=held.fence)
        assert (await first).fence == held.fence + 1
        await door.release_lease(LOCK, holder="a", fence=held.fence + 1)
        assert (await second).fence == held.fence + 2
        assert await records(door, "WaitEnded") == []


async def test_who_stood_still_for_longer_than_a_ttl_waits_on(tmp_path: Path) -> None:
    """It has lost its place, and asks anew by itself: nothing was said about how long it would wait."""
    path = tmp_path / "state.db"
    async with embedded(app, store=f"sqlite:///{path}") as client:
        door = resource_door(client.door)
        held = await door.acquire_lease(lock("ledger").request, holder="h", ttl_s=600.0)
        waiting = asyncio.create_task(fence_of(client))
        await in_queue(door, 1)
        stand_still_until_it_is_taken_for_gone(path)
        await in_queue(door, 1)
        await door.release_lease(LOCK, holder="h", fence=held.fence)
        assert await waiting == held.fence + 1


async def fence_of(client: Client) -> int:
    async with client.lease(lock("ledger"), ttl="1s") as held:
        return held.fence


def stand_still_until_it_is_taken_for_gone(path: Path) -> None:
    """Without giving the event loop a breath."""
    while True:
        with open_reader(path) as reader:
            turns = [decode(row, {}) for row in reader.turns(f"default/{LOCK}")]
        if any(isinstance(record, WaitEnded) for turn in turns for record in turn.records):
            return
