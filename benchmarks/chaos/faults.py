"""Faults: one after the other, at random; each is over when the next begins, but for nodes that stay dead a while."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

from benchmarks.chaos.cluster import Cluster, NodeOf

PAUSE_S = (0.5, 3.0)
"""Between two faults."""


class Faults:
    """`done` counts them by kind. At least one node is left alone at any time, so that somebody takes calls."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self._cluster = cluster
        self._random = random.Random(f"faults {seed}")
        kinds: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self.kill, 5), (self.pause, 3), (self.restart, 3), (self.join, 1), (self.etcd, 1), (self.database, 1),
            (self.kill_all, 1),
        ]  # fmt: skip
        self._kinds, self._weights = zip(*kinds, strict=True)

    async def run(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            await asyncio.sleep(self._random.uniform(*PAUSE_S))
            [fault] = self._random.choices(self._kinds, self._weights)
            await fault()
            self.done[fault.__name__] += 1

    async def heal(self) -> None:
        """Everything runs again."""
        await self._cluster.begin(*(name for name, node in self._cluster.nodes.items() if not node.alive))

    # --- kinds

    async def kill(self) -> None:
        node = self._some()
        await node.kill()
        await asyncio.sleep(self._random.uniform(0.0, 4.0))
        await self._again(node)

    async def kill_all(self) -> None:
        nodes = [node for node in self._cluster.nodes.values() if node.alive]
        await asyncio.gather(*(node.kill() for node in nodes))
        await self._cluster.begin(*(node.name for node in nodes))

    async def pause(self) -> None:
        """For less than its session, or for more."""
        node = self._some()
        node.signal(signal.SIGSTOP)
        await asyncio.sleep(self._random.uniform(0.5, 2.5) * self._cluster.session_s)
        node.signal(signal.SIGCONT)

    async def restart(self) -> None:
        node = self._some()
        await node.leave()
        await self._again(node)

    async def join(self) -> None:
        """A node comes, stays a moment, and leaves in good order."""
        name = "guest"
        [guest] = await self._cluster.begin(name)
        await asyncio.sleep(self._random.uniform(1.0, 3.0))
        await guest.leave()
        del self._cluster.nodes[name]

    async def etcd(self) -> None:
        self._cluster.etcd.stop()
        await asyncio.sleep(self._random.uniform(1.0, 6.0))
        await asyncio.to_thread(self._cluster.etcd.start)

    async def database(self) -> None:
        await asyncio.to_thread(self._cluster.database.stop)
        await asyncio.sleep(self._random.uniform(0.2, 3.0))
        await asyncio.to_thread(self._cluster.database.start)

    # ---

    def _some(self) -> NodeOf:
        return self._random.choice([node for node in self._cluster.nodes.values() if node.alive])

    async def _again(self, node: NodeOf) -> None:
        node.start()
        await node.ready()
