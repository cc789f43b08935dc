"""`understudy schedules`: what can be typed, each command handing over to `schedule_operations`.

All work on a store's file, which no node must have open for changes, or at a node (`--connect`).
"""

from __future__ import annotations

from typing import Annotated, Final

import typer

from understudy_runtime.cli.options import AsJson, At, Input, placed

schedules = typer.Typer(
    help="Make the schedules of a store or of a node, look at them and mind them.", no_args_is_help=True
)

ScheduleId = Annotated[str, typer.Argument(metavar="ID", help="The id of the schedule.")]
Note = Annotated[str, typer.Option("--note", help="Why; shown with the schedule.")]
TIME: Final = "A time such as 2026-11-23T03:00+01:00; without an offset it is UTC."


@schedules.command()
@placed
def create(
    at: At,
    id: ScheduleId,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="The workflow: path/to/file.py:name or package.module:name; at a node its name, as "
            "`definitions list` shows it.",
        ),
    ],
    cron: Annotated[
        list[str] | None, typer.Option("--cron", metavar="EXPRESSION", help='Such as "0 3 * * *"; may be repeated.')
    ] = None,
    every: Annotated[str | None, typer.Option("--every", metavar="DURATION", help="An interval, such as 90s.")] = None,
    tz: Annotated[str, typer.Option("--tz", metavar="ZONE", help="Of --cron, such as Europe/Berlin.")] = "UTC",
    input: Input = None,
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
) -> None:
    """Make a schedule; in a store, the next node keeps it."""
    from understudy_runtime.cli import schedule_operations as operations

    timing = operations.Timing(tuple(cron or ()), every, tz, starts, ends, jitter, catch_up, overlap)
    operations.create(at, id, target, input, timing, paused=paused, update=update, note=note)


@schedules.command("list")
@placed
def list_schedules(
    at: At,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")] = 100,
    json: AsJson = False,
) -> None:
    """The schedules, newest first."""
    from understudy_runtime.cli import schedule_operations as operations

    operations.list_schedules(at, limit, json)


@schedules.command()
@placed
def show(at: At, id: ScheduleId, json: AsJson = False) -> None:
    """How one schedule stands, and its last runs."""
    from understudy_runtime.cli import schedule_operations as operations

    operations.show(at, id, json)


@schedules.command()
@placed
def pause(at: At, id: ScheduleId, note: Note = "") -> None:
    """Start nothing by itself until it is resumed; what was buffered, and backfills under way, are given up."""
    from understudy_runtime.cli import schedule_operations as operations

    operations.pause(at, id, note)


@schedules.command()
@placed
def resume(at: At, id: ScheduleId, note: Note = "") -> None:
    """Go on with the next nominal time; `backfill` makes up for those that passed."""
    from understudy_runtime.cli import schedule_operations as operations

    operations.resume(at, id, note)


@schedules.command()
@placed
def trigger(at: At, id: ScheduleId) -> None:
    """Start a run out of turn (of a store, when the next node runs); prints its id."""
    from understudy_runtime.cli import schedule_operations as operations

    operations.trigger(at, id)


@schedules.command()
@placed
def backfill(
    at: At,
    id: ScheduleId,
    since: Annotated[str, typer.Option("--from", metavar="TIME", help=TIME)],
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="This one included.")],
    overlap: Annotated[
        str, typer.Option("--overlap", help="buffer: one after the other; allow: side by side.")
    ] = "buffer",
) -> None:
    """Start a run for each nominal time of a range that has none yet (of a store, when the next node runs)."""
    from understudy_runtime.cli import schedule_operations as operations

    operations.backfill(at, id, since, until, overlap)


@schedules.command()
@placed
def delete(at: At, id: ScheduleId) -> None:
    """Start no more runs; those under way go on."""
    from understudy_runtime.cli import schedule_operations as operations

    operations.delete(at, id)
