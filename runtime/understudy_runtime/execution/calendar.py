"""`ZoneCalendar`: the `Calendar` port over the IANA time zone database.

What happens to local times when clocks change:

* A local time that is skipped (02:30 when 02:00 becomes 03:00) counts as the moment of the change: a daily job runs.
* A local time that comes twice counts the first time: a daily job runs once.
* An expression for every hour (its hour field is `*`) goes by the hours that really pass: it leaves out local times
  that do not exist and runs in a repeated hour again, so that `*/15 * * * *` is every 15 minutes on all days.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from understudy.cron import Cron, parse
from understudy.scheduling import zone

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall's time has no time zone
_DAY_S: Final = 86_400.0
_parsed: Final = lru_cache(maxsize=1_000)(parse)


class ZoneCalendar:
    """Implements `Calendar`."""

    def next(self, cron: str, tz: str, after: float) -> float | None:
        times, local = _parsed(cron), zone(tz)
        return _next_hourly(times, local, after) if times.every_hour else _next(times, local, after)

    def previous(self, cron: str, tz: str, before: float) -> float | None:
        times, local = _parsed(cron), zone(tz)
        return _previous_hourly(times, local, before) if times.every_hour else _previous(times, local, before)


def _next(times: Cron, local: ZoneInfo, after: float) -> float | None:
    # `_instant` never goes back as walls go on, so it is enough to begin early and to pass by what is not after.
    wall = times.next(_wall(after + min(_offset(local, after), _offset(local, after + _DAY_S)) - 1))
    while wall is not None:
        if (at := _instant(local, wall)) > after:
            return at
        wall = times.next(wall)
    return None


def _previous(times: Cron, local: ZoneInfo, before: float) -> float | None:
    wall = times.previous(_wall(before + max(_offset(local, before), _offset(local, before - _DAY_S)) + 1))
    while wall is not None:
        if (at := _instant(local, wall)) < before:
            return at
        wall = times.previous(wall)
    return None


def _instant(local: ZoneInfo, wall: datetime) -> float:
    """When clocks there show `wall` for the first time; the moment of the change if they skip it."""
    early, late = (wall.replace(tzinfo=local, fold=fold).timestamp() for fold in (0, 1))
    # Of a skipped time the two readings come in reverse order, on either side of the change.
    return early if early <= late else _change(local, late, early)


def _next_hourly(times: Cron, local: ZoneInfo, after: float) -> float | None:
    offset = _offset(local, after)
    while (wall := times.next(_wall(after + offset))) is not None:
        at = _seconds(wall) - offset
        if _offset(local, at) == offset:
            return at
        after = _change(local, after, at) - 1
        offset = _offset(local, after + 1)
    return None


def _previous_hourly(times: Cron, local: ZoneInfo, before: float) -> float | None:
    offset = _offset(local, before - 1)
    while (wall := times.previous(_wall(before + offset))) is not None:
        at = _seconds(wall) - offset
        if _offset(local, at) == offset:
            return at
        before = _change(local, at, before - 1)
        offset = _offset(local, before - 1)
    return None


def _change(local: ZoneInfo, low: float, high: float) -> float:
    """The second from which on the offset is no longer that of `low`, given that it is not at `high`."""
    offset, low, high = _offset(local, low), low // 1, high // 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(local, middle) == offset else (low, middle)
    return high


def _offset(local: ZoneInfo, at: float) -> float:
    offset = datetime.fromtimestamp(at, UTC).astimezone(local).utcoffset()
    assert offset is not None
    return offset.total_seconds()


def _wall(seconds: float) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)


def _seconds(wall: datetime) -> float:
    return (wall - _EPOCH).total_seconds()
