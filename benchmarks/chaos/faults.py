"""Faults at random: several at a time, but each part of the cluster has one trouble after the other."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from benchmarks.chaos.cluster import Cluster, NodeOf
from tests.cluster.relay import Relay

PAUSE_S = (0.5, 3.0)
"""Between two faults of a lane."""
LANES = 2
"""Faults that may be under way at once."""
STARTS_S = 90.0
"""How long a node is started again and again: without etcd or PostgreSQL it ends at once, as it should."""
GUEST = "guest"


class Unfit(Exception):
    """What it was to be done to is in trouble already."""


class Faults:
    """`done` counts them by kind. At least one node is left alone at any time, so that somebody takes calls.

    `wires` are the ways that can be cut, by what they are.
    """

    def __init__(self, cluster: Cluster, seed: int, wires: Mapping[str, Relay]) -> None:
        self.done: Counter[str] = Counter()
        self._cluster = cluster
        self._random = random.Random(f"faults {seed}")
        self._wires = wires
        self._troubled: set[str] = set()
        kinds: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self.kill, 5), (self.pause, 3), (self.restart, 3), (self.join, 1), (self.etcd, 1), (self.database, 1),
            (self.kill_all, 1), (self.cut, 3 if wires else 0),
        ]  # fmt: skip
        self._kinds, self._weights = zip(*kinds, strict=True)

    async def run(self, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(self._lane(until))

    async def _lane(self, until: float) -> None:
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(self._random.uniform(*PAUSE_S))
            [fault] = self._random.choices(self._kinds, self._weights)
            try:
                await fault()
                self.done[fault.__name__] += 1
            except Unfit:
                continue

    async def heal(self) -> None:
        """Everything runs again."""
        for node in self._cluster.nodes.values():
            if not node.alive:
                await self._begin(node)

    # --- kinds

    async def kill(self) -> None:
        async with self._some() as node:
            await node.kill()
            await asyncio.sleep(self._random.uniform(0.0, 4.0))
            await self._begin(node)

    async def kill_all(self) -> None:
        async with self._trouble(*self._cluster.nodes):
            nodes = list(self._cluster.nodes.values())
            await asyncio.gather(*(node.kill() for node in nodes))
            await asyncio.gather(*(self._begin(node) for node in nodes))

    async def pause(self) -> None:
        """For less than its session, or for more."""
        async with self._some() as node:
            node.signal(signal.SIGSTOP)
            await asyncio.sleep(self._random.uniform(0.5, 2.5) * self._cluster.session_s)
            node.signal(signal.SIGCONT)

    async def restart(self) -> None:
        async with self._some() as node:
            await node.leave()
            await self._begin(node)

    async def join(self) -> None:
        """A node comes, stays a moment, and leaves in good order."""
        async with self._trouble(GUEST):
            guest = self._cluster.node(GUEST)
            await self._begin(guest)
            await asyncio.sleep(self._random.uniform(1.0, 3.0))
            await guest.leave()
            del self._cluster.nodes[GUEST]

    async def etcd(self) -> None:
        async with self._trouble("etcd"):
            self._cluster.etcd.stop()
            await asyncio.sleep(self._random.uniform(1.0, 8.0))
            await asyncio.to_thread(self._cluster.etcd.start)

    async def database(self) -> None:
        async with self._trouble("database"):
            await asyncio.to_thread(self._cluster.database.stop)
            await asyncio.sleep(self._random.uniform(0.2, 8.0))
            await asyncio.to_thread(self._cluster.database.start)

    async def cut(self) -> None:
        """What is said on a wire goes nowhere for a while, and nobody is told so."""
        name = self._random.choice(list(self._wires))
        async with self._trouble(name):
            self._wires[name].cut()
            await asyncio.sleep(self._random.uniform(0.5, 10.0))
            self._wires[name].mend()

    # ---

    @asynccontextmanager
    async def _trouble(self, *names: str) -> AsyncGenerator[None]:
        if self._troubled & set(names):
            raise Unfit
        self._troubled |= set(names)
        try:
            yield
        finally:
            self._troubled -= set(names)

    @asynccontextmanager
    async def _some(self) -> AsyncGenerator[NodeOf]:
        free = [name for name, node in self._cluster.nodes.items() if name not in self._troubled and node.alive]
        if len(free) < 2:
            raise Unfit
        name = self._random.choice(free)
        async with self._trouble(name):
            yield self._cluster.nodes[name]

    async def _begin(self, node: NodeOf) -> None:
        async with asyncio.timeout(STARTS_S):
            while True:
                node.start()
                try:
                    await node.ready()
                    return
                except RuntimeError:
                    await asyncio.sleep(0.5)
