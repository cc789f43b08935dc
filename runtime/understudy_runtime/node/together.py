"""The cluster as all its nodes tell of it: whoever is asked asks the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

from google.protobuf import duration_pb2

from understudy.cluster import NodeInfo, ShardInfo
from understudy.errors import UnderstudyError, UnknownName, Unreachable
from understudy.remote.cluster import node_info
from understudy_proto.v1 import nodes_pb2
from understudy_runtime.core.membership import Member, View
from understudy_runtime.node.seat import Seat

ANSWER_S: Final = 2.0
"""What a node that tells of itself may take; one that takes longer is listed with what the others know."""
SHOW_LOST_S: Final = 300.0
"""How long a node whose session has ended is listed."""
MAX_LOST: Final = 100


class Alone(Protocol):
    """This node, as far as it is concerned alone."""

    address: str

    async def nodes(self) -> Sequence[NodeInfo]: ...
    async def drain(self, node_id: str, grace_s: float | None) -> None: ...


class Together:
    """`Cluster` of many nodes."""

    def __init__(self, alone: Alone, seat: Seat) -> None:
        self._alone = alone
        self._seat = seat
        self._lost = Lost()
        seat.viewers.append(self._lost.look)

    async def nodes(self) -> Sequence[NodeInfo]:
        others = [member for name, member in self._seat.view.members.items() if name != self._seat.node]
        told = await asyncio.gather(self._alone.nodes(), *(self._told(member) for member in others))
        lost = [_unheard(member, "lost", "its session has ended") for member in self._lost.members()]
        return sorted([info for infos in (*told, lost) for info in infos], key=lambda info: info.node_id)

    async def drain(self, node_id: str, grace_s: float | None) -> None:
        if node_id in ("", self._seat.node):
            await self._alone.drain("", grace_s)
            return
        member = self._seat.view.members.get(node_id)
        if member is None:
            known = ", ".join(sorted(self._seat.view.members))
            raise UnknownName(f"there is no node {node_id}; there are: {known}")
        request = nodes_pb2.DrainNodeRequest(node_id=node_id)
        if grace_s is not None:
            request.grace.CopyFrom(duration_pb2.Duration(seconds=int(grace_s), nanos=int(grace_s % 1 * 1e9)))
        try:
            await self._seat.neighbours.call(member, "drain_node", request)
        except Unreachable:
            # It may still see what is written for it where all nodes look.
            await self._seat.coordinator.drain(node_id, True)

    async def shards(self) -> Sequence[ShardInfo]:
        owners = self._seat.view.owners
        rows = await self._seat.read_shards()
        return [
            ShardInfo(row.id, owners[row.id].node if row.id in owners else "", row.term, row.owner, row.head)
            for row in rows
        ]

    async def _told(self, member: Member) -> Sequence[NodeInfo]:
        try:
            async with asyncio.timeout(ANSWER_S):
                told = await self._seat.neighbours.call(member, "list_nodes", nodes_pb2.ListNodesRequest())
            return [node_info(node) for node in told.nodes]
        except TimeoutError:
            return [_unheard(member, "active", f"no answer within {ANSWER_S:g} s")]
        except UnderstudyError as error:
            return [_unheard(member, "active", f"it cannot be asked: {error}")]


class Lost:
    """Nodes that went without having said so."""

    def __init__(self) -> None:
        self._present: dict[str, Member] = {}
        self._gone: dict[str, tuple[Member, float]] = {}

    def look(self, view: View) -> None:
        for name in self._present.keys() - view.members.keys():
            if not self._present[name].leaving:
                self._gone[name] = self._present[name], time.monotonic()
                if len(self._gone) > MAX_LOST:
                    del self._gone[next(iter(self._gone))]
        for name in view.members:
            self._gone.pop(name, None)
        self._present = dict(view.members)

    def members(self) -> list[Member]:
        return [member for member, at in self._gone.values() if time.monotonic() - at <= SHOW_LOST_S]


def _unheard(member: Member, status: Any, trouble: str) -> NodeInfo:
    """What the others know of a node that does not speak for itself."""
    return NodeInfo(member.node, member.address, status, member.started_at, member.build, trouble=trouble)
