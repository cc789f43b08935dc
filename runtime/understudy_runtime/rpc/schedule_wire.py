"""What is said of schedules on the wire, and our types for it: the part of `wire` for ScheduleService."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from google.protobuf import duration_pb2, timestamp_pb2
from msgspec import Raw

from understudy.codec import CallCodec
from understudy.errors import BadInput
from understudy.scheduling import CatchUp, Overlap, RangeOverlap, ScheduleDescription, ScheduledRun, ScheduleSpec
from understudy_proto.v1 import schedules_pb2, values_pb2
from understudy_runtime.rpc import wire

# --- requests


def spec(asked: schedules_pb2.ScheduleSpec, codec: CallCodec) -> ScheduleSpec:
    """What is asked for; whether there can be such a schedule is for others to say, but its input fits."""
    given, digest = wire.call(asked.input, codec)
    return ScheduleSpec(
        asked.workflow,
        Raw(given),
        digest,
        cron=tuple(asked.cron),
        tz=asked.tz or "UTC",
        every_s=round(wire.duration_s(asked.every), 3) if asked.HasField("every") else None,
        starts_at=_moment(asked.starts_at) if asked.HasField("starts_at") else None,
        ends_at=_moment(asked.ends_at) if asked.HasField("ends_at") else None,
        jitter_s=round(wire.duration_s(asked.jitter), 9),
        catch_up=_catch_up(asked.catch_up),
        overlap=_overlap(asked.overlap, "skip"),
    )


def backfill_range(asked: schedules_pb2.BackfillScheduleRequest) -> tuple[float, float, RangeOverlap]:
    """The first and the last moment, and what is done about runs that have not ended."""
    if not asked.HasField("since") or not asked.HasField("until"):
        raise BadInput("a backfill needs both `since` and `until`")
    overlap = _overlap(asked.overlap, "buffer")
    if overlap not in ("buffer", "allow"):
        raise BadInput(
            f"overlap {overlap}: the runs of a backfill come one after the other (BUFFER) or side by side (ALLOW)"
        )
    return _moment(asked.since), _moment(asked.until), overlap


def place(page_token: str) -> tuple[float, str] | None:
    """Where a list of schedules goes on."""
    return wire.before(page_token)


# --- responses


def schedule(described: ScheduleDescription) -> schedules_pb2.Schedule:
    return schedules_pb2.Schedule(
        schedule_id=described.schedule_id,
        spec=_spec(described.spec),
        status=f"SCHEDULE_STATUS_{described.status.upper()}",
        note=described.note,
        created_at=wire.timestamp(described.created_at),
        next_at=_timestamp(described.next_at),
        next_due_at=_timestamp(described.next_due_at),
        running=_runs(described.running),
        buffered=described.buffered,
        ranges=described.ranges,
        started=described.started,
        succeeded=described.succeeded,
        failed=described.failed,
        passed_over=described.passed_over,
        missed_from=_timestamp(described.missed_from),
        missed_to=_timestamp(described.missed_to),
        recent=_runs(described.recent),
    )


def _spec(kept: ScheduleSpec) -> schedules_pb2.ScheduleSpec:
    return schedules_pb2.ScheduleSpec(
        workflow=kept.workflow,
        input=values_pb2.Arguments(call=bytes(kept.input), digest=kept.digest),
        cron=kept.cron,
        tz=kept.tz,
        every=None if kept.every_s is None else _duration(kept.every_s),
        starts_at=_timestamp(kept.starts_at),
        ends_at=_timestamp(kept.ends_at),
        jitter=_duration(kept.jitter_s) if kept.jitter_s else None,
        catch_up=f"CATCH_UP_{kept.catch_up.upper()}",
        overlap=f"OVERLAP_{kept.overlap.upper()}",
        build=kept.build,
        deadline=None if kept.deadline_s is None else _duration(kept.deadline_s),
    )


def _runs(runs: Sequence[ScheduledRun]) -> list[schedules_pb2.ScheduledRun]:
    return [
        schedules_pb2.ScheduledRun(
            run_id=run.run_id,
            nominal_at=wire.timestamp(run.nominal_at),
            cause=f"RUN_CAUSE_{run.why.upper()}",
            ended=run.ended,
        )
        for run in runs
    ]


# ---

_CATCH_UPS: Final[dict[int, CatchUp]] = {
    value: cast("CatchUp", name.removeprefix("CATCH_UP_").lower()) for name, value in schedules_pb2.CatchUp.items()
}
_OVERLAPS: Final[dict[int, Overlap]] = {
    value: cast("Overlap", name.removeprefix("OVERLAP_").lower()) for name, value in schedules_pb2.Overlap.items()
}


def _catch_up(value: schedules_pb2.CatchUp) -> CatchUp:
    if value not in _CATCH_UPS:
        raise BadInput(f"{value} is no catch-up policy")
    return _CATCH_UPS[value] if value else "one"


def _overlap(value: schedules_pb2.Overlap, default: Overlap) -> Overlap:
    if value not in _OVERLAPS:
        raise BadInput(f"{value} is no overlap policy")
    return _OVERLAPS[value] if value else default


def _moment(at: timestamp_pb2.Timestamp) -> float:
    return round(at.seconds + at.nanos / 1e9, 3)


def _duration(seconds: float) -> duration_pb2.Duration:
    whole, part = divmod(round(seconds * 1e9), 1_000_000_000)
    return duration_pb2.Duration(seconds=whole, nanos=part)


def _timestamp(at: float | None) -> timestamp_pb2.Timestamp | None:
    return None if at is None else wire.timestamp(at)
