"""What is said of schedules, from protobuf into the types of `ScheduleDoor` and back: the part of `wire` for them."""

from __future__ import annotations

from typing import Final, Literal

from google.protobuf import duration_pb2, timestamp_pb2
from msgspec import Raw

from understudy.remote import wire
from understudy.scheduling import CatchUp, Overlap, ScheduleDescription, ScheduledRun, ScheduleSpec
from understudy_proto.v1 import schedules_pb2, values_pb2

Cause = Literal["schedule", "catch_up", "backfill", "trigger"]


def spec(wanted: ScheduleSpec) -> schedules_pb2.ScheduleSpec:
    return schedules_pb2.ScheduleSpec(
        workflow=wanted.workflow,
        input=values_pb2.Arguments(call=bytes(wanted.input), digest=wanted.digest),
        cron=wanted.cron,
        tz=wanted.tz,
        every=None if wanted.every_s is None else _duration(wanted.every_s),
        starts_at=None if wanted.starts_at is None else timestamp(wanted.starts_at),
        ends_at=None if wanted.ends_at is None else timestamp(wanted.ends_at),
        jitter=_duration(wanted.jitter_s),
        catch_up=_CATCH_UP_NUMBERS[wanted.catch_up],
        overlap=overlap(wanted.overlap),
    )


def overlap(policy: Overlap) -> schedules_pb2.Overlap:
    return _OVERLAP_NUMBERS[policy]


def timestamp(at: float) -> timestamp_pb2.Timestamp:
    """To the millisecond, which is as fine as times of schedules are."""
    seconds, milliseconds = divmod(round(at * 1_000), 1_000)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=milliseconds * 1_000_000)


def description(schedule: schedules_pb2.Schedule) -> ScheduleDescription:
    return ScheduleDescription(
        schedule.schedule_id,
        _kept(schedule.spec),
        "paused" if schedule.status == schedules_pb2.SCHEDULE_STATUS_PAUSED else "active",
        schedule.note,
        wire.seconds(schedule.created_at),
        _moment(schedule, "next_at"),
        _moment(schedule, "next_due_at"),
        tuple(_run(run) for run in schedule.running),
        schedule.buffered,
        schedule.ranges,
        schedule.started,
        schedule.succeeded,
        schedule.failed,
        schedule.passed_over,
        _moment(schedule, "missed_from"),
        _moment(schedule, "missed_to"),
        tuple(_run(run) for run in schedule.recent),
    )


def _kept(kept: schedules_pb2.ScheduleSpec) -> ScheduleSpec:
    return ScheduleSpec(
        kept.workflow,
        Raw(kept.input.call),
        kept.input.digest,
        kept.build,
        _seconds(kept.deadline) if kept.HasField("deadline") else None,
        tuple(kept.cron),
        kept.tz,
        _seconds(kept.every) if kept.HasField("every") else None,
        _moment(kept, "starts_at"),
        _moment(kept, "ends_at"),
        _seconds(kept.jitter),
        _CATCH_UPS.get(kept.catch_up, "one"),
        _OVERLAPS.get(kept.overlap, "skip"),
    )


def _run(run: schedules_pb2.ScheduledRun) -> ScheduledRun:
    return ScheduledRun(run.run_id, wire.seconds(run.nominal_at), _CAUSES.get(run.cause, "schedule"), run.ended)


# ---

_CATCH_UPS: Final[dict[schedules_pb2.CatchUp, CatchUp]] = {
    schedules_pb2.CATCH_UP_SKIP: "skip",
    schedules_pb2.CATCH_UP_ONE: "one",
    schedules_pb2.CATCH_UP_ALL: "all",
}
_OVERLAPS: Final[dict[schedules_pb2.Overlap, Overlap]] = {
    schedules_pb2.OVERLAP_SKIP: "skip",
    schedules_pb2.OVERLAP_BUFFER_ONE: "buffer_one",
    schedules_pb2.OVERLAP_BUFFER: "buffer",
    schedules_pb2.OVERLAP_ALLOW: "allow",
    schedules_pb2.OVERLAP_CANCEL: "cancel",
    schedules_pb2.OVERLAP_TERMINATE: "terminate",
}
_CAUSES: Final[dict[schedules_pb2.RunCause, Cause]] = {
    schedules_pb2.RUN_CAUSE_SCHEDULE: "schedule",
    schedules_pb2.RUN_CAUSE_CATCH_UP: "catch_up",
    schedules_pb2.RUN_CAUSE_BACKFILL: "backfill",
    schedules_pb2.RUN_CAUSE_TRIGGER: "trigger",
}
_CATCH_UP_NUMBERS: Final = {policy: number for number, policy in _CATCH_UPS.items()}
_OVERLAP_NUMBERS: Final = {policy: number for number, policy in _OVERLAPS.items()}


def _moment(message: schedules_pb2.Schedule | schedules_pb2.ScheduleSpec, field: str) -> float | None:
    return wire.seconds(getattr(message, field)) if message.HasField(field) else None


def _seconds(duration: duration_pb2.Duration) -> float:
    return round(duration.seconds + duration.nanos / 1e9, 9)


def _duration(seconds: float) -> duration_pb2.Duration:
    whole, part = divmod(round(seconds * 1e9), 1_000_000_000)
    return duration_pb2.Duration(seconds=whole, nanos=part)
