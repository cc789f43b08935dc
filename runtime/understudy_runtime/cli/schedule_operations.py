"""What `understudy schedules` does, at a node or in a store's file.

Looks are taken into the file, whether a node writes it or not; changes are single turns without a node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast, get_args

import msgspec
from msgspec import Raw

from understudy.errors import BadInput
from understudy.schedules import IfScheduleExists, ScheduleDoor
from understudy.scheduling import (
    CatchUp,
    Overlap,
    RangeOverlap,
    ScheduleDescription,
    ScheduledRun,
    ScheduleSpec,
    moment,
    timing,
)
from understudy.target import load_workflow
from understudy_runtime.cli.arguments import arguments
from understudy_runtime.cli.options import At, Node
from understudy_runtime.cli.origins import check_origin, note_origin
from understudy_runtime.cli.output import Output, note, results_only
from understudy_runtime.cli.place import Place
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.cli.render import lines, pretty
from understudy_runtime.cli.render import moment as shown_time
from understudy_runtime.cli.stored import reading
from understudy_runtime.cli.tables import show_table, table
from understudy_runtime.node.offline import open_offline


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


Change = Callable[[ScheduleDoor], Awaitable[Any]]


def create(
    at: At,
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
        if_exists: IfScheduleExists = "update" if update else "error"
        options = {"if_exists": if_exists, "paused": paused, "note": note}
        if at.node is None:
            _done(output, _made_offline(_place(at), schedule_id, target, input, spec, **options))
        else:
            _done(output, asyncio.run(_made_at(at.node, schedule_id, target, input, spec, **options)))


def _made_offline(
    place: Place, schedule_id: str, target: str, input: str | None, spec: ScheduleSpec, **options: Any
) -> ScheduleDescription:
    found = load_workflow(target)
    encoded, digest = arguments(found.workflow, input)
    check_origin(place, found.app)
    note_origin(place, found.app)
    spec = msgspec.structs.replace(spec, workflow=found.workflow.name, input=Raw(encoded), digest=digest)

    async def make() -> ScheduleDescription:
        async with open_offline(place.store, namespace=place.namespace, apps=[found.app]) as door:
            await door.set_schedule(schedule_id, spec, **options)
            return await door.describe_schedule(schedule_id)

    return asyncio.run(make())


async def _made_at(
    node: Node, schedule_id: str, workflow: str, input: str | None, spec: ScheduleSpec, **options: Any
) -> ScheduleDescription:
    """None of the workflow's code is at hand: the node has the signature, and refuses input that does not fit it."""
    from understudy_runtime.cli.connected import connected
    from understudy_runtime.cli.control import as_written

    written = as_written(input)
    spec = msgspec.structs.replace(spec, workflow=workflow)
    async with connected(node) as door:
        await door.set_schedule(schedule_id, spec, as_written=written, **options)
        return await door.describe_schedule(schedule_id)


def list_schedules(at: At, limit: int, as_json: bool) -> None:
    with results_only() as output, refusals():
        if at.node is None:
            with reading(_place(at)) as stored:
                found = stored.schedules(limit)
        else:
            found = _change(at, lambda door: door.list_schedules(limit=limit))
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


def show(at: At, schedule_id: str, as_json: bool) -> None:
    with results_only() as output, refusals():
        if at.node is None:
            with reading(_place(at)) as stored:
                shown = facts(stored.schedule(schedule_id))
        else:
            shown = facts(_change(at, lambda door: door.describe_schedule(schedule_id)))
        if as_json:
            output.result(pretty(shown))
            return
        recent = cast("Sequence[dict[str, Any]]", shown.pop("recent"))
        output.result(lines({name: value for name, value in shown.items() if value not in (None, "", [])}))
        if recent:
            cells = [(run["id"], run["why"], run["ended"] or "running") for run in recent]
            output.result("\n" + table(("RUN", "WHY", "ENDED"), cells))


def pause(at: At, schedule_id: str, why: str) -> None:
    _mind(at, schedule_id, lambda door: door.pause_schedule(schedule_id, why))


def resume(at: At, schedule_id: str, why: str) -> None:
    _mind(at, schedule_id, lambda door: door.resume_schedule(schedule_id, why))


def delete(at: At, schedule_id: str) -> None:
    with results_only(), refusals():
        _change(at, lambda door: door.delete_schedule(schedule_id))
        note(f"schedule {schedule_id} is deleted")


def trigger(at: At, schedule_id: str) -> None:
    with results_only() as output, refusals():
        output.result(_change(at, lambda door: door.trigger_schedule(schedule_id)))


def backfill(at: At, schedule_id: str, since: str, until: str, overlap: str) -> None:
    with results_only(), refusals():
        if overlap not in get_args(RangeOverlap):
            raise BadInput(f"--overlap {overlap}: give {' or '.join(get_args(RangeOverlap))}")
        first, last = (moment(_parsed(text)) for text in (since, until))
        policy = cast("RangeOverlap", overlap)
        count = _change(at, lambda door: door.backfill_schedule(schedule_id, first, last, policy))
        when = " when a node runs" if at.node is None else ""
        note(f"{count} nominal times of schedule {schedule_id} are made up for{when}")


def _mind(at: At, schedule_id: str, change: Change) -> None:
    """Make the change, and say how the schedule stands after it."""

    async def both(door: ScheduleDoor) -> ScheduleDescription:
        await change(door)
        return await door.describe_schedule(schedule_id)

    with results_only() as output, refusals():
        _done(output, _change(at, both))


def _change(at: At, change: Change) -> Any:
    """What comes of it at the node, or in the store, which no other process must have open."""

    async def apply() -> Any:
        if at.node is not None:
            from understudy_runtime.cli.connected import connected

            async with connected(at.node) as remote:
                return await change(remote)
        async with open_offline(at.store, namespace=at.namespace) as door:
            return await change(door)

    return asyncio.run(apply())


def _place(at: At) -> Place:
    return Place(at.store, at.namespace)


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
