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
from understudy_runtime.core.membership import Member, Owner, View
from understudy_runtime.core.messages import AnyMessage, Machine
from understudy_runtime.core.records import Turn
from understudy_runtime.core.run import RunMachine
from understudy_runtime.core.transport import Envelope, Receiver
from understudy_runtime.execution.programs import AppPrograms
from understudy_runtime.node.attempts import Attempts
from understudy_runtime.node.post import Post
from understudy_runtime.node.resources import machine_for, resource_machines
from understudy_runtime.storage.memory import MemoryData, MemoryStore

SCAN_EVERY_S = 0.5


class Node:
    """One engine, with the post between it and the others. Implements `Transport` and `Routes` for that: envelopes
    arrive a moment later, unless the realm loses them.
    """

    def __init__(self, realm: Realm, name: str) -> None:
        self.name = name
        self.store = MemoryStore(realm.data)
        self.lost_shards: list[int] = []
        self._realm = realm
        self._sharding = Sharding(self.store)
        self.executor = OutsideExecutor(APPS, realm.clock, realm.outside)
        self.me = Owner(name, name)
        self.attempts = Attempts(self.executor, self._sharding, realm.clock, self.me)
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
            executor=self.attempts,
            machine_of=machine_for(machines, ActorMachine()),
            build="",
            memory_bytes=2**30,
            window_s=float("inf"),
            on_failed=self._realm.failures.append,
            sharding=self._sharding,
        )
        self.executor.report = self.attempts.report
        self.attempts.serve(self.engine)
        self.attempts.connect(self.send)
        self.post = Post(
            self.engine,
            self,
            self,
            self.attempts,
            scan=lambda: None,
            lost=lambda shards: self.lost_shards.extend(shards),
        )
        self._sharding.elsewhere, self._sharding.attempts = self.post, self.attempts
        await self.engine.start()

    async def stop(self) -> None:
        await self.attempts.close(0.0)
        await self.engine.close()
        await self.store.close()

    async def open(self, shards: Collection[int]) -> None:
        await self.engine.hosting.open(shards)
        self.attempts.opened(shards)

    # --- Transport

    def listen(self, receiver: Receiver) -> None:
        """The post listens."""

    def members(self, view: View) -> None:
        """Everybody is there."""

    def send(self, node: str, envelope: Envelope) -> bool:
        if not self._realm.loses(envelope):
            to = self._realm.nodes[node]
            asyncio.get_running_loop().call_soon(to.post.on_envelope, self.name, envelope)
        return True

    # --- Routes

    def here(self, key: str) -> bool:
        return self._sharding.has(key)

    def where(self, key: str) -> Member | None:
        owner = self._realm.owner(key)
        return None if owner is None or owner is self else self.member(owner.name)

    def coming(self, key: str) -> bool:
        return not self.here(key) and self._realm.owner(key) is self

    def member(self, node: str) -> Member | None:
        return Member(node, node, "")

    async def changed(self, timeout_s: float) -> None:
        """Nobody waits."""


class Realm:
    """All nodes. `loses` says which envelopes never arrive."""

    def __init__(self, names: Collection[str], shards: int, outside: Outside) -> None:
        self.data = MemoryData(shards)
        self.clock = VirtualClock(T0)
        self.outside = outside
        self.failures: list[BaseException] = []
        self.loses: Callable[[Envelope], bool] = lambda envelope: False
        self.nodes = {name: Node(self, name) for name in names}

    def owner(self, key: str) -> Node | None:
        return self.nodes.get(self.data.shards[shard_of(key, len(self.data.shards))].owner)

    async def scan(self) -> None:
        """What every node does from time to time: a wake may have been lost."""
        for node in self.nodes.values():
            node.engine.hosting.wake(await node.store.scan_inbox(tuple(node.store.terms)))
        await self.settle()

    async def claim(self, shard: int, node: Node) -> None:
        """Give a shard to a node, whoever has it: without its say, if it was not sealed."""
        begun = await node.store.claim({shard: self.data.shards[shard].term})
        await node.open(tuple(begun))

    async def move(self, shard: int, to: Node) -> None:
        """A planned hand-over."""
        before = self.nodes[self.data.shards[shard].owner]
        await before.engine.hosting.seal([shard])
        await before.store.release([shard])
        told = asyncio.get_running_loop().create_task(before.attempts.hand_over([shard], to.name))
        await self.settle()
        while not told.done():
            self.clock.advance()
            await self.settle()
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
