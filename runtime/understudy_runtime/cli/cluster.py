"""What a running node says of its cluster: nodes and definitions, and how a node is asked to leave."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from understudy.cluster import DefinitionInfo, NodeInfo
from understudy_runtime.cli.connected import connected
from understudy_runtime.cli.options import Node
from understudy_runtime.cli.output import note, results_only
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.cli.render import moment, pretty
from understudy_runtime.cli.tables import show_table

NODES = ("ID", "ADDRESS", "STATUS", "STARTED", "ACTORS", "ATTEMPTS", "VERSION", "TROUBLE")


def list_nodes(node: Node, as_json: bool) -> None:
    async def asked() -> list[NodeInfo]:
        async with connected(node) as door:
            return await door.list_nodes()

    with results_only() as output, refusals():
        found = asyncio.run(asked())
        if as_json:
            output.result(pretty([_node_facts(each) for each in found]))
        else:
            show_table(output, NODES, [_node_cells(each) for each in found])


def drain_node(node: Node, node_id: str, grace_s: float | None) -> None:
    async def asked() -> None:
        async with connected(node) as door:
            await door.drain_node(node_id, grace_s)

    with results_only(), refusals():
        asyncio.run(asked())
        note(f"node {node_id} leaves; `understudy nodes list` shows how far it is, as long as it is there")


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
    return {"id": facts.pop("node_id")} | facts | {"started_at": moment(node.started_at)}


def _node_cells(node: NodeInfo) -> tuple[str, ...]:
    return (
        node.node_id,
        node.address,
        node.status,
        moment(node.started_at) or "",
        str(node.resident_actors),
        str(node.open_attempts),
        node.version,
        node.trouble,
    )


def _definition_rows(definition: DefinitionInfo) -> list[tuple[str, str, str, str]]:
    """The definition, and each of its handlers in a row of its own."""
    return [
        (definition.kind, definition.name, definition.app, definition.signature),
        *(
            ("readonly" if handler.readonly else "handler", f"  .{handler.name}", "", handler.signature)
            for handler in definition.handlers
        ),
    ]
