"""What `understudy schedules` does: looks are taken into the store's file, changes are single turns without a node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast, get_args

import msgspec
from msgspec import Raw

from understudy.app import App
from understudy.errors import BadInput
from understudy.schedules import IfScheduleExists
from understudy.scheduling import (
    CatchUp,
    Overlap,
    RangeOverlap,
    ScheduleDescription,
    ScheduledRun,
    moment,
    timing,
)
from understudy.target import load_workflow
from understudy_runtime.cli.arguments import arguments
from understudy_runtime.cli.origins import check_origin, note_origin
from understudy_runtime.cli.output import Output, note, results_only
from understudy_runtime.cli.place import Place
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.cli.render import lines, pretty
from understudy_runtime.cli.render import moment as shown_time
from understudy_runtime.cli.stored import reading
from understudy_runtime.cli.tables import show_table, table
from understudy_runtime.node.offline import OfflineSchedules, open_offline


class Timing(msgspec.Struct, frozen=True):
    """The options of `create`, as they were typed."""

    cron: tuple[str, ...]
    every: str | None
    tz: str
    starts: str | None
    ends: str | None
    jitter: str
    catch_up: str
    overlap: str


def create(
    place: Place,
    schedule_id: str,
    target: str,
    input: str | None,
    given: Timing,
    *,
    paused: bool,
    update: bool,
    note: str,
) -> None:
    with results_only() as output, refusals():
        found = load_workflow(target)
        encoded, digest = arguments(found.workflow, input)
        spec = timing(
            cron=given.cron,
            every=given.every,
            tz=given.tz,
            starts=_time(given.starts),
            ends=_time(given.ends),
            jitter=given.jitter,
            catch_up=cast("CatchUp", given.catch_up),
            overlap=cast("Overlap", given.overlap),
        )
        spec = msgspec.structs.replace(spec, workflow=found.workflow.name, input=Raw(encoded), digest=digest)

        async def make(door: OfflineSchedules) -> ScheduleDescription:
            if_exists: IfScheduleExists = "update" if update else "error"
            await door.set_schedule(schedule_id, spec, if_exists=if_exists, paused=paused, note=note)
            return await door.describe_schedule(schedule_id)

        check_origin(place, found.app)
        note_origin(place, found.app)
        _done(output, _change(place, make, [found.app]))


def list_schedules(place: Place, limit: int, as_json: bool) -> None:
    with results_only() as output, refusals(), reading(place) as stored:
        found = stored.schedules(limit)
        if as_json:
            output.result(pretty([facts(each) for each in found]))
        elif found:
            cells = [
                (each.schedule_id, each.spec.workflow, each.status, _when(each), shown_time(each.next_at) or "")
                for each in found
            ]
            show_table(output, ("ID", "WORKFLOW", "STATUS", "WHEN", "NEXT"), cells)
        else:
            note("no schedules")


def show(place: Place, schedule_id: str, as_json: bool) -> None:
    with results_only() as output, refusals(), reading(place) as stored:
        shown = facts(stored.schedule(schedule_id))
        if as_json:
            output.result(pretty(shown))
            return
        recent = cast("Sequence[dict[str, Any]]", shown.pop("recent"))
        output.result(lines({name: value for name, value in shown.items() if value not in (None, "", [])}))
        if recent:
            cells = [(run["id"], run["why"], run["ended"] or "running") for run in recent]
            output.result("\n" + table(("RUN", "WHY", "ENDED"), cells))


def pause(place: Place, schedule_id: str, why: str) -> None:
    _mind(place, schedule_id, lambda door: door.pause_schedule(schedule_id, why))


def resume(place: Place, schedule_id: str, why: str) -> None:
    _mind(place, schedule_id, lambda door: door.resume_schedule(schedule_id, why))


def delete(place: Place, schedule_id: str) -> None:
    with results_only(), refusals():
        _change(place, lambda door: door.delete_schedule(schedule_id))
        note(f"schedule {schedule_id} is deleted")


def trigger(place: Place, schedule_id: str) -> None:
    with results_only() as output, refusals():
        output.result(_change(place, lambda door: door.trigger_schedule(schedule_id)))


def backfill(place: Place, schedule_id: str, since: str, until: str, overlap: str) -> None:
    with results_only(), refusals():
        if overlap not in get_args(RangeOverlap):
            raise BadInput(f"--overlap {overlap}: give {' or '.join(get_args(RangeOverlap))}")
        first, last = (moment(_parsed(text)) for text in (since, until))
        policy = cast("RangeOverlap", overlap)
        count = _change(place, lambda door: door.backfill_schedule(schedule_id, first, last, policy))
        note(f"{count} nominal times of schedule {schedule_id} are made up for when a node runs")


def _mind(place: Place, schedule_id: str, change: Callable[[OfflineSchedules], Awaitable[None]]) -> None:
    """Make the change, and say how the schedule stands after it."""

    async def both(door: OfflineSchedules) -> ScheduleDescription:
        await change(door)
        return await door.describe_schedule(schedule_id)

    with results_only() as output, refusals():
        _done(output, _change(place, both))


def _change(place: Place, change: Callable[[OfflineSchedules], Awaitable[Any]], apps: Sequence[App] = ()) -> Any:
    async def apply() -> Any:
        async with open_offline(place.store, namespace=place.namespace, apps=apps) as door:
            return await change(door)

    return asyncio.run(apply())


def _done(output: Output, described: ScheduleDescription) -> None:
    next_at = f", next at {shown_time(described.next_at)}" if described.next_at is not None else ""
    output.result(f"schedule {described.schedule_id} is {described.status}{next_at}")


def facts(described: ScheduleDescription) -> dict[str, Any]:
    """All there is to know of a schedule, for `--json`."""
    spec = described.spec
    return {
        "id": described.schedule_id,
        "workflow": spec.workflow,
        "status": described.status,
        "note": described.note,
        "when": _when(described),
        "tz": spec.tz,
        "starts_at": shown_time(spec.starts_at),
        "ends_at": shown_time(spec.ends_at),
        "jitter_s": spec.jitter_s,
        "catch_up": spec.catch_up,
        "overlap": spec.overlap,
        "input": spec.input,
        "created_at": shown_time(described.created_at),
        "next_at": shown_time(described.next_at),
        "next_due_at": shown_time(described.next_due_at),
        "running": [run.run_id for run in described.running],
        "buffered": described.buffered,
        "backfills": described.ranges,
        "started": described.started,
        "succeeded": described.succeeded,
        "failed": described.failed,
        "passed_over": described.passed_over,
        "missed_from": shown_time(described.missed_from),
        "missed_to": shown_time(described.missed_to),
        "recent": [_run_facts(run) for run in described.recent],
    }


def _run_facts(run: ScheduledRun) -> dict[str, Any]:
    return {"id": run.run_id, "nominal_at": shown_time(run.nominal_at), "why": run.why, "ended": run.ended}


def _when(described: ScheduleDescription) -> str:
    spec = described.spec
    return f"every {spec.every_s:g} s" if spec.every_s is not None else "; ".join(spec.cron)


def _time(text: str | None) -> datetime | None:
    return None if text is None else _parsed(text)


def _parsed(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{text!r} is no time; write it like 2026-11-23T03:00+01:00") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
