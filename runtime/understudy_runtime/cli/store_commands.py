"""`understudy store`: what can be typed."""

from __future__ import annotations

from typing import Annotated

import typer

from understudy_runtime.cli.options import DEFAULT_STORE, AsJson, StoreUrl

store = typer.Typer(help="Look after a store: backups, and runs that ended long ago.", no_args_is_help=True)


@store.command("backup")
def back_up(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to make; it must not be there yet.")],
    store: StoreUrl = DEFAULT_STORE,
    json: AsJson = False,
) -> None:
    """Copy the store's file as it is at this moment, while a node writes it or not.

    A database is backed up by its own tools (pg_dump, or its log for a moment in time), and adopted once restored.
    """
    from understudy_runtime.cli.store import back_up

    back_up(store, file, json)


@store.command("restore")
def restore(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The backup.")],
    into: Annotated[str, typer.Option("--into", metavar="URL", help="The store's file to make; not there yet.")],
    json: AsJson = False,
) -> None:
    """Make a store of a backup. Terms and fences begin above all that were ever given."""
    from understudy_runtime.cli.store import restore

    restore(file, into, json)


@store.command("adopt")
def adopt(store: StoreUrl = DEFAULT_STORE, json: AsJson = False) -> None:
    """Take over a store that was restored by other means, before any node opens it.

    No node of before can write to it afterwards, and terms and fences begin above all that were ever given.
    """
    from understudy_runtime.cli.store import adopt

    adopt(store, json)


@store.command("prune")
def prune(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="DURATION", help="How long ago they closed at least, as in 30d.")
    ],
    store: StoreUrl = DEFAULT_STORE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")] = False,
    json: AsJson = False,
) -> None:
    """Delete runs that closed long ago, of a store that no node has open. A node does it itself with --retention."""
    from understudy_runtime.cli.store import prune

    prune(store, older_than, dry_run, json)
