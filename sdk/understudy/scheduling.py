"""What a schedule is: when it starts which run, and what it does when a run is late or the last one still runs.

Times are seconds since 1970. The *nominal* time of a run is the one that the schedule names, whenever it really starts;
it is part of the run's id, `nightly/2026-11-23T02:00:00Z`, so that there is one run for each and code can ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Raw

from understudy import cron as crons
from understudy.definitions import WorkflowDefinition
from understudy.errors import BadDefinition, BadInput
from understudy.options import Duration, seconds

CatchUp = Literal["skip", "one", "all"]
"""What becomes of nominal times that passed while no node ran: nothing, the newest is made up for, or all are."""
Overlap = Literal["skip", "buffer_one", "buffer", "allow", "cancel", "terminate"]
"""What happens at a nominal time while a run of the schedule has not ended. `skip`: nothing. `buffer_one`: one start is
kept until it has ended, others are passed over. `buffer`: all are kept, and start one after the other. `allow`: they
run side by side. `cancel`, `terminate`: what runs is ended that way, and the new run starts after it.
"""
RangeOverlap = Literal["buffer", "allow"]

MIN_EVERY_S: Final = 1.0
MAX_SPAN_S: Final = 100 * 365 * 86400.0
"""Of intervals and jitter: a hundred years, as for all durations."""
MAX_AT: Final = datetime(9000, 1, 1, tzinfo=UTC).timestamp()
"""The last moment that can be named, which leaves calendars some years to look ahead in; the first is 1970."""
MAX_CRONS: Final = 16
MAX_SCHEDULE_ID_CHARS: Final = 200

_NOMINAL: Final = re.compile(r"/(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z)(?:\+\d+)?$", re.ASCII)


class ScheduleSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A schedule as it is journalled. Either `cron` (any of these, in `tz`) or `every_s` is set.

    Intervals are counted from `starts_at`, or else from 1970; nominal times lie in `starts_at` to `ends_at`, both
    included. A run starts up to `jitter_s` after its nominal time. `input` and `digest` are the run's, `deadline_s` is
    the workflow's.
    """

    workflow: str
    input: Raw
    digest: str = ""
    build: str = ""
    deadline_s: float | None = None
    cron: tuple[str, ...] = ()
    tz: str = "UTC"
    every_s: float | None = None
    starts_at: float | None = None
    ends_at: float | None = None
    jitter_s: float = 0.0
    catch_up: CatchUp = "one"
    overlap: Overlap = "skip"

    @property
    def timing(self) -> tuple[object, ...]:
        """What decides on the nominal times."""
        return self.cron, self.tz, self.every_s, self.starts_at, self.ends_at


class ScheduledRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that a schedule has started.

    `ended` is "succeeded", the type of its failure, "existed" if there was a run of that id before, or "" while it
    goes on.
    """

    run_id: str
    nominal_at: float
    why: Literal["schedule", "catch_up", "backfill", "trigger"] = "schedule"
    ended: str = ""


class ScheduleDescription(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a schedule stands. Times are seconds since 1970.

    `next_at` is the nominal time it waits for (None: it is paused, or there is none), `next_due_at` when that run will
    start; `missed_from` to `missed_to` are the nominal times last missed because no node ran. `passed_over` counts the
    nominal times without a run because of others; `recent` is newest first.
    """

    schedule_id: str
    spec: ScheduleSpec
    status: Literal["active", "paused"] = "active"
    note: str = ""
    created_at: float = 0.0
    next_at: float | None = None
    next_due_at: float | None = None
    running: tuple[ScheduledRun, ...] = ()
    buffered: int = 0
    ranges: int = 0
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    passed_over: int = 0
    missed_from: float | None = None
    missed_to: float | None = None
    recent: tuple[ScheduledRun, ...] = ()


def timing(
    *,
    cron: str | Sequence[str] = (),
    tz: str = "UTC",
    every: Duration | None = None,
    starts: datetime | None = None,
    ends: datetime | None = None,
    jitter: Duration = 0,
    catch_up: CatchUp = "one",
    overlap: Overlap = "skip",
) -> ScheduleSpec:
    """A spec that still lacks workflow and input, checked; BadDefinition says what cannot be."""
    expressions = (cron,) if isinstance(cron, str) else tuple(cron)
    if bool(expressions) == (every is not None):
        raise BadDefinition('a schedule needs either cron="0 3 * * *" or every="1h"')
    return checked(
        ScheduleSpec(
            "",
            Raw(b"null"),
            cron=expressions,
            tz=tz,
            every_s=None if every is None else round(seconds(every), 3),
            starts_at=None if starts is None else moment(starts),
            ends_at=None if ends is None else moment(ends),
            jitter_s=seconds(jitter),
            catch_up=catch_up,
            overlap=overlap,
        )
    )


def checked(spec: ScheduleSpec) -> ScheduleSpec:
    """BadDefinition if there can be no such schedule."""
    if bool(spec.cron) == (spec.every_s is not None):
        raise BadDefinition('a schedule needs either cron="0 3 * * *" or every="1h"')
    if len(spec.cron) > MAX_CRONS:
        raise BadDefinition(f"{len(spec.cron)} cron expressions: at most {MAX_CRONS} will do")
    for expression in spec.cron:
        crons.parse(expression)
    if spec.every_s is not None and not MIN_EVERY_S <= spec.every_s <= MAX_SPAN_S:
        raise BadDefinition(f"every={spec.every_s:g}: intervals are {MIN_EVERY_S:g} second to 100 years long")
    for at in (spec.starts_at, spec.ends_at):
        if at is not None:
            checked_moment(at)
    if spec.starts_at is not None and spec.ends_at is not None and spec.ends_at < spec.starts_at:
        raise BadDefinition("the schedule ends before it starts")
    if not 0 <= spec.jitter_s <= MAX_SPAN_S:
        raise BadDefinition(f"jitter={spec.jitter_s:g}: give 0 seconds to 100 years")
    if spec.catch_up not in get_args(CatchUp) or spec.overlap not in get_args(Overlap):
        raise BadDefinition(f"catch_up={spec.catch_up!r}, overlap={spec.overlap!r}: there is no such policy")
    zone(spec.tz)
    return spec


def starting(
    spec: ScheduleSpec, workflow: WorkflowDefinition, args: Sequence[object], kwargs: Mapping[str, Any]
) -> ScheduleSpec:
    """`spec` for runs of `workflow` with these arguments; BadInput if they do not fit."""
    encoded, digest = workflow.call.encode(tuple(args), dict(kwargs))
    workflow.call.decode(encoded)
    return msgspec.structs.replace(
        spec, workflow=workflow.name, input=Raw(encoded), digest=digest, deadline_s=workflow.deadline_s
    )


def zone(tz: str) -> ZoneInfo:
    try:
        return ZoneInfo(tz)
    except (LookupError, ValueError, OSError):
        raise BadDefinition(f'{tz!r} is no time zone; write an IANA name such as "Europe/Berlin", or "UTC"') from None


def moment(at: datetime) -> float:
    """Seconds since 1970, to the millisecond; BadDefinition if `at` does not say in which time zone it is."""
    if at.tzinfo is None:
        raise BadDefinition(f"{at.isoformat()} has no time zone; give datetime(..., tzinfo=UTC), for example")
    return checked_moment(round(at.timestamp(), 3))


def checked_moment(at: float) -> float:
    """BadDefinition if `at`, in seconds since 1970, is a time that schedules do not reckon with."""
    if not 0 <= at <= MAX_AT:
        raise BadDefinition(f"{at:.0f} s since 1970 is no time for a schedule: give one between 1970 and the year 9000")
    return at


def checked_schedule_id(schedule_id: Any) -> str:
    if not isinstance(schedule_id, str):
        kind = type(schedule_id).__name__
        raise BadInput(f"{schedule_id!r:.40} is no id of a schedule: ids are `str`, and this is of the class {kind}")
    if not 0 < len(schedule_id) <= MAX_SCHEDULE_ID_CHARS or not schedule_id.isprintable():
        raise BadDefinition(
            f"{schedule_id[:40]!r} is no id of a schedule: give 1 to {MAX_SCHEDULE_ID_CHARS} printable characters"
        )
    return schedule_id


def scheduled_run_id(schedule_id: str, nominal: float, trigger: int = 0) -> str:
    """The id of the run for a nominal time. Triggered runs are numbered, as a person may ask at any moment."""
    text = datetime.fromtimestamp(nominal, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    return f"{schedule_id}/{text.removesuffix('.000')}Z{f'+{trigger}' if trigger else ''}"


def nominal_time(run_id: str) -> datetime | None:
    """The nominal time, in UTC, of the run of that id; None if no schedule gives such an id."""
    found = _NOMINAL.search(run_id)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(found[1])
    except ValueError:
        return None
