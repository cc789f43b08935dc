"""`understudy schedules`: what can be typed, each command handing over to `schedule_operations`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

schedules = typer.Typer(help="Make the schedules of a store, look at them and mind them.", no_args_is_help=True)

ScheduleId = Annotated[str, typer.Argument(metavar="ID", help="The id of the schedule.")]
StoreUrl = Annotated[
    str,
    typer.Option("--store", metavar="URL", envvar="UNDERSTUDY_STORE", help="A file, or sqlite:///path/to/file."),
]
Namespace = Annotated[str, typer.Option("--namespace", help="The namespace of the schedules.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Note = Annotated[str, typer.Option("--note", help="Why; shown with the schedule.")]
TIME: Final = "A time such as 2026-11-23T03:00+01:00; without an offset it is UTC."

DEFAULT_STORE: Final = ".understudy/state.db"
DEFAULT_NAMESPACE: Final = "default"


@schedules.command()
def create(
    id: ScheduleId,
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="The workflow: path/to/file.py:name or package.module:name.")
    ],
    cron: Annotated[
        list[str] | None, typer.Option("--cron", metavar="EXPRESSION", help='Such as "0 3 * * *"; may be repeated.')
    ] = None,
    every: Annotated[str | None, typer.Option("--every", metavar="DURATION", help="An interval, such as 90s.")] = None,
    tz: Annotated[str, typer.Option("--tz", metavar="ZONE", help="Of --cron, such as Europe/Berlin.")] = "UTC",
    input: Annotated[
        str | None, typer.Option("--input", metavar="JSON|@FILE", help="Arguments of each run, as for `run`.")
    ] = None,
    starts: Annotated[str | None, typer.Option("--starts", metavar="TIME", help=f"Not before. {TIME}")] = None,
    ends: Annotated[str | None, typer.Option("--ends", metavar="TIME", help=f"Not after. {TIME}")] = None,
    jitter: Annotated[str, typer.Option("--jitter", metavar="DURATION", help="Start up to so much later.")] = "0s",
    catch_up: Annotated[
        str, typer.Option("--catch-up", help="What passed while no node ran: skip, one or all.")
    ] = "one",
    overlap: Annotated[
        str,
        typer.Option(
            "--overlap", help="While a run has not ended: skip, buffer_one, buffer, allow, cancel or terminate."
        ),
    ] = "skip",
    paused: Annotated[bool, typer.Option("--paused", help="Start nothing until `schedules resume`.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Change the schedule if there is one.")] = False,
    note: Note = "",
    store: StoreUrl = DEFAULT_STORE,
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Make a schedule; the next node of this store keeps it."""
    from understudy_runtime.cli import schedule_operations as operations
    from understudy_runtime.cli.place import Place

    timing = operations.Timing(tuple(cron or ()), every, tz, starts, ends, jitter, catch_up, overlap)
    operations.create(Place(store, namespace), id, target, input, timing, paused=paused, update=update, note=note)


@schedules.command("list")
def list_schedules(
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")] = 100,
    store: StoreUrl = DEFAULT_STORE,
    namespace: Namespace = DEFAULT_NAMESPACE,
    json: AsJson = False,
) -> None:
    """The schedules of a store, newest first."""
    from understudy_runtime.cli import schedule_operations as operations
    from understudy_runtime.cli.place import Place

    operations.list_schedules(Place(store, namespace), limit, json)


@schedules.command()
def show(
    id: ScheduleId, store: StoreUrl = DEFAULT_STORE, namespace: Namespace = DEFAULT_NAMESPACE, json: AsJson = False
) -> None:
    """How one schedule stands, and its last runs."""
    from understudy_runtime.cli import schedule_operations as operations
    from understudy_runtime.cli.place import Place

    operations.show(Place(store, namespace), id, json)


@schedules.command()
def pause(
    id: ScheduleId, note: Note = "", store: StoreUrl = DEFAULT_STORE, namespace: Namespace = DEFAULT_NAMESPACE
) -> None:
    """Start nothing by itself until it is resumed; what was buffered, and backfills under way, are given up."""
    from understudy_runtime.cli import schedule_operations as operations
    from understudy_runtime.cli.place import Place

    operations.pause(Place(store, namespace), id, note)


@schedules.command()
def resume(
    id: ScheduleId, note: Note = "", store: StoreUrl = DEFAULT_STORE, namespace: Namespace = DEFAULT_NAMESPACE
) -> None:
    """Go on with the next nominal time; `backfill` makes up for those that passed."""
    from understudy_runtime.cli import schedule_operations as operations
    from understudy_runtime.cli.place import Place

    operations.resume(Place(store, namespace), id, note)


@schedules.command()
def trigger(id: ScheduleId, store: StoreUrl = DEFAULT_STORE, namespace: Namespace = DEFAULT_NAMESPACE) -> None:
    """Start a run out of turn, when the next node runs; prints its id."""
    from understudy_runtime.cli import schedule_operations as operations
    from understudy_runtime.cli.place import Place

    operations.trigger(Place(store, namespace), id)


@schedules.command()
def backfill(
    id: ScheduleId,
    since: Annotated[str, typer.Option("--from", metavar="TIME", help=TIME)],
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="This one included.")],
    overlap: Annotated[
        str, typer.Option("--overlap", help="buffer: one after the other; allow: side by side.")
    ] = "buffer",
    store: StoreUrl = DEFAULT_STORE,
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Start a run for each nominal time of a range that has none yet, when the next node runs."""
    from understudy_runtime.cli import schedule_operations as operations
    from understudy_runtime.cli.place import Place

    operations.backfill(Place(store, namespace), id, since, until, overlap)


@schedules.command()
def delete(id: ScheduleId, store: StoreUrl = DEFAULT_STORE, namespace: Namespace = DEFAULT_NAMESPACE) -> None:
    """Start no more runs; those under way go on."""
    from understudy_runtime.cli import schedule_operations as operations
    from understudy_runtime.cli.place import Place

    operations.delete(Place(store, namespace), id)
