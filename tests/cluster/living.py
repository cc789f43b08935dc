"""A cluster of real processes that has work to do: what shows that it is whole, and that no call of a client fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import anyio

from benchmarks.chaos.app import Counter, Listener
from benchmarks.chaos.cluster import SHARDS, Cluster
from understudy import Client, RunHandle
from understudy.client import connect
from understudy.cluster import NodeInfo
from understudy.remote.door import RemoteDoor

LONG_S = 60.0
"""Longer than anything here takes on a busy machine; what takes longer hangs."""


async def soon(ending: Awaitable[Any]) -> Any:
    with anyio.fail_after(LONG_S):
        return await ending


async def nodes_seen_by(address: str) -> list[NodeInfo]:
    async with connect(address) as client:
        assert isinstance(client.door, RemoteDoor)
        return await client.door.list_nodes()


async def settled(cluster: Cluster, names: tuple[str, ...], by: str = "") -> None:
    """Returns when these nodes have all shards between them, evenly."""
    address = cluster.nodes[by or names[0]].address
    with anyio.fail_after(LONG_S):
        while True:
            shards = {node.node_id: node.shards for node in await nodes_seen_by(address) if node.status == "active"}
            even = bool(shards) and max(shards.values()) - min(shards.values()) <= 1
            if even and shards.keys() == set(names) and sum(shards.values()) == SHARDS:
                return
            await asyncio.sleep(0.1)


async def listeners(client: Client, count: int) -> list[RunHandle[list[int]]]:
    """Runs that wait for one thing to be told."""
    return [await client.start(Listener, 1, id=f"listener-{number}") for number in range(count)]


async def all_end(client: Client, runs: list[RunHandle[list[int]]]) -> None:
    await soon(asyncio.gather(*(client.tell(run, Listener.hear, 7) for run in runs)))
    assert await soon(asyncio.gather(*(run.result() for run in runs))) == [[7]] * len(runs)


class Counting:
    """Calls that go on all the while, none of which may fail; `longest_s` any of them took."""

    def __init__(self, client: Client, name: str = "c") -> None:
        self.longest_s = 0.0
        self._name = name
        self._client = client
        self._over = asyncio.Event()
        self._counts = [0] * 8
        self._tasks = [asyncio.create_task(self._count(number)) for number in range(8)]

    async def _count(self, number: int) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            await self._client.ask(Counter.at(f"{self._name}{number}"), Counter.add, 1)
            self._counts[number] += 1
            self.longest_s = max(self.longest_s, time.monotonic() - began)

    async def end(self) -> None:
        """Every call has been carried out once."""
        self._over.set()
        await soon(asyncio.gather(*self._tasks))
        for number, count in enumerate(self._counts):
            assert await soon(self._client.ask(Counter.at(f"{self._name}{number}"), Counter.add, 0)) == count
