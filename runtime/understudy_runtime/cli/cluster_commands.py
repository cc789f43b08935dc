"""`understudy nodes` and `understudy definitions`: what can be typed."""

from __future__ import annotations

from typing import Annotated

import typer

from understudy_runtime.cli.options import AsJson, Node, connecting

nodes = typer.Typer(help="Look at the nodes of a cluster, and ask them to leave.", no_args_is_help=True)
shards = typer.Typer(help="Look at the parts of the store that the nodes of a cluster share.", no_args_is_help=True)
definitions = typer.Typer(help="Look at what nodes have the code for.", no_args_is_help=True)


@nodes.command("list")
@connecting
def list_nodes(node: Node, json: AsJson = False) -> None:
    """The nodes that live, and those lost within the last minutes."""
    from understudy_runtime.cli.cluster import list_nodes

    list_nodes(node, json)


@nodes.command("drain")
@connecting
def drain_node(
    node: Node,
    id: Annotated[str, typer.Argument(metavar="NODE", help="The id of the node, as `nodes list` shows it.")],
    grace_s: Annotated[
        float | None,
        typer.Option("--grace-s", min=0, metavar="SECONDS", help="How long running tasks may go on [as configured]."),
    ] = None,
) -> None:
    """Ask a node to leave: running tasks may end, the rest is handed back. Does not wait until it has left."""
    from understudy_runtime.cli.cluster import drain_node

    drain_node(node, id, grace_s)


@shards.command("list")
@connecting
def list_shards(node: Node, json: AsJson = False) -> None:
    """Who runs each shard, and under which term."""
    from understudy_runtime.cli.cluster import list_shards

    list_shards(node, json)


@definitions.command("list")
@connecting
def list_definitions(node: Node, json: AsJson = False) -> None:
    """Workflows, actors and tasks, with what they take."""
    from understudy_runtime.cli.cluster import list_definitions

    list_definitions(node, json)
