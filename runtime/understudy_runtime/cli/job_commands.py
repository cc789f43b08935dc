"""`understudy jobs`: what can be typed; `job_operations` does it.

Looks are taken into a store's file or at a node; what is said of jobs is for a running node (`--connect`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from understudy_runtime.cli.options import AsJson, At, Node, connecting, placed

jobs = typer.Typer(
    help="Look at jobs in outside systems, complete them, and settle those that nobody knows the fate of.",
    no_args_is_help=True,
)

Owner = Annotated[
    str, typer.Argument(metavar="OWNER", help="Whose: a run's id, or actor.CLASS/ID, as `jobs list` shows it.")
]
Call = Annotated[int, typer.Argument(metavar="CALL", min=1, help="Which of its calls, as `jobs list` shows it.")]
Token = Annotated[str, typer.Argument(metavar="TOKEN", help="The completion token, as `jobs show` shows it.")]


@jobs.command("list")
@placed
def list_jobs(
    at: At,
    run: Annotated[str, typer.Option("--run", metavar="ID", help="Only of this run.")] = "",
    actor: Annotated[str, typer.Option("--actor", metavar="CLASS/ID", help="Only of this actor.")] = "",
    status: Annotated[
        str,
        typer.Option("--status", help="Only those that stand so: submitting, finding, open, uncertain or stopping."),
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")] = 100,
    json: AsJson = False,
) -> None:
    """The jobs that outside systems have, or may have: those of the newest runs first, then those of actors."""
    from understudy_runtime.cli import job_operations as operations

    operations.list_jobs(at, run, actor, status, limit, json)


@jobs.command()
@placed
def show(at: At, owner: Owner, call: Call, json: AsJson = False) -> None:
    """How one job stands, and the token it can be completed by."""
    from understudy_runtime.cli import job_operations as operations

    operations.show(at, owner, call, json)


@jobs.command()
@connecting
def complete(
    node: Node,
    token: Token,
    result: Annotated[
        str, typer.Option("--result", metavar="JSON|@FILE", help="What the call returns. Default: null.")
    ] = "null",
) -> None:
    """Say that a job has ended well."""
    from understudy_runtime.cli import job_operations as operations

    operations.complete(node, token, result)


@jobs.command()
@connecting
def fail(
    node: Node,
    token: Token,
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="What went wrong.")],
    type: Annotated[str, typer.Option("--type", help="The name of the error's class.")] = "RuntimeError",
) -> None:
    """Say that a job has failed. It is tried again if its policy says so."""
    from understudy_runtime.cli import job_operations as operations

    operations.fail(node, token, message, type)


@jobs.command()
@connecting
def settle(
    node: Node,
    owner: Owner,
    call: Call,
    handle: Annotated[
        str | None, typer.Option("--handle", metavar="JSON|@FILE", help="It exists: the outside system's name for it.")
    ] = None,
    absent: Annotated[bool, typer.Option("--absent", help="It does not exist.")] = False,
) -> None:
    """Say of a job that is uncertain what you found in the outside system: --handle or --absent."""
    from understudy_runtime.cli import job_operations as operations

    operations.settle(node, owner, call, handle, absent=absent)
