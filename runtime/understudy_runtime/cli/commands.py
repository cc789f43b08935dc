"""What can be typed: commands, arguments and options, each handing over to the module that does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from understudy_runtime.cli.dev import dev
from understudy_runtime.cli.node import node, tokens
from understudy_runtime.cli.schedules import schedules
from understudy_runtime.cli.worker import worker

if TYPE_CHECKING:
    from understudy_runtime.cli.operate import Operation

DEFAULT_STORE: Final = ".understudy/state.db"
DEFAULT_NAMESPACE: Final = "default"

app = typer.Typer(
    help="Durable workflows and actors in plain Python.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
runs = typer.Typer(help="Look at the runs of a store, and help those that ended badly.", no_args_is_help=True)
app.add_typer(runs, name="runs")
app.command("node")(node)
app.command("dev")(dev)
app.command("worker")(worker)
app.add_typer(tokens, name="tokens")
app.add_typer(schedules, name="schedules")

Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="The workflow: path/to/file.py:name or package.module:name.")
]
RunId = Annotated[str, typer.Argument(metavar="ID", help="The id of the run.")]
Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="JSON|@FILE",
        help="Arguments as JSON: an object names them, an array lists them, anything else is the only one. "
        "@FILE reads a file, @- standard input.",
    ),
]
StoreUrl = Annotated[
    str,
    typer.Option("--store", metavar="URL", envvar="UNDERSTUDY_STORE", help="A file, or sqlite:///path/to/file."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Namespace = Annotated[str, typer.Option("--namespace", help="The namespace of the runs.")]
CodeOf = Annotated[
    str | None,
    typer.Option(
        "--target", metavar="TARGET", help="Where the workflow's code is; by default where it was last run from."
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="Noted in the run's history.")]


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

    Without --id the newest open run of the same workflow and input is resumed, if there is one.
    """
    from understudy_runtime.cli.place import Place
    from understudy_runtime.cli.run import run_workflow

    run_workflow(target, input, id, Place(store, namespace), json, _repeated(store, namespace, json), adopt=adopt)


@runs.command("list")
def list_runs(
    status: Annotated[str, typer.Option("--status", help="Only runs that stand so, such as failed.")] = "",
    workflow: Annotated[str, typer.Option("--workflow", help="Only runs of this workflow.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")] = 100,
    store: StoreUrl = DEFAULT_STORE,
    namespace: Namespace = DEFAULT_NAMESPACE,
    json: AsJson = False,
) -> None:
    """The runs of a store, newest first."""
    from understudy_runtime.cli.place import Place
    from understudy_runtime.cli.runs import list_runs

    list_runs(Place(store, namespace), status, workflow, limit, json)


@runs.command("show")
def show_run(
    id: RunId, store: StoreUrl = DEFAULT_STORE, namespace: Namespace = DEFAULT_NAMESPACE, json: AsJson = False
) -> None:
    """How one run stands, or how it ended."""
    from understudy_runtime.cli.place import Place
    from understudy_runtime.cli.runs import show_run

    show_run(Place(store, namespace), id, json)


@runs.command("history")
def show_history(
    id: RunId, store: StoreUrl = DEFAULT_STORE, namespace: Namespace = DEFAULT_NAMESPACE, json: AsJson = False
) -> None:
    """Everything that happened to one run, in order."""
    from understudy_runtime.cli.place import Place
    from understudy_runtime.cli.runs import show_history

    show_history(Place(store, namespace), id, json)


@runs.command()
def retry(
    id: RunId,
    input: Input = None,
    redo: Annotated[list[str] | None, typer.Option("--redo", metavar="TASK", help="Do this task again.")] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="TASK", help="Reuse this task's results whatever its arguments."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be reused and what redone.")] = False,
    target: CodeOf = None,
    store: StoreUrl = DEFAULT_STORE,
    namespace: Namespace = DEFAULT_NAMESPACE,
    json: AsJson = False,
) -> None:
    """Start the next execution of a run that ended; finished tasks are reused where nothing changed for them."""
    from understudy_runtime.cli.operate import retry_run

    retry_run(_operation(id, target, store, namespace, json), input, redo or [], keep or [], dry_run)


@runs.command()
def release(
    id: RunId,
    target: CodeOf = None,
    store: StoreUrl = DEFAULT_STORE,
    namespace: Namespace = DEFAULT_NAMESPACE,
    json: AsJson = False,
) -> None:
    """Let a held run go on, once what held it has been dealt with."""
    from understudy_runtime.cli.operate import release_run

    release_run(_operation(id, target, store, namespace, json))


@runs.command()
def cancel(
    id: RunId,
    reason: Reason = "",
    target: CodeOf = None,
    store: StoreUrl = DEFAULT_STORE,
    namespace: Namespace = DEFAULT_NAMESPACE,
    json: AsJson = False,
) -> None:
    """Cancel a run and wait until its clean-up has ended."""
    from understudy_runtime.cli.operate import cancel_run

    cancel_run(_operation(id, target, store, namespace, json), reason)


@runs.command()
def terminate(
    id: RunId,
    reason: Reason = "",
    target: CodeOf = None,
    store: StoreUrl = DEFAULT_STORE,
    namespace: Namespace = DEFAULT_NAMESPACE,
    json: AsJson = False,
) -> None:
    """End a run at once, without clean-up."""
    from understudy_runtime.cli.operate import terminate_run

    terminate_run(_operation(id, target, store, namespace, json), reason)


def _operation(id: str, target: str | None, store: str, namespace: str, json: bool) -> Operation:
    from understudy_runtime.cli.operate import Operation
    from understudy_runtime.cli.place import Place

    return Operation(id, target, Place(store, namespace), json, _repeated(store, namespace, json))


def _repeated(store: str, namespace: str, json: bool) -> tuple[str, ...]:
    """The options that the command to go on with must have as well."""
    options: tuple[str, ...] = ("--store", store) if store != DEFAULT_STORE else ()
    options += ("--namespace", namespace) if namespace != DEFAULT_NAMESPACE else ()
    return (*options, "--json") if json else options
