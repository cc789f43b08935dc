"""Cron expressions in time zones, above all when clocks change."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.errors import BadDefinition
from understudy_runtime.execution.calendar import ZoneCalendar

CALENDAR = ZoneCalendar()
BERLIN, LORD_HOWE, SANTIAGO, APIA = "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia"


def following(cron: str, tz: str, start: str, count: int) -> list[str]:
    at = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(tz)).timestamp()
    times: list[str] = []
    for _ in range(count):
        found = CALENDAR.next(cron, tz, at)
        assert found is not None
        at = found
        times.append(f"{datetime.fromtimestamp(at, ZoneInfo(tz)):%d %H:%M %z}")
    return times


def test_the_local_time_stays_the_same_through_the_year() -> None:
    year = following("0 3 * * *", BERLIN, "2026-01-01", 365)
    assert {time.split()[1] for time in year} == {"03:00"}
    assert {time.split()[2] for time in year} == {"+0100", "+0200"}


@pytest.mark.parametrize(
    ("cron", "tz", "start", "times"),
    [
        ("30 2 * * *", BERLIN, "2026-03-28T12:00", ["29 03:00 +0200", "30 02:30 +0200"]),
        ("15,45 2 * * *", BERLIN, "2026-03-28T12:00", ["29 03:00 +0200", "30 02:15 +0200"]),
        ("0,30 2,3 * * *", BERLIN, "2026-03-28T12:00", ["29 03:00 +0200", "29 03:30 +0200", "30 02:00 +0200"]),
        ("15,40 2 * * *", LORD_HOWE, "2026-10-03T12:00", ["04 02:30 +1100", "04 02:40 +1100", "05 02:15 +1100"]),
        ("30 0 * * *", SANTIAGO, "2026-09-05T12:00", ["06 01:00 -0300", "07 00:30 -0300"]),
        ("0 12 * * *", APIA, "2011-12-29T00:00", ["29 12:00 -1000", "31 00:00 +1400", "31 12:00 +1400"]),
    ],
)
def test_a_skipped_local_time_counts_as_the_moment_of_the_change(
    cron: str, tz: str, start: str, times: list[str]
) -> None:
    assert following(cron, tz, start, len(times)) == times


@pytest.mark.parametrize(
    ("cron", "tz", "start", "times"),
    [
        ("30 2 * * *", BERLIN, "2026-10-24T12:00", ["25 02:30 +0200", "26 02:30 +0100"]),
        ("30 1-3 * * *", BERLIN, "2026-10-25T00:00", ["25 01:30 +0200", "25 02:30 +0200", "25 03:30 +0100"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04T12:00", ["05 01:45 +1100", "06 01:45 +1030"]),
        ("30 1 * * *", "Europe/Dublin", "2026-10-24T12:00", ["25 01:30 +0100", "26 01:30 +0000"]),
    ],
)
def test_a_repeated_local_time_counts_once(cron: str, tz: str, start: str, times: list[str]) -> None:
    assert following(cron, tz, start, len(times)) == times


@pytest.mark.parametrize(("start", "hours"), [("2026-03-28T22:00", 23), ("2026-10-24T22:00", 25)])
def test_every_quarter_of_an_hour_is_every_quarter_of_an_hour_on_all_days(start: str, hours: int) -> None:
    times = [CALENDAR.next("*/15 * * * *", BERLIN, _at(start) + 900 * n) for n in range(4 * hours)]
    assert times == [_at(start) + 900 * (n + 1) for n in range(4 * hours)]


def test_once_an_hour_goes_by_the_hours_that_pass() -> None:
    assert following("0 * * * *", BERLIN, "2026-10-25T01:30", 4) == [
        "25 02:00 +0200",
        "25 02:00 +0100",
        "25 03:00 +0100",
        "25 04:00 +0100",
    ]


ZONES = [BERLIN, LORD_HOWE, SANTIAGO, APIA, "America/New_York", "Europe/Dublin", "Antarctica/Troll", "UTC"]
CHANGES = [1_774_746_000, 1_793_062_800, 1_791_129_600, 1_775_314_800, 1_325_239_200, 1_757_217_600]
HOURS = st.one_of(st.just("*"), st.just("*/2"), st.integers(0, 23).map(str), st.just("1-3"), st.just("0,2,12"))


@given(
    st.sampled_from(ZONES),
    HOURS,
    st.sampled_from(["0", "*", "*/7", "15,45"]),
    st.sampled_from(CHANGES),
    st.integers(-200_000, 200_000),
)
def test_back_and_forth_leads_to_the_same_time(tz: str, hour: str, minute: str, change: int, off: int) -> None:
    cron, start = f"{minute} {hour} * * *", float(change + off)
    after = CALENDAR.next(cron, tz, start)
    assert after is not None
    before = CALENDAR.previous(cron, tz, after)
    assert before is not None
    assert before <= start < after
    assert CALENDAR.next(cron, tz, before) == after
    assert CALENDAR.previous(cron, tz, after + 1) == after


def test_what_never_comes_is_none() -> None:
    assert CALENDAR.previous("0 0 29 2 *", "UTC", 0.0) is not None
    with pytest.raises(BadDefinition, match="no time zone"):
        CALENDAR.next("0 0 * * *", "Mars/Olympus", 0.0)


def _at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN)).timestamp()
