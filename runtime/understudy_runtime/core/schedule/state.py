"""What the machine knows of a schedule."""

from __future__ import annotations

from typing import Final

import msgspec

from understudy.scheduling import Overlap, ScheduledRun, ScheduleSpec
from understudy_runtime.core.deliveries import Deliveries
from understudy_runtime.core.records.schedules import Why

MAX_RUNNING: Final = 1_000
"""Runs of one schedule at once, whatever its overlap policy; further nominal times are passed over."""
MAX_BUFFERED: Final = 1_000
"""Starts that are kept; further nominal times are passed over."""
MAX_RANGES: Final = 10
RECENT: Final = 10


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """A nominal time whose run starts when others have ended."""

    nominal_at: float
    why: Why = "schedule"


class Range(msgspec.Struct, omit_defaults=True):
    """Nominal times to be made up for, from `next` to `until`."""

    next: float
    until: float
    overlap: Overlap
    why: Why

    def waits(self, busy: bool) -> bool:
        """Whether it can go on only when a run has ended."""
        return busy and self.overlap == "buffer"


class ScheduleState(msgspec.Struct, omit_defaults=True):
    """`spec` is None while there is no such schedule. Times in seconds since 1970.

    `next` is the nominal time to decide on next. `calls` counts the runs ever started, beyond deletion too, so that an
    answer to a run of an earlier schedule of this id is refused; `running` are those not ended, by call.
    `declared_since` is when the life of the node began whose code it last was, beyond deletion too.
    """

    key: str
    last_seq: int = 0
    turns: int = 0
    created_at: float = 0.0
    spec: ScheduleSpec | None = None
    next: float | None = None
    paused: bool = False
    note: str = ""
    deleted_at: float | None = None
    calls: int = 0
    running: dict[int, ScheduledRun] = {}
    buffer: list[Kept] = []
    ranges: list[Range] = []
    deliveries: Deliveries = msgspec.field(default_factory=Deliveries)
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    passed_over: int = 0
    missed_from: float | None = None
    missed_to: float | None = None
    recent: list[ScheduledRun] = []
    declared_since: float | None = None
