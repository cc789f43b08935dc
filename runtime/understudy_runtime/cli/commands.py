"""The command and its groups; each command hands over to the module that does it."""

from __future__ import annotations

from typing import Annotated

import typer

from understudy_runtime.cli.actor_commands import actors
from understudy_runtime.cli.cluster_commands import definitions, nodes, shards
from understudy_runtime.cli.dev import dev
from understudy_runtime.cli.job_commands import jobs
from understudy_runtime.cli.node import node, tokens
from understudy_runtime.cli.options import DEFAULT_NAMESPACE, DEFAULT_STORE, AsJson, Input, Namespace, StoreUrl
from understudy_runtime.cli.resource_commands import locks, resources
from understudy_runtime.cli.run_commands import repeated, runs
from understudy_runtime.cli.schedules import schedules
from understudy_runtime.cli.store_commands import store as store_group
from understudy_runtime.cli.worker import worker

app = typer.Typer(
    help="Durable workflows and actors in plain Python.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(runs, name="runs")
app.add_typer(actors, name="actors")
app.command("node")(node)
app.command("dev")(dev)
app.command("worker")(worker)
app.add_typer(nodes, name="nodes")
app.add_typer(shards, name="shards")
app.add_typer(definitions, name="definitions")
app.add_typer(tokens, name="tokens")
app.add_typer(schedules, name="schedules")
app.add_typer(jobs, name="jobs")
app.add_typer(resources, name="resources")
app.add_typer(locks, name="locks")
app.add_typer(store_group, name="store")

Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="The workflow: path/to/file.py:name or package.module:name.")
]


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"understudy {version('understudy')}")
        raise typer.Exit


@app.callback()
def understudy(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Durable workflows and actors in plain Python."""
    from understudy_runtime.cli.output import note
    from understudy_runtime.cli.refusals import refusals
    from understudy_runtime.pythons import check

    with refusals():
        check(lambda words: note(f"understudy: {words}"))


@app.command()
def run(
    target: Target,
    input: Input = None,
    id: Annotated[
        str | None,
        typer.Option("--id", help="Resume the run of this id, or start it; shows the result of a finished one."),
    ] = None,
    store: StoreUrl = DEFAULT_STORE,
    namespace: Namespace = DEFAULT_NAMESPACE,
    json: AsJson = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Go on even with runs that code in another file began: it is here now.")
    ] = False,
) -> None:
    """Run one workflow to its end, here and now.

    Without --id the newest open run of the same workflow and input is resumed, if there is one. Schedules rest:
    what they are to start meanwhile is started by the next node, as their catch-up policy says.
    """
    from understudy_runtime.cli.place import Place
    from understudy_runtime.cli.run import run_workflow

    run_workflow(target, input, id, Place(store, namespace), json, repeated(store, namespace, json), adopt=adopt)
