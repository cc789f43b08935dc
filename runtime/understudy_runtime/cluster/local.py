"""A cluster inside one process: for a single node, for tests, and for simulation, which owns its time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from understudy_runtime.core.membership import CoordinatorError, Member, Owner, View
from understudy_runtime.core.ports import Clock

TTL_S: Final = 10.0


class LocalCluster:
    """What etcd is to nodes on many machines. Sessions end when `expire` is called, or when their node leaves."""

    def __init__(self, shards: int) -> None:
        self.shards = shards
        self._revision = 0
        self._members: dict[str, Member] = {}
        self._owners: dict[int, Owner] = {}
        self._draining: frozenset[str] = frozenset()
        self._changed: dict[str, Callable[[View], None]] = {}

    @property
    def view(self) -> View:
        return View(self._revision, dict(self._members), dict(self._owners), self._draining)

    def expire(self, node: str) -> None:
        """The node's session ends; it hears of it only by what it sees."""
        self._members.pop(node, None)
        self.own({shard: owner for shard, owner in self._owners.items() if owner.node != node})

    def own(self, owners: Mapping[int, Owner]) -> None:
        self._owners = dict(owners)
        self._tell()

    def put(self, member: Member, changed: Callable[[View], None] | None = None) -> None:
        self._members[member.node] = member
        if changed is not None:
            self._changed[member.node] = changed
        self._tell()

    def leave(self, node: str) -> None:
        self._changed.pop(node, None)
        self.expire(node)

    def drain(self, node: str, wanted: bool) -> None:
        self._draining = self._draining | {node} if wanted else self._draining - {node}
        self._tell()

    def _tell(self) -> None:
        self._revision += 1
        for changed in tuple(self._changed.values()):
            changed(self.view)


class LocalCoordinator:
    """Implements `Coordinator` over a `LocalCluster`."""

    def __init__(self, cluster: LocalCluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._me: Member | None = None

    async def join(self, member: Member, changed: Callable[[View], None]) -> int:
        if member.node in self._cluster.view.members:
            raise CoordinatorError(f"a node named {member.node} is there already; give this one another name")
        self._me = member
        self._cluster.drain(member.node, False)  # who wanted an earlier life of it gone has had that
        self._cluster.put(member, changed)
        return self._cluster.shards

    async def announce(self, member: Member) -> None:
        self._me = member
        self._cluster.put(member)

    async def leave(self) -> None:
        if self._me is not None:
            self._cluster.leave(self._me.node)

    @property
    def view(self) -> View:
        return self._cluster.view

    @property
    def session_left_s(self) -> float:
        return TTL_S if self._is_member() else 0.0

    async def claim(self, shards: Collection[int]) -> set[int]:
        owners = self.view.owners
        if self._me is None or not self._is_member():
            return set()
        me = self._owner(self._me)
        if orphans := set(shards) - set(owners):
            self._cluster.own({**owners, **dict.fromkeys(orphans, me)})
        return orphans | {shard for shard in shards if owners.get(shard) == me}

    async def hand_over(self, shards: Collection[int], to: Member) -> set[int]:
        if to.node not in self.view.members:
            return set()
        if going := self._mine(shards):
            self._cluster.own({**self.view.owners, **dict.fromkeys(going, self._owner(to))})
        return {shard for shard in shards if self.view.owners.get(shard) == self._owner(to)}

    async def give_up(self, shards: Collection[int]) -> None:
        if going := self._mine(shards):
            self._cluster.own({shard: owner for shard, owner in self.view.owners.items() if shard not in going})

    async def drain(self, node: str, wanted: bool) -> None:
        self._cluster.drain(node, wanted)

    def _mine(self, shards: Collection[int]) -> set[int]:
        owners = self.view.owners
        return {shard for shard in shards if self._me is not None and owners.get(shard) == self._owner(self._me)}

    def _is_member(self) -> bool:
        known = None if self._me is None else self.view.members.get(self._me.node)
        return known is not None and self._me is not None and known.incarnation == self._me.incarnation

    @staticmethod
    def _owner(member: Member) -> Owner:
        return Owner(member.node, member.incarnation)
