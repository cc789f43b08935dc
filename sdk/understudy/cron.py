"""Cron expressions, matched against the local time on the wall; time zones are the caller's affair.

    minute (0-59)  hour (0-23)  day of month (1-31, L = the last)  month (1-12, JAN-DEC)  day of week (0-7, SUN-SAT)

A field is `*` or a list of numbers and ranges, each with a step if wished: `*/15`, `9-17`, `1,15`, `MON-FRI`,
`0-30/10`. A day must fit both day fields if one of them begins with `*`, and else either of them, as in every cron.
`@hourly`, `@daily` (`@midnight`), `@weekly`, `@monthly` and `@yearly` (`@annually`) stand for what they say.

This is not `croniter`, which runs a daily 02:30 twice when clocks go back, has random fields and takes 45 µs a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from understudy.errors import BadDefinition

MAX_CHARS: Final = 200
MAX_YEARS: Final = 8
"""What does not match within so many years never does: 29 February may be eight years away."""

_MONTH_NAMES: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS: Final = {name: n for n, name in enumerate(_MONTH_NAMES, 1)}
_WEEKDAYS: Final = {name: n for n, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))}
_SHORT: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_DAY: Final = timedelta(days=1)


class Cron(msgspec.Struct, frozen=True):
    """A parsed expression. `last_day` is L among the days; `any_day` and `any_weekday` say that the field is not
    restricted; `every_hour` that the hour field is `*`, so that the expression goes on through any change of clocks.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    last_day: bool
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool
    every_hour: bool

    def next(self, wall: datetime) -> datetime | None:
        """The first matching minute after `wall` (without time zone); None if there is none for eight years."""
        start = wall.replace(second=0, microsecond=0) + timedelta(minutes=1)
        times = [(hour, minute) for hour in self.hours for minute in self.minutes]
        for day in self._days(start, 1):
            earliest = (start.hour, start.minute) if day.date() == start.date() else (0, 0)
            found = next((time for time in times if time >= earliest), None)
            if found is not None:
                return day.replace(hour=found[0], minute=found[1])
        return None

    def previous(self, wall: datetime) -> datetime | None:
        """The last matching minute before `wall`; None if there is none for eight years."""
        start = wall - timedelta(microseconds=1)
        times = [(hour, minute) for hour in reversed(self.hours) for minute in reversed(self.minutes)]
        for day in self._days(start, -1):
            latest = (start.hour, start.minute) if day.date() == start.date() else (23, 59)
            found = next((time for time in times if time <= latest), None)
            if found is not None:
                return day.replace(hour=found[0], minute=found[1])
        return None

    def _days(self, start: datetime, step: int) -> Iterator[datetime]:
        """Midnights of the matching days from that of `start` on, forwards or backwards."""
        day = start.replace(hour=0, minute=0, second=0, microsecond=0)
        end_year = day.year + step * MAX_YEARS
        while day.year != end_year + step:
            if day.month not in self.months:
                first = day.replace(day=1)
                day = (first + 31 * _DAY).replace(day=1) if step > 0 else first - _DAY
                continue
            if self._has_day(day):
                yield day
            day += step * _DAY

    def _has_day(self, day: datetime) -> bool:
        in_month = day.day in self.days or (self.last_day and (day + _DAY).day == 1)
        in_week = day.isoweekday() % 7 in self.weekdays
        return in_month and in_week if self.any_day or self.any_weekday else in_month or in_week


def parse(text: str) -> Cron:
    """The expression, checked; BadDefinition says what is wrong with it."""
    fields = _SHORT.get(text.strip().lower(), text).split()
    if len(fields) != 5 or len(text) > MAX_CHARS:
        raise BadDefinition(
            f"{text[:MAX_CHARS]!r} is no cron expression: give minute, hour, day of month, month and day of week, "
            'such as "0 3 * * *"'
        )
    minute, hour, day, month, weekday = fields
    last_day = "L" in day.upper().split(",")
    plain_days = ",".join(part for part in day.split(",") if part.upper() != "L")
    cron = Cron(
        minutes=tuple(_numbers(text, "minute", minute, 0, 59)),
        hours=tuple(_numbers(text, "hour", hour, 0, 23)),
        days=frozenset(_numbers(text, "day of month", plain_days, 1, 31)) if plain_days else frozenset(),
        last_day=last_day,
        months=frozenset(_numbers(text, "month", month, 1, 12, _MONTHS)),
        weekdays=frozenset(n % 7 for n in _numbers(text, "day of week", weekday, 0, 7, _WEEKDAYS)),
        any_day=day.startswith("*"),
        any_weekday=weekday.startswith("*"),
        every_hour=hour == "*",
    )
    if cron.next(datetime(2000, 1, 1)) is None:  # noqa: DTZ001 - a wall's time has no time zone
        raise BadDefinition(f"cron {text!r} matches no day that there is")
    return cron


def _numbers(
    text: str, name: str, field: str, low: int, high: int, names: Mapping[str, int] | None = None
) -> Sequence[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = low, high if names is not _WEEKDAYS else 6
        else:
            begin = _number(text, name, first, names)
            # A single number with a step runs on to the end of the field.
            end = _number(text, name, last, names) if dash else high if slash else begin
        every = _number(text, name, step, None) if slash else 1
        if not low <= begin <= end <= high or every < 1:
            raise BadDefinition(f"cron {text!r}: {part!r} is not within {low} to {high}, the range of {name}")
        found.update(range(begin, end + 1, every))
    return sorted(found)


def _number(text: str, name: str, word: str, names: Mapping[str, int] | None) -> int:
    if names is not None and word.upper() in names:
        return names[word.upper()]
    if not (word.isascii() and word.isdigit()):
        raise BadDefinition(f"cron {text!r}: {word!r} is no {name}")
    return int(word)
