"""What is recorded of a schedule, and of the runs that it starts."""

from __future__ import annotations

from typing import Literal

from understudy.scheduling import Overlap, ScheduleSpec
from understudy_runtime.core.kinds import Note

Why = Literal["schedule", "catch_up", "backfill", "trigger"]


class ScheduleSet(Note, frozen=True):
    """The schedule was made, or is another one from now on; it waits for the nominal time `next`.

    `declared_since`: the code of the node says so whose life began then; None: somebody else does.
    """

    spec: ScheduleSpec
    next: float | None = None
    idempotency_key: str = ""
    note: str = ""
    declared_since: float | None = None


class SchedulePaused(Note, frozen=True):
    """Nothing starts by itself any more: what was buffered and the ranges under way are given up."""

    note: str = ""
    idempotency_key: str = ""


class ScheduleResumed(Note, frozen=True):
    next: float | None = None
    note: str = ""
    idempotency_key: str = ""


class ScheduleDeleted(Note, frozen=True):
    """The runs that it has started go on."""

    idempotency_key: str = ""


class ScheduleAdvanced(Note, frozen=True):
    """The schedule now waits for `next`. Nominal times from `missed_from` to `missed_to` passed while no node ran."""

    next: float | None = None
    missed_from: float | None = None
    missed_to: float | None = None


class RangeBegun(Note, frozen=True):
    """The nominal times from `next` to `until` are to be made up for."""

    next: float
    until: float
    overlap: Overlap
    why: Why
    idempotency_key: str = ""
    count: int = 0


class RangeAdvanced(Note, frozen=True):
    """The first range goes on at `next`, or has come to its end (None)."""

    next: float | None = None


class RunScheduled(Note, frozen=True):
    """A run is started, by a `Start` in the same turn. `buffered`: its nominal time was the first of those kept."""

    call: int
    run_id: str
    nominal_at: float
    why: Why = "schedule"
    buffered: bool = False
    idempotency_key: str = ""


class RunBuffered(Note, frozen=True):
    """The run of this nominal time starts when what runs has ended. `alone`: and others that were kept do not."""

    nominal_at: float
    why: Why = "schedule"
    alone: bool = False


class RunPassedOver(Note, frozen=True):
    """No run for this nominal time, because of others of the schedule."""

    nominal_at: float
    why: Why = "schedule"


class ScheduledRunEnded(Note, frozen=True):
    """`failure` is the type of the run's failure, empty if it succeeded.

    `existed`: there was a run for this nominal time already, and no other was started.
    """

    call: int
    failure: str = ""
    existed: bool = False


ScheduleRecord = (
    ScheduleSet
    | SchedulePaused
    | ScheduleResumed
    | ScheduleDeleted
    | ScheduleAdvanced
    | RangeBegun
    | RangeAdvanced
    | RunScheduled
    | RunBuffered
    | RunPassedOver
    | ScheduledRunEnded
)
