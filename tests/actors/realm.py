"""Several engines over one store, in virtual time: a cluster without its network, whose shards tests move at will."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from tests.actors.lease_shapes import APPS
from tests.actors.world import INSTANTS_MAX, T0, Outside, OutsideExecutor, VirtualClock
from understudy.errors import Misplaced
from understudy_runtime.actors.engine import Engine
from understudy_runtime.actors.journal import decode
from understudy_runtime.actors.sharding import Sharding
from understudy_runtime.core.actor import ActorMachine
from understudy_runtime.core.keys import RUN, shard_of
from understudy_runtime.core.messages import AnyMessage, Machine
from understudy_runtime.core.ports import Report
from understudy_runtime.core.records import Turn
from understudy_runtime.core.run import RunMachine
from understudy_runtime.execution.programs import AppPrograms
from understudy_runtime.node.resources import machine_for, resource_machines
from understudy_runtime.storage.memory import MemoryData, MemoryStore

SCAN_EVERY_S = 0.5


class Node:
    """One engine. Implements `Elsewhere` for it: what it passes on comes to its owner a moment later."""

    def __init__(self, realm: Realm, name: str) -> None:
        self.name = name
        self.store = MemoryStore(realm.data)
        self.lost_shards: list[int] = []
        self._realm = realm
        self._sharding = Sharding(self.store)
        self._sharding.elsewhere = self
        self._executor = OutsideExecutor(APPS, realm.clock, realm.outside)
        self.engine: Engine

    async def start(self) -> None:
        await self.store.join(self.name, self.name, T0)
        machines: dict[str, Machine[Any]] = {RUN: RunMachine()} | resource_machines(
            APPS, self.name, lambda: self.store.epoch
        )
        self.engine = Engine(
            clock=self._realm.clock,
            store=self.store,
            programs=AppPrograms(APPS, None),
            executor=self._executor,
            machine_of=machine_for(machines, ActorMachine()),
            build="",
            memory_bytes=2**30,
            window_s=float("inf"),
            on_failed=self._realm.failures.append,
            sharding=self._sharding,
        )
        self._executor.report = self.engine.report
        await self.engine.start()

    async def stop(self) -> None:
        await self._executor.close(0.0)
        await self.engine.close()
        await self.store.close()

    # --- Elsewhere

    def wake(self, key: str) -> None:
        if not self._realm.loses_wakes:
            self._later(key, lambda engine: engine.wake([key]))

    def report(self, report: Report) -> None:
        self._later(report.token.key, lambda engine: engine.deliver(report.token.key, report))

    def lost(self, shards: Collection[int]) -> None:
        self.lost_shards += shards

    def _later(self, key: str, do: Callable[[Engine], object]) -> None:
        owner = self._realm.owner(key)
        if owner is not None and owner is not self:
            asyncio.get_running_loop().call_soon(do, owner.engine)


class Realm:
    """All nodes. `loses_wakes`: what one node tells another about mail never arrives."""

    def __init__(self, names: Collection[str], shards: int, outside: Outside) -> None:
        self.data = MemoryData(shards)
        self.clock = VirtualClock(T0)
        self.outside = outside
        self.failures: list[BaseException] = []
        self.loses_wakes = False
        self.nodes = {name: Node(self, name) for name in names}

    def owner(self, key: str) -> Node | None:
        return self.nodes.get(self.data.shards[shard_of(key, len(self.data.shards))].owner)

    async def scan(self) -> None:
        """What every node does from time to time: a wake may have been lost."""
        for node in self.nodes.values():
            node.engine.wake(await node.store.scan_inbox(tuple(node.store.terms)))
        await self.settle()

    async def claim(self, shard: int, node: Node) -> None:
        """Give a shard to a node, whoever has it: without its say, if it was not sealed."""
        begun = await node.store.claim({shard: self.data.shards[shard].term})
        await node.engine.open_shards(tuple(begun))

    async def move(self, shard: int, to: Node) -> None:
        """A planned hand-over."""
        before = self.nodes[self.data.shards[shard].owner]
        await before.engine.seal_shards([shard])
        await before.store.release([shard])
        await self.claim(shard, to)

    def tell(self, key: str, message: AnyMessage, replies: list[Any] | None = None) -> None:
        """Bring a message to whoever runs its actor, again if he does not any more: as a node does for its clients."""
        owner = self.owner(key)
        if owner is None:
            asyncio.get_running_loop().call_soon(self.tell, key, message, replies)
            return
        owner.engine.deliver(key, message, partial(self._answered, key, message, replies))

    def _answered(self, key: str, message: AnyMessage, replies: list[Any] | None, reply: Any) -> None:
        if isinstance(reply, Misplaced):
            asyncio.get_running_loop().call_soon(self.tell, key, message, replies)
        elif replies is not None:
            replies.append(reply)

    async def settle(self) -> None:
        """Until nothing moves unless time passes."""
        quiet = 0
        while quiet < 5:
            await asyncio.sleep(0)
            still = all(
                not node.engine._scheduled
                and node.engine._committer.idle
                and node.engine._loading.idle
                and node.engine._careful.idle
                for node in self.nodes.values()
            )
            quiet = quiet + 1 if still else 0

    async def rest(self, seconds: float) -> None:
        """Let time pass; mail whose wake was lost is found now and then."""
        ends_at = self.clock.now() + seconds
        while self.clock.now() < ends_at:
            self.clock.call_at(min(ends_at, self.clock.now() + SCAN_EVERY_S), lambda: None)
            self.clock.advance()
            await self.settle()
            await self.scan()

    def histories(self) -> dict[str, list[Turn]]:
        """All that was ever written."""
        return {key: [decode(row, {}) for row in rows] for key, rows in self.data.journal.items()}

    async def until(self, over: Callable[[], bool]) -> None:
        await self.settle()
        for _ in range(INSTANTS_MAX):
            if over():
                return
            self.clock.advance()
            await self.settle()
        raise AssertionError("it does not come to an end")


@asynccontextmanager
async def realm_of(
    names: Collection[str], shards: int = 8, outside: Outside | None = None
) -> AsyncGenerator[Realm, None]:
    """Nodes of these names, with the shards dealt out in turn."""
    realm = Realm(names, shards, outside or Outside())
    for node in realm.nodes.values():
        await node.start()
    for shard in range(shards):
        await realm.claim(shard, list(realm.nodes.values())[shard % len(realm.nodes)])
    try:
        yield realm
        assert not realm.failures
    finally:
        for node in realm.nodes.values():
            await node.stop()
