"""A node's seat in a cluster: everything that makes it one of many, put together.

    Ownership   which shards the engine runs          Post         wakes, to other nodes and from them
    ViewRoutes  who runs an actor                     Forwarding   calls for actors of other nodes
    Attempts    which run here for other nodes' actors, and elsewhere for this one's

Taken on the engine's loop: made before the door is opened, because that serves the other nodes too, and joined after,
because the others are told the door's address.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Any, Final

import msgspec
import structlog
from google.protobuf.descriptor import ServiceDescriptor

from understudy.errors import UnderstudyError
from understudy_runtime.actors.engine import Engine
from understudy_runtime.actors.sharding import Sharding
from understudy_runtime.core.membership import Coordinator, Member, View
from understudy_runtime.core.ports import Clock, ShardRow
from understudy_runtime.node.attempts import Attempts
from understudy_runtime.node.ownership import Ownership
from understudy_runtime.node.post import Post
from understudy_runtime.rpc.calls import Calls
from understudy_runtime.rpc.forwarding import Arriving, Forwarding
from understudy_runtime.rpc.neighbours import Neighbours
from understudy_runtime.rpc.peer_access import PeerAccess
from understudy_runtime.rpc.peer_links import Peers
from understudy_runtime.rpc.peer_wire import Identity
from understudy_runtime.rpc.peers import peer_streams
from understudy_runtime.rpc.routes import ViewRoutes
from understudy_runtime.rpc.server import Stream

SCAN_S: Final = 30.0
"""Mail that nobody was told of is found after so long at the latest."""
FLUSH_S: Final = 1.0
"""How long a node that leaves waits until all that it has told others has arrived."""
BEAT_S: Final = 0.5
STUCK_S: Final = 5.0
"""A loop that has not come round for so long lets the session end, so that others take over."""

log = structlog.get_logger("understudy.cluster")

Alive = Callable[[], bool]


class Clustering(msgspec.Struct, frozen=True):
    """How a node is one of many: the cluster's name, what it shows to other nodes when it calls them, and what makes
    its coordinator, given whether the node makes progress and how many shards there are."""

    cluster: str
    coordinator: Callable[[Alive, int], Coordinator]
    access: PeerAccess = PeerAccess()


class Seat:
    """`declare` makes the schedules of the engine's shards what the code says, as far as that has the say: asked when
    shards have just been opened, and when another node is gone, whose code may have had it."""

    def __init__(
        self,
        clustering: Clustering,
        member: Member,
        engine: Engine,
        sharding: Sharding,
        attempts: Attempts,
        clock: Clock,
        *,
        declare: Callable[[], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._sharding = sharding
        self._attempts = attempts
        self._clock = clock
        self._declare = declare
        self._lives: set[str] = set()
        self._somebody_is_gone = asyncio.Event()
        self.beat = Beat()
        self.coordinator = clustering.coordinator(self.beat.alive, sharding.store.shards)
        self.ownership = Ownership(self.coordinator, sharding.store, self, member, clock)
        self.routes = ViewRoutes(member.node, lambda: sharding.store.shards, lambda: self.view, sharding.has)
        self.neighbours = Neighbours(clustering.access)
        self._peers = Peers(Identity(clustering.cluster, member.node, member.incarnation), access=clustering.access)
        attempts.connect(self._peers.send)
        self._post = Post(engine, self._peers, self.routes, attempts, scan=self._scan_soon, lost=self.ownership.lost)
        self._peers.listen(self._post)
        self._minding: list[asyncio.Task[None]] = []
        self._scan_now = asyncio.Event()
        self.drained: Callable[[], None] = lambda: None
        """Called when somebody wants this node gone."""
        self.viewers: list[Callable[[View], None]] = [
            self._post.members, self.neighbours.members, lambda view: self.routes.tell()
        ]  # fmt: skip
        """Told of each new view of the cluster."""
        sharding.elsewhere = self._post
        sharding.attempts = attempts
        self.ownership.changed = self._look

    @property
    def view(self) -> View:
        return self.coordinator.view

    @property
    def node(self) -> str:
        return self.ownership.member.node

    async def read_shards(self) -> list[ShardRow]:
        """What the store says of who may write what."""
        return await self._sharding.store.read_shards()

    @property
    def streams(self) -> tuple[ServiceDescriptor, dict[str, Stream]]:
        """What other nodes call at this one's door, besides the calls that clients make."""
        return peer_streams(self._peers)

    def forward(self, clients: Calls, nodes: Calls, namespace: str) -> tuple[Forwarding, Arriving]:
        """What carries out calls of clients for any actor, and calls of other nodes for actors here."""
        forwarding = Forwarding(clients, self.routes, self.neighbours, namespace, self._clock.new_id)
        return forwarding, Arriving(nodes, self.routes)

    async def join(self, address: str) -> None:
        """Become a member, reached at `address`. CoordinatorError or StoreError if that cannot be."""
        self.ownership.member = msgspec.structs.replace(self.ownership.member, address=address)
        await self.ownership.start()
        self._minding = [asyncio.create_task(self._scan()), asyncio.create_task(self._declare_again())]

    async def give_away(self, grace_s: float) -> None:
        """Hand all shards over, if there are others, within `grace_s`. Attempts here go on meanwhile."""
        await self.ownership.give_away(grace_s)

    async def leave(self) -> None:
        """Be no member any more. What runs here still is given back to those who wait for it."""
        await self._attempts.give_back()
        await self._peers.flush(FLUSH_S)
        await self.ownership.leave()

    async def close(self) -> None:
        for task in self._minding:
            task.cancel()
        await asyncio.gather(*self._minding, return_exceptions=True)
        await self._peers.close()
        await self.neighbours.close()
        self.beat.stop()

    # --- Host of the ownership

    async def open_shards(self, shards: Collection[int]) -> None:
        # Before anything is delivered from these shards' new term: what an earlier term has sent comes first.
        await self._engine.hosting.scan()
        await self._engine.hosting.open(shards)
        self._attempts.opened(shards)
        self._attempts.members(self.view)
        self.routes.tell()
        await self._declare()

    async def seal_shards(self, shards: Collection[int]) -> None:
        await self._engine.hosting.seal(shards)
        self.routes.tell()

    async def hand_over(self, shards: Collection[int], to: str) -> None:
        await self._attempts.hand_over(shards, to)

    def drop_shards(self, shards: Collection[int], why: str) -> None:
        self._engine.hosting.drop(shards, why)
        self.routes.tell()

    # ---

    def _look(self, view: View) -> None:
        for viewer in self.viewers:
            viewer(view)
        if self.node in view.draining:
            self.drained()
        lives = {member.incarnation for member in view.members.values()}
        if self._lives - lives:
            self._somebody_is_gone.set()
        self._lives = lives

    async def _declare_again(self) -> None:
        while True:
            await self._somebody_is_gone.wait()
            self._somebody_is_gone.clear()
            try:
                await self._declare()
            except UnderstudyError as error:
                log.warning("schedules could not be declared; they are when next a node comes or goes", why=str(error))

    def _scan_soon(self) -> None:
        self._scan_now.set()

    async def _scan(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SCAN_S):
                    await self._scan_now.wait()
            self._scan_now.clear()
            try:
                await self._engine.hosting.scan()
            except UnderstudyError as error:
                log.warning("no look for mail; the next one finds it", why=str(error))


class Beat:
    """Whether the loop that it was made on comes round; may be asked from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._at = time.monotonic()
        self._timer: Any = self._loop.call_later(BEAT_S, self._strike)
        self.struck: Callable[[], None] = lambda: None
        """Called, on the loop, whenever it has come round."""

    def alive(self) -> bool:
        return time.monotonic() - self._at < STUCK_S

    def stop(self) -> None:
        self._timer.cancel()

    def _strike(self) -> None:
        self._at = time.monotonic()
        self.struck()
        self._timer = self._loop.call_later(BEAT_S, self._strike)
