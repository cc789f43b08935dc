"""Cron expressions, against the time on the wall. What time zones make of it: tests/execution/test_calendar.py."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.cron import MAX_CHARS, Cron, parse
from understudy.errors import BadDefinition

NEW_YEAR = datetime(2026, 1, 1)  # noqa: DTZ001 - a Thursday, on the wall


def following(expression: str, count: int, after: datetime = NEW_YEAR) -> list[str]:
    cron, times = parse(expression), list[str]()
    for _ in range(count):
        found = cron.next(after)
        assert found is not None
        after = found
        times.append(f"{found:%m-%d %H:%M}")
    return times


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("* * * * *", ["01-01 00:01", "01-01 00:02", "01-01 00:03"]),
        ("*/25 * * * *", ["01-01 00:25", "01-01 00:50", "01-01 01:00"]),
        ("5/20 9-10 * * *", ["01-01 09:05", "01-01 09:25", "01-01 09:45"]),
        ("0 0-8/4 * * *", ["01-01 04:00", "01-01 08:00", "01-02 00:00"]),
        ("30 9 * * MON-FRI", ["01-01 09:30", "01-02 09:30", "01-05 09:30"]),
        ("0 0 * * 7", ["01-04 00:00", "01-11 00:00", "01-18 00:00"]),
        ("0 0 1,15 * *", ["01-15 00:00", "02-01 00:00", "02-15 00:00"]),
        ("0 12 L * *", ["01-31 12:00", "02-28 12:00", "03-31 12:00"]),
        ("0 0 1 feb,JUN *", ["02-01 00:00", "06-01 00:00", "02-01 00:00"]),
        ("@weekly", ["01-04 00:00", "01-11 00:00", "01-18 00:00"]),
    ],
)
def test_an_expression_names_these_times(expression: str, times: list[str]) -> None:
    assert following(expression, len(times)) == times


def test_two_restricted_days_are_either_of_them() -> None:
    assert following("0 0 13 * FRI", 4) == ["01-02 00:00", "01-09 00:00", "01-13 00:00", "01-16 00:00"]


def test_a_day_with_a_star_and_another_are_both_of_them() -> None:
    assert following("0 0 */2 * FRI", 2) == ["01-09 00:00", "01-23 00:00"]


def test_a_leap_day_is_found_years_ahead() -> None:
    found = parse("0 0 29 2 *").next(datetime(2096, 3, 1))  # noqa: DTZ001
    assert found == datetime(2104, 2, 29)  # noqa: DTZ001 - 2100 is no leap year


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("0 3 * *", "is no cron expression"),
        ("0 3 * * * *", "is no cron expression"),
        ("@reboot", "is no cron expression"),
        ("60 3 * * *", "'60' is not within 0 to 59, the range of minute"),
        ("0 24 * * *", "'24' is not within 0 to 23, the range of hour"),
        ("0 0 0 * *", "day of month"),
        ("0 0 * 13 *", "month"),
        ("0 0 * * 8", "day of week"),
        ("0 0 * * MOON", "'MOON' is no day of week"),
        ("9-5 * * * *", "'9-5' is not within"),
        ("*/0 * * * *", "not within"),
        ("R * * * *", "'R' is no minute"),
        ("٣ * * * *", "is no minute"),
        ("0 0 31 2 *", "matches no day that there is"),
        ("0," * MAX_CHARS + "0 * * * *", "is no cron expression"),
    ],
)
def test_what_is_wrong_is_said(expression: str, said: str) -> None:
    with pytest.raises(BadDefinition, match=said):
        parse(expression)


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    part = st.one_of(
        st.just("*"), number.map(str), span, st.tuples(span, st.integers(1, 9)).map(lambda p: f"{p[0]}/{p[1]}")
    )
    return st.lists(part, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(_field(0, 59), _field(0, 23), _field(1, 28), _field(1, 12), _field(0, 6)).map(" ".join)


@given(EXPRESSIONS, st.integers(0, 1_000_000))
def test_back_and_forth_leads_to_the_same_time(expression: str, minutes: int) -> None:
    cron, start = parse(expression), NEW_YEAR + timedelta(minutes=minutes)
    after = cron.next(start)
    assert after is not None
    assert cron.previous(after + timedelta(minutes=1)) == after
    before = cron.previous(after)
    assert before is not None
    assert before <= start < after
    assert cron.next(before) == after


@given(EXPRESSIONS, st.integers(0, 500_000))
def test_no_matching_minute_is_left_out(expression: str, minutes: int) -> None:
    cron, start = parse(expression), NEW_YEAR + timedelta(minutes=minutes)
    found = cron.next(start)
    day = [start + timedelta(minutes=minute) for minute in range(1, 1_441)]
    assert next((minute for minute in day if matches(cron, minute)), None) == (found if found in day else None)


def matches(cron: Cron, at: datetime) -> bool:
    in_month, in_week = at.day in cron.days, at.isoweekday() % 7 in cron.weekdays
    right_day = (in_month and in_week) if cron.any_day or cron.any_weekday else (in_month or in_week)
    return at.minute in cron.minutes and at.hour in cron.hours and at.month in cron.months and right_day
