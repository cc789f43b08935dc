"""`understudy resources` and `understudy locks`: what can be typed; `resource_operations` does it.

Looks are taken into a store's file or at a node; changes are for a running node (`--connect`), which has the driver.
"""

from __future__ import annotations

from typing import Annotated

import typer

from understudy_runtime.cli.options import AsJson, At, placed

resources = typer.Typer(
    help="Look at resources and mind them: who holds them, who ended them, and why.", no_args_is_help=True
)
locks = typer.Typer(help="Look at locks and semaphores.", no_args_is_help=True)

Resource = Annotated[
    str, typer.Argument(metavar="RESOURCE", help="TYPE/ID, lock/NAME or semaphore/NAME, as `resources list` shows it.")
]
Note = Annotated[str, typer.Option("--note", help="Why; kept in the history.")]
By = Annotated[str, typer.Option("--by", help="Who asks, for the history. Default: who is logged in.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1_000, help="At most so many.")]


@resources.command("list")
@placed
def list_resources(
    at: At,
    type: Annotated[str, typer.Option("--type", help="Only of this type.")] = "",
    limit: Limit = 100,
    json: AsJson = False,
) -> None:
    """The resources, newest first; locks and semaphores are in `locks list`."""
    from understudy_runtime.cli import resource_operations as operations

    operations.list_resources(at, type, limit, json)


@resources.command()
@placed
def show(at: At, resource: Resource, json: AsJson = False) -> None:
    """How one stands: its state and why, who holds it, who waits, and what is asked of the outside."""
    from understudy_runtime.cli import resource_operations as operations

    operations.show(at, resource, json)


@resources.command()
@placed
def history(
    at: At,
    resource: Resource,
    leases: Annotated[bool, typer.Option("--leases", help="Every lease, too.")] = False,
    json: AsJson = False,
) -> None:
    """What has happened to it: each change of its state with when, which fence, who, on which node, and why.

    WHO asked for it (an operator), or it was done for (a run); else who last got a lease of it.
    """
    from understudy_runtime.cli import resource_operations as operations

    operations.history(at, resource, leases, json)


@resources.command()
@placed
def drain(at: At, resource: Resource, note: Note = "", by: By = "") -> None:
    """Grant no more leases, wait for those there are, and then end it."""
    from understudy_runtime.cli import resource_operations as operations

    operations.drain(at, resource, by, note)


@resources.command()
@placed
def resume(at: At, resource: Resource, note: Note = "", by: By = "") -> None:
    """Take a drain back; look again at one that has failed or is uncertain."""
    from understudy_runtime.cli import resource_operations as operations

    operations.resume(at, resource, by, note)


@resources.command()
@placed
def destroy(
    at: At,
    resource: Resource,
    force: Annotated[bool, typer.Option("--force", help="Even with leases on it; their holders lose them.")] = False,
    note: Note = "",
    by: By = "",
) -> None:
    """End it now."""
    from understudy_runtime.cli import resource_operations as operations

    operations.destroy(at, resource, force, by, note)


@resources.command("set-capacity")
@placed
def set_capacity(
    at: At,
    resource: Resource,
    units: Annotated[str, typer.Argument(metavar="UNITS", help='A number, or "code": as the code says.')],
    note: Note = "",
    by: By = "",
) -> None:
    """Give it another number of units."""
    from understudy_runtime.cli import resource_operations as operations

    operations.set_capacity(at, resource, units, by, note)


@resources.command()
@placed
def settle(
    at: At,
    resource: Resource,
    outcome: Annotated[
        str, typer.Argument(metavar="OUTCOME", help="created, not_created, destroyed or not_destroyed.")
    ],
    handle: Annotated[str | None, typer.Option("--handle", help="JSON: of what was created.")] = None,
    note: Note = "",
    by: By = "",
) -> None:
    """Say what became of a create or destroy whose outcome nobody knows."""
    from understudy_runtime.cli import resource_operations as operations

    operations.settle(at, resource, outcome, handle, by, note)


@locks.command("list")
@placed
def list_locks(at: At, limit: Limit = 100, json: AsJson = False) -> None:
    """Locks and semaphores, with who holds them."""
    from understudy_runtime.cli import resource_operations as operations

    operations.list_locks(at, limit, json)
