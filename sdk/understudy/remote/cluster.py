"""Nodes and definitions, as a remote node tells of them: the part of `RemoteDoor` for operators."""

from __future__ import annotations

from typing import Any, Final, cast

from google.protobuf import duration_pb2

from understudy.cluster import (
    DefinitionInfo,
    DefinitionKind,
    HandlerInfo,
    NodeInfo,
    NodeStatus,
    ShardInfo,
    WaitingTasks,
    WorkerInfo,
    WorkerStatus,
)
from understudy.remote import wire
from understudy_proto.v1 import nodes_pb2


class RemoteCluster:
    async def list_nodes(self) -> list[NodeInfo]:
        """In order of their ids."""
        listed = await self._unary("NodeService/ListNodes", nodes_pb2.ListNodesRequest(), nodes_pb2.ListNodesResponse)
        return [node_info(node) for node in listed.nodes]

    async def list_shards(self) -> list[ShardInfo]:
        """In order of their ids; none where a single node has the whole store."""
        request = nodes_pb2.ListShardsRequest()
        listed = await self._unary("NodeService/ListShards", request, nodes_pb2.ListShardsResponse)
        return [
            ShardInfo(shard.shard_id, shard.node_id, shard.term, shard.writer, shard.head) for shard in listed.shards
        ]

    async def drain_node(self, node_id: str, grace_s: float | None) -> None:
        """Begins it; an empty id is the node that is asked, no grace is what it was configured with."""
        request = nodes_pb2.DrainNodeRequest(node_id=node_id)
        if grace_s is not None:
            request.grace.CopyFrom(duration_pb2.Duration(seconds=int(grace_s), nanos=int(grace_s % 1 * 1e9)))
        await self._unary("NodeService/DrainNode", request, nodes_pb2.DrainNodeResponse)

    async def list_definitions(self) -> list[DefinitionInfo]:
        """By kind, then by name."""
        request = nodes_pb2.ListDefinitionsRequest()
        listed = await self._unary("NodeService/ListDefinitions", request, nodes_pb2.ListDefinitionsResponse)
        return [_definition(definition) for definition in listed.definitions]

    async def _unary(self, method: str, request: Any, response: Any) -> Any:
        raise NotImplementedError


def node_info(node: nodes_pb2.Node) -> NodeInfo:
    """As the node tells of itself."""
    return NodeInfo(
        node.node_id,
        node.address,
        _STATUSES.get(node.status, "active"),
        wire.seconds(node.started_at),
        node.build,
        node.version,
        node.resident_actors,
        node.open_attempts,
        node.turns,
        node.trouble,
        node.open_calls,
        tuple(_worker(worker) for worker in node.workers),
        tuple(_waiting(line) for line in node.waiting),
        node.shards,
    )


def _worker(worker: nodes_pb2.Worker) -> WorkerInfo:
    return WorkerInfo(
        worker.worker_id,
        worker.name,
        _WORKER_STATUSES.get(worker.status, "active"),
        worker.slots,
        worker.used,
        tuple(worker.queues),
        tuple(worker.labels),
        worker.build,
        worker.agent,
        wire.seconds(worker.joined_at),
        wire.seconds(worker.blocked_since) if worker.HasField("blocked_since") else None,
        worker.blocked_task,
        worker.blocked_at,
        worker.trouble,
    )


def _waiting(line: nodes_pb2.WaitingTasks) -> WaitingTasks:
    return WaitingTasks(
        line.task,
        line.queue,
        line.namespace,
        line.slots,
        tuple(line.labels),
        line.count,
        wire.seconds(line.since),
        line.workers,
    )


def _definition(definition: nodes_pb2.Definition) -> DefinitionInfo:
    handlers = tuple(HandlerInfo(each.name, each.readonly, each.signature) for each in definition.handlers)
    kind = cast("DefinitionKind", nodes_pb2.DefinitionKind.Name(definition.kind).rpartition("_")[2].lower())
    return DefinitionInfo(kind, definition.name, definition.app, definition.signature, handlers)


_STATUSES: Final[dict[nodes_pb2.NodeStatus, NodeStatus]] = {
    nodes_pb2.NODE_STATUS_ACTIVE: "active",
    nodes_pb2.NODE_STATUS_BLOCKED: "blocked",
    nodes_pb2.NODE_STATUS_DRAINING: "draining",
    nodes_pb2.NODE_STATUS_LOST: "lost",
}
_WORKER_STATUSES: Final[dict[nodes_pb2.WorkerStatus, WorkerStatus]] = {
    nodes_pb2.WORKER_STATUS_ACTIVE: "active",
    nodes_pb2.WORKER_STATUS_BLOCKED: "blocked",
    nodes_pb2.WORKER_STATUS_AWAY: "away",
    nodes_pb2.WORKER_STATUS_LEAVING: "leaving",
    nodes_pb2.WORKER_STATUS_LOST: "lost",
}
