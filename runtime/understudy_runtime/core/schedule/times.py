"""The nominal times of a schedule, and when a run really starts for one."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor
from typing import Final
from zlib import crc32

from understudy.scheduling import ScheduleSpec
from understudy_runtime.core.ports import Calendar

TICK_S: Final = 0.001
"""Nominal times are whole milliseconds."""


def next_time(calendar: Calendar, spec: ScheduleSpec, after: float) -> float | None:
    """The first nominal time after `after`, whenever the schedule starts or ends."""
    if spec.every_s is not None:
        return _interval(spec, spec.every_s, after)
    return min(_known(calendar.next(cron, spec.tz, after) for cron in spec.cron), default=None)


def previous_time(calendar: Calendar, spec: ScheduleSpec, before: float) -> float | None:
    """The last nominal time before `before`, whenever the schedule starts or ends."""
    if spec.every_s is not None:
        at = _interval(spec, spec.every_s, before - spec.every_s - TICK_S)
        return at if at < before else round(at - spec.every_s, 3)
    return max(_known(calendar.previous(cron, spec.tz, before) for cron in spec.cron), default=None)


def next_within(calendar: Calendar, spec: ScheduleSpec, after: float) -> float | None:
    """The first nominal time after `after` between the schedule's start and end."""
    if spec.starts_at is not None:
        after = max(after, spec.starts_at - TICK_S)
    return up_to(spec.ends_at, next_time(calendar, spec, after))


def up_to(end: float | None, at: float | None) -> float | None:
    return None if at is not None and end is not None and at > end else at


def due_at(key: str, spec: ScheduleSpec, nominal: float) -> float:
    """When the run of a nominal time starts. The jitter is a hash, so that it is the same whenever it is asked for."""
    return nominal + spec.jitter_s * crc32(f"{key}@{nominal:.3f}".encode()) / 2**32


def _interval(spec: ScheduleSpec, every_s: float, after: float) -> float:
    anchor = spec.starts_at or 0.0
    number = floor((after - anchor) / every_s)
    # The quotient may be off by a hair.
    return next(at for n in range(number, number + 3) if (at := round(anchor + n * every_s, 3)) > after)


def _known(times: Iterable[float | None]) -> list[float]:
    return [at for at in times if at is not None]
