"""`understudy runs`: what can be typed.

Commands that look, and those that help a run, work on a store's file or at a node (`--connect`); those that need
somebody to run the run go to a node only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from understudy_runtime.cli.options import (
    DEFAULT_NAMESPACE,
    DEFAULT_STORE,
    AsJson,
    At,
    Input,
    Node,
    connecting,
    placed,
)

if TYPE_CHECKING:
    from understudy_runtime.cli.operate import Operation

runs = typer.Typer(
    help="Look at the runs of a store or of a node, start and follow them, and help those that ended badly.",
    no_args_is_help=True,
)

RunId = Annotated[str, typer.Argument(metavar="ID", help="The id of the run.")]
Handler = Annotated[str, typer.Argument(metavar="HANDLER", help="The name of the handler.")]
Reason = Annotated[str, typer.Option("--reason", help="Noted in the run's history.")]
Wait = Annotated[bool, typer.Option("--wait", help="At a node, too, follow the run to its end.")]
CodeOf = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="TARGET",
        help="Where the workflow's code is; by default where it was last run from. Nodes have their own.",
    ),
]


@runs.command()
@connecting
def start(
    node: Node,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The workflow, as `definitions list` shows it.")],
    input: Input = None,
    id: Annotated[str | None, typer.Option("--id", help="The run's id.")] = None,
    if_exists: Annotated[
        str,
        typer.Option(
            "--if-exists",
            metavar="WHAT",
            help="What to do if a run has that id: take it if it was started with the same (return), refuse (error), "
            "or take whatever it is (join).",
        ),
    ] = "return",
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end, and print its result.")] = False,
    json: AsJson = False,
) -> None:
    """Start a run at a node; prints its id."""
    from understudy_runtime.cli import control

    control.start(node, name, input, id, if_exists, wait, json)


@runs.command("list")
@placed
def list_runs(
    at: At,
    status: Annotated[str, typer.Option("--status", help="Only runs that stand so, such as failed.")] = "",
    workflow: Annotated[str, typer.Option("--workflow", help="Only runs of this workflow.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")] = 100,
    json: AsJson = False,
) -> None:
    """The runs, newest first."""
    from understudy_runtime.cli.runs import list_runs

    list_runs(at, status, workflow, limit, json)


@runs.command("show")
@placed
def show_run(at: At, id: RunId, json: AsJson = False) -> None:
    """How one run stands, or how it ended."""
    from understudy_runtime.cli.runs import show_run

    show_run(at, id, json)


@runs.command("history")
@placed
def show_history(at: At, id: RunId, json: AsJson = False) -> None:
    """Everything that happened to one run, in order."""
    from understudy_runtime.cli.runs import show_history

    show_history(at, id, json)


@runs.command()
@connecting
def wait(node: Node, id: RunId, json: AsJson = False) -> None:
    """Wait until a run has ended or is held, and print its result."""
    from understudy_runtime.cli import control

    control.wait(node, id, json)


@runs.command()
@connecting
def watch(
    node: Node, id: RunId, json: Annotated[bool, typer.Option("--json", help="A JSON object on each change.")] = False
) -> None:
    """Show what becomes of a run, live, until it has ended or is held."""
    from understudy_runtime.cli import control

    control.watch(node, id, json)


@runs.command()
@connecting
def tell(node: Node, id: RunId, handler: Handler, input: Input = None) -> None:
    """Give a run a message; done when that is durable, not when it has been handled."""
    from understudy_runtime.cli import control

    control.tell(node, id, handler, input)


@runs.command()
@connecting
def ask(node: Node, id: RunId, handler: Handler, input: Input = None, json: AsJson = False) -> None:
    """Ask a run's handler, and print what it returns."""
    from understudy_runtime.cli import control

    control.ask(node, id, handler, input, json)


@runs.command()
@placed
def retry(
    at: At,
    id: RunId,
    input: Input = None,
    redo: Annotated[list[str] | None, typer.Option("--redo", metavar="TASK", help="Do this task again.")] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="TASK", help="Reuse this task's results whatever its arguments."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be reused and what redone.")] = False,
    wait: Wait = False,
    target: CodeOf = None,
    json: AsJson = False,
) -> None:
    """Start the next execution of a run that ended; finished tasks are reused where nothing changed for them."""
    if at.node is not None:
        from understudy_runtime.cli import control

        control.retry(at.node, id, input, redo or [], keep or [], dry_run, wait, json)
        return
    from understudy_runtime.cli.operate import retry_run

    retry_run(_operation(at, id, target, json), input, redo or [], keep or [], dry_run)


@runs.command()
@placed
def release(at: At, id: RunId, wait: Wait = False, target: CodeOf = None, json: AsJson = False) -> None:
    """Let a held run go on, once what held it has been dealt with."""
    if at.node is not None:
        from understudy_runtime.cli import control

        control.move(at.node, id, lambda door: door.release(id), wait, json)
        return
    from understudy_runtime.cli.operate import release_run

    release_run(_operation(at, id, target, json))


@runs.command()
@placed
def cancel(
    at: At, id: RunId, reason: Reason = "", wait: Wait = False, target: CodeOf = None, json: AsJson = False
) -> None:
    """Cancel a run; it may clean up. Without a node this waits until that has ended."""
    if at.node is not None:
        from understudy_runtime.cli import control

        control.move(at.node, id, lambda door: door.cancel(id, reason), wait, json)
        return
    from understudy_runtime.cli.operate import cancel_run

    cancel_run(_operation(at, id, target, json), reason)


@runs.command()
@placed
def terminate(
    at: At, id: RunId, reason: Reason = "", wait: Wait = False, target: CodeOf = None, json: AsJson = False
) -> None:
    """End a run at once, without clean-up."""
    if at.node is not None:
        from understudy_runtime.cli import control

        control.move(at.node, id, lambda door: door.terminate(id, reason), wait, json)
        return
    from understudy_runtime.cli.operate import terminate_run

    terminate_run(_operation(at, id, target, json), reason)


def _operation(at: At, id: str, target: str | None, json: bool) -> Operation:
    from understudy_runtime.cli.operate import Operation
    from understudy_runtime.cli.place import Place

    return Operation(id, target, Place(at.store, at.namespace), json, repeated(at.store, at.namespace, json))


def repeated(store: str, namespace: str, json: bool) -> tuple[str, ...]:
    """The options that the command to go on with must have as well."""
    options: tuple[str, ...] = ("--store", store) if store != DEFAULT_STORE else ()
    options += ("--namespace", namespace) if namespace != DEFAULT_NAMESPACE else ()
    return (*options, "--json") if json else options
