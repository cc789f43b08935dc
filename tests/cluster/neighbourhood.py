"""Nodes of one cluster on the test's own loop: over a store in memory and a coordinator in this process, with doors
that talk over real sockets."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio

from tests.rpc.shop import app as shop
from understudy import App, Client
from understudy.client import connect
from understudy_runtime.cluster.local import LocalCluster, LocalCoordinator
from understudy_runtime.core.keys import shard_of
from understudy_runtime.node.clocks import SystemClock
from understudy_runtime.node.node import Node, Settings, running
from understudy_runtime.node.seat import Clustering
from understudy_runtime.node.serving import Drain, served
from understudy_runtime.rpc.server import Serving
from understudy_runtime.storage.memory import MemoryData, MemoryStore

SHARDS = 16
LONG_S = 20.0
"""Longer than anything here takes on a busy machine; what takes longer hangs."""


class Neighbourhood:
    """`begin` a node, `end` it; `clients` has one of each, by name."""

    def __init__(self) -> None:
        self.data = MemoryData(SHARDS)
        self.cluster = LocalCluster(SHARDS)
        self.nodes: dict[str, Node] = {}
        self.clients: dict[str, Client] = {}
        self.addresses: dict[str, str] = {}
        self.failures: list[BaseException] = []
        self._ends: dict[str, AsyncExitStack] = {}
        self._servers: dict[str, Serving] = {}

    async def begin(self, name: str, drain: Drain = lambda grace_s: None, app: App = shop) -> Node:
        """`app` is the code that it has."""
        stack = self._ends[name] = AsyncExitStack()
        clustering = Clustering("shop", lambda alive, shards: LocalCoordinator(self.cluster, SystemClock()))
        settings = Settings(name=name, grace_s=0.1, workers=True)
        node = await stack.enter_async_context(
            running([app], MemoryStore(self.data), SystemClock(), settings, self.failures.append, clustering)
        )
        server = await stack.enter_async_context(
            served(node, [app], "127.0.0.1:0", started_at=0.0, drain=drain, grace_s=0.1)
        )
        assert node.seat is not None
        await node.seat.join(server.address)
        self.nodes[name] = node
        self.addresses[name] = server.address
        self._servers[name] = server
        self.clients[name] = await stack.enter_async_context(connect(server.address, app))
        return node

    async def leave(self, name: str) -> None:
        """In good order, as `understudy node` does when it is asked to."""
        await self._servers[name].leave()
        await self.nodes[name].drain(0.1)
        await self.end(name)

    async def end(self, name: str) -> None:
        node = self.nodes.pop(name, None)
        del self.clients[name]
        assert node is None or node.seat is not None
        await self._ends.pop(name).aclose()

    async def close(self) -> None:
        for name in list(self._ends):
            await self.end(name)

    def owner(self, key: str) -> str:
        """The node that runs it, once there is one."""
        return self.data.shards[shard_of(key, SHARDS)].owner

    async def settled(self) -> None:
        """Returns when every shard is run by some node, and none has two more than another."""
        with anyio.fail_after(LONG_S):
            while not self._is_settled():  # noqa: ASYNC110 - nobody says when it is so
                await anyio.sleep(0.005)

    def _is_settled(self) -> bool:
        ours = [node.seat.ownership.ours for node in self.nodes.values() if node.seat is not None]
        loads = [len(shards) for shards in ours]
        return sum(loads) == SHARDS and max(loads) - min(loads) <= 1


@asynccontextmanager
async def neighbourhood(*names: str) -> AsyncGenerator[Neighbourhood]:
    made = Neighbourhood()
    try:
        for name in names:
            await made.begin(name)
        await made.settled()
        yield made
        assert not made.failures
    finally:
        await made.close()
