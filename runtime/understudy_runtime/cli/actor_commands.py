"""`understudy actors`: what can be typed. An actor is named as `KIND/ID`, such as `Counter/visits`."""

from __future__ import annotations

from typing import Annotated

import typer

from understudy_runtime.cli.options import AsJson, Input, Node, connecting

actors = typer.Typer(help="Look at the actors of a node, tell and ask them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="KIND/ID", help="The actor: the name of its class, and its id.")]
Handler = Annotated[str, typer.Argument(metavar="HANDLER", help="The name of the handler.")]


@actors.command("list")
@connecting
def list_actors(
    node: Node,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Only those of this class.")] = "",
    status: Annotated[str, typer.Option("--status", help="Only those that stand so: active or held.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many of each class.")] = 100,
    json: AsJson = False,
) -> None:
    """The actors to which something has happened, by class, newest first."""
    from understudy_runtime.cli import actors

    actors.list_actors(node, kind, status, limit, json)


@actors.command()
@connecting
def show(node: Node, name: Name, json: AsJson = False) -> None:
    """How one actor stands: its state, its reminders, and what holds it."""
    from understudy_runtime.cli import actors

    actors.show(node, name, json)


@actors.command()
@connecting
def tell(node: Node, name: Name, handler: Handler, input: Input = None) -> None:
    """Give an actor a message; done when that is durable, not when it has been handled."""
    from understudy_runtime.cli import actors

    actors.tell(node, name, handler, input)


@actors.command()
@connecting
def ask(node: Node, name: Name, handler: Handler, input: Input = None, json: AsJson = False) -> None:
    """Ask an actor's handler, and print what it returns."""
    from understudy_runtime.cli import actors

    actors.ask(node, name, handler, input, json)
