"""Who is there and where each shard is: what the members of a cluster tell each other through a `Coordinator`.

All of it is a hint that may be late. Who may write a shard is decided by its term in the store alone, so that a
coordinator that lies can make the cluster wait, and cannot make it wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import msgspec

from understudy.errors import UnderstudyError


class Member(msgspec.Struct, frozen=True, omit_defaults=True):
    """One life of a node (`incarnation`). `address` is where its gRPC door can be reached by others.

    One that is `leaving` takes no more shards and gives away those that it has. `speaks` is the oldest and the newest
    version of the protocol of nodes that it knows.
    """

    node: str
    incarnation: str
    address: str
    build: str = ""
    started_at: float = 0.0
    leaving: bool = False
    speaks: tuple[int, int] = (1, 1)

    def can_speak_with(self, other: Member) -> bool:
        return self.speaks[0] <= other.speaks[1] and other.speaks[0] <= self.speaks[1]


class Owner(msgspec.Struct, frozen=True):
    """Whoever runs a shard, or has just been given it."""

    node: str
    incarnation: str


class View(msgspec.Struct, frozen=True):
    """The cluster as one node sees it. `draining` are nodes that somebody wants rid of.

    `revision` is the coordinator's; it grows, unless somebody has put an old state back there.
    """

    revision: int = 0
    members: Mapping[str, Member] = {}
    owners: Mapping[int, Owner] = {}
    draining: frozenset[str] = frozenset()

    @property
    def takers(self) -> list[str]:
        """The nodes that may be given shards."""
        return [name for name, member in self.members.items() if not member.leaving and name not in self.draining]


class Coordinator(Protocol):
    """One node's seat in the cluster. Used on the engine's loop, on which `changed` is called with each new view.

    The node is a member for as long as its session lives: it is renewed while the node makes progress, and ends a
    while after it does not. Everything that the node has put there goes with it.
    """

    async def join(self, member: Member, changed: Callable[[View], None]) -> int:
        """Become a member; returns how many shards the cluster has. CoordinatorError if that cannot be."""
        ...

    async def announce(self, member: Member) -> None:
        """Say something else of oneself."""
        ...

    async def leave(self) -> None:
        """End the session at once."""
        ...

    @property
    def view(self) -> View: ...

    @property
    def session_left_s(self) -> float:
        """For how long, from now, the session is sure to live; at 0 or below the node must claim nothing."""
        ...

    async def claim(self, shards: Collection[int]) -> set[int]:
        """Put orphans in this node's name; returns those that are. The right to write is the store's to give."""
        ...

    async def hand_over(self, shards: Collection[int], to: Member) -> set[int]:
        """Put shards of this node's in the name of `to`; returns those that stand in it: none if it is gone."""
        ...

    async def give_up(self, shards: Collection[int]) -> None:
        """Make shards of this node's orphans."""
        ...

    async def drain(self, node: str, wanted: bool) -> None:
        """Ask that this life of a node give its shards away and take none (or no longer ask)."""
        ...


class CoordinatorError(UnderstudyError):
    """The coordinator cannot be reached, or refuses. The message is for the operator."""
