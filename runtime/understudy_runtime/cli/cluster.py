"""What a running node says of its cluster: nodes and definitions, and how a node is asked to leave."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from understudy.cluster import DefinitionInfo, NodeInfo, ShardInfo, WaitingTasks, WorkerInfo
from understudy_runtime.cli.connected import connected
from understudy_runtime.cli.options import Node
from understudy_runtime.cli.output import note, results_only
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.cli.render import moment, pretty
from understudy_runtime.cli.tables import show_table

NODES: Final = ("NODE", "ADDRESS", "STATUS", "SINCE", "SHARDS", "ACTORS", "CALLS", "SLOTS", "BUILD", "TROUBLE")
"""Below each node, indented, who runs tasks for it: used slots of all, and what keeps it from working."""


def list_nodes(node: Node, as_json: bool) -> None:
    async def asked() -> list[NodeInfo]:
        async with connected(node) as door:
            return await door.list_nodes()

    with results_only() as output, refusals():
        found = asyncio.run(asked())
        if as_json:
            output.result(pretty([_node_facts(each) for each in found]))
        else:
            show_table(output, NODES, [row for each in found for row in _node_rows(each)])


def drain_node(node: Node, node_id: str, grace_s: float | None) -> None:
    async def asked() -> None:
        async with connected(node) as door:
            await door.drain_node(node_id, grace_s)

    with results_only(), refusals():
        asyncio.run(asked())
        note(f"node {node_id} leaves; `understudy nodes list` shows how far it is, as long as it is there")


SHARDS: Final = ("SHARD", "NODE", "TERM", "WRITER", "HEAD")


def list_shards(node: Node, as_json: bool) -> None:
    async def asked() -> list[ShardInfo]:
        async with connected(node) as door:
            return await door.list_shards()

    with results_only() as output, refusals():
        found = asyncio.run(asked())
        if as_json:
            output.result(pretty(found))
        elif found:
            rows = [(str(s.shard_id), s.node_id, str(s.term), s.writer, str(s.head)) for s in found]
            show_table(output, SHARDS, rows)
        else:
            note("no shards: one node has the whole store")


def list_definitions(node: Node, as_json: bool) -> None:
    async def asked() -> list[DefinitionInfo]:
        async with connected(node) as door:
            return await door.list_definitions()

    with results_only() as output, refusals():
        found = asyncio.run(asked())
        if as_json:
            output.result(pretty(found))
        elif found:
            show_table(
                output, ("KIND", "NAME", "APP", "TAKES"), [row for each in found for row in _definition_rows(each)]
            )
        else:
            note("no definitions")


def _node_facts(node: NodeInfo) -> dict[str, Any]:
    facts = msgspec.structs.asdict(node)
    return (
        {"id": facts.pop("node_id")}
        | facts
        | {
            "started_at": moment(node.started_at),
            "workers": [_worker_facts(worker) for worker in node.workers],
            "waiting": [msgspec.structs.asdict(line) | {"since": moment(line.since)} for line in node.waiting],
        }
    )


def _worker_facts(worker: WorkerInfo) -> dict[str, Any]:
    facts = msgspec.structs.asdict(worker)
    times = {"joined_at": moment(worker.joined_at), "blocked_since": moment(worker.blocked_since)}
    return {"id": facts.pop("worker_id")} | facts | times


def _node_rows(node: NodeInfo) -> list[tuple[str, ...]]:
    return [_node_cells(node), *(_worker_cells(worker) for worker in node.workers)]


def _node_cells(node: NodeInfo) -> tuple[str, ...]:
    alive = [worker for worker in node.workers if worker.status != "lost"]
    troubles = [node.trouble, *(_unwanted(line) for line in node.waiting if not line.workers)]
    return (
        node.node_id,
        node.address,
        node.status,
        moment(node.started_at) or "",
        str(node.shards or ""),
        str(node.resident_actors),
        str(node.open_calls),
        f"{sum(worker.used for worker in alive)}/{sum(worker.slots for worker in alive)}",
        node.build,
        "; ".join(filter(None, troubles)),
    )


def _worker_cells(worker: WorkerInfo) -> tuple[str, ...]:
    return (
        f"  {worker.name}",
        "",
        worker.status,
        moment(worker.joined_at) or "",
        "",
        "",
        "",
        f"{worker.used}/{worker.slots}",
        worker.build,
        f"{worker.trouble} since {moment(worker.blocked_since)}" if worker.blocked_since else worker.trouble,
    )


def _unwanted(line: WaitingTasks) -> str:
    labels = f" with the labels {', '.join(line.labels)}" if line.labels else ""
    return f"{line.count} of {line.task} wait in queue {line.queue} for a worker{labels}: there is none"


def _definition_rows(definition: DefinitionInfo) -> list[tuple[str, str, str, str]]:
    """The definition, and each of its handlers in a row of its own."""
    return [
        (definition.kind, definition.name, definition.app, definition.signature),
        *(
            ("readonly" if handler.readonly else "handler", f"  .{handler.name}", "", handler.signature)
            for handler in definition.handlers
        ),
    ]
