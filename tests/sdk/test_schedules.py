"""Schedules as users write and mind them, over weeks of virtual time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import understudy
from understudy import (
    AlreadyExists,
    App,
    BadDefinition,
    BadInput,
    UnknownName,
    scheduled_for,
    testing,
)
from understudy.scheduling import MAX_CRONS, MAX_SCHEDULE_ID_CHARS, nominal_time, scheduled_run_id

pytestmark = pytest.mark.anyio

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)

app = App("reports")


@app.task
async def stamp(region: str) -> str:
    at = scheduled_for()
    return f"{region} {at:%m-%d %H:%M}" if at is not None else region


@app.schedule(cron="30 2 * * *", tz="Europe/Berlin", args=["north"])
@app.schedule(id="weekly", cron="0 9 * * MON", kwargs={"region": "south"}, overlap="buffer")
@app.workflow
async def report(region: str) -> str:
    return await stamp(region)


@app.workflow
class Slow:
    async def run(self) -> datetime | None:
        await asyncio.sleep(90 * 60)
        return scheduled_for()


@app.workflow
async def child_of_nobody() -> bool:
    return scheduled_for() is None


@App("other").workflow
async def elsewhere() -> None: ...


async def test_a_declared_schedule_runs_at_its_local_time_for_months() -> None:
    async with testing.node(app) as client:
        await client.advance("150d")
        described = await client.schedules.get("report")
        assert (described.started, described.succeeded, described.failed) == (150, 150, 0)
        runs = await client.list(workflow="report", limit=1_000)
        times = {
            at.astimezone(BERLIN)
            for run in runs
            if run.run_id.startswith("report/") and (at := nominal_time(run.run_id))
        }
        assert len(times) == 150
        assert {f"{at:%H:%M}" for at in times} == {"02:30", "03:00"}
        assert [f"{at:%m-%d}" for at in times if at.hour == 3] == ["03-29"]


async def test_code_knows_the_nominal_time_in_workflow_and_task() -> None:
    async with testing.node(app) as client:
        await client.advance("8d")
        assert await client.handle("weekly/2026-01-05T09:00:00Z").result() == "south 01-05 09:00"
        await client.schedules.create("slow", Slow, every="1h", jitter="5m", ends=NEW_YEAR + timedelta(days=8, hours=1))
        await client.advance("3h")
        described = await client.schedules.get("slow")
        assert await client.handle(described.recent[0].run_id, Slow).result() == NEW_YEAR + timedelta(days=8, hours=1)
        assert await client.run(child_of_nobody)


async def test_starting_again_neither_doubles_nor_resets_what_is_declared(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/state.db"
    async with understudy.embedded(app, store) as client:
        await client.schedules.pause("report", "holiday")
        first = await client.schedules.get("report")
    async with understudy.embedded(app, store) as client:
        assert await client.schedules.get("report") == first
        assert {each.schedule_id for each in await client.schedules.list()} == {"report", "weekly"}


async def test_changed_code_changes_its_schedule(tmp_path: Path) -> None:
    def version(cron: str) -> App:
        changing = App("changing")

        @changing.schedule(cron=cron)
        @changing.workflow
        async def job() -> None: ...

        return changing

    store = f"sqlite:///{tmp_path}/state.db"
    for cron in ("0 1 * * *", "0 2 * * *"):
        async with understudy.embedded(version(cron), store) as client:
            described = await client.schedules.get("job")
            assert described.spec.cron == (cron,)
            assert described.next_at is not None
            assert datetime.fromtimestamp(described.next_at, UTC).hour == int(cron[2])


async def test_a_schedule_is_minded_through_the_client() -> None:
    async with testing.node(app) as client:
        schedules = client.schedules
        await schedules.create("hourly", report, "east", every="1h")
        await schedules.create("hourly", report, "east", every="1h")
        with pytest.raises(AlreadyExists):
            await schedules.create("hourly", report, "west", every="1h")
        await client.advance("2h")
        await schedules.pause("hourly", "why not")
        await client.advance("3h")
        described = await schedules.get("hourly")
        assert (described.status, described.note, described.started) == ("paused", "why not", 2)
        assert await schedules.backfill("hourly", NEW_YEAR + timedelta(hours=2), NEW_YEAR + timedelta(hours=5)) == 4
        await client.advance("1m")
        described = await schedules.get("hourly")
        assert [run.ended for run in described.recent] == ["succeeded"] * 3 + ["existed"] + ["succeeded"] * 2
        assert await client.handle(await schedules.trigger("hourly")).result() == "east 01-01 05:01"
        await schedules.resume("hourly")
        await schedules.update("hourly", cron="*/30 * * * *", overlap="allow")
        await client.advance("1h")
        described = await schedules.get("hourly")
        assert (described.spec.every_s, described.spec.overlap, described.started) == (None, "allow", 9)
        await schedules.delete("hourly")
        assert "hourly" not in {each.schedule_id for each in await schedules.list()}
        with pytest.raises(UnknownName, match="no schedule hourly"):
            await schedules.get("hourly")


async def test_the_list_has_a_limit_and_leaves_out_what_is_deleted() -> None:
    async with testing.node(App("none", build="1")) as client:
        assert await client.schedules.list() == []
    async with testing.node(app) as client:
        await client.schedules.delete("weekly")
        await client.schedules.create("new", report, "east", every="1h", paused=True)
        assert {each.schedule_id for each in await client.schedules.list()} == {"new", "report"}
        assert len(await client.schedules.list(limit=1)) == 1


async def test_arguments_that_do_not_fit_are_refused() -> None:
    async with testing.node(app) as client:
        with pytest.raises(BadInput):
            await client.schedules.create("x", report, 7, every="1h")
        with pytest.raises(UnknownName, match="no workflow named elsewhere"):
            await client.schedules.create("x", elsewhere, every="1h")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "either cron"),
        ({"cron": "0 3 * * *", "every": "1h"}, "either cron"),
        ({"cron": "0 3 * *"}, "no cron expression"),
        ({"cron": ["0 3 * * *"] * (MAX_CRONS + 1)}, "at most"),
        ({"cron": "0 3 * * *", "tz": "Berlin"}, "no time zone"),
        ({"cron": "0 3 * * *", "tz": "../etc/passwd"}, "no time zone"),
        ({"every": "0.5s"}, "1 second to 100 years"),
        ({"every": "1h", "starts": datetime(2026, 1, 1)}, "has no time zone"),  # noqa: DTZ001
        ({"every": "1h", "starts": NEW_YEAR, "ends": NEW_YEAR - timedelta(1)}, "ends before it starts"),
        ({"every": "1h", "starts": datetime(1969, 1, 1, tzinfo=UTC)}, "between 1970 and"),
        ({"every": "1h", "ends": datetime(9999, 1, 1, tzinfo=UTC)}, "between 1970 and"),
        ({"every": "1h", "overlap": "queue"}, "no such policy"),
        ({"every": "1h", "catch_up": "some"}, "no such policy"),
        ({"every": "1h", "id": "x" * (MAX_SCHEDULE_ID_CHARS + 1)}, "no id of a schedule"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_written(options: dict[str, object], said: str) -> None:
    fresh = App("fresh")
    with pytest.raises(BadDefinition, match=said):

        @fresh.schedule(**options)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        @fresh.workflow
        async def job() -> None: ...


def test_two_schedules_of_a_workflow_need_ids() -> None:
    fresh = App("fresh")
    with pytest.raises(BadDefinition, match="two schedules called job"):

        @fresh.schedule(every="1h")
        @fresh.schedule(every="2h")
        @fresh.workflow
        async def job() -> None: ...


def test_the_decorator_goes_above_the_workflows() -> None:
    fresh = App("fresh")
    with pytest.raises(BadDefinition, match=r"goes above @app\.workflow"):

        @fresh.schedule(every="1h")
        async def job() -> None: ...


async def test_declared_arguments_that_do_not_fit_stop_the_node() -> None:
    fresh = App("fresh")

    @fresh.schedule(every="1h", args=["x"])
    @fresh.workflow
    async def job(number: int) -> None: ...

    with pytest.raises(BadInput):
        async with testing.node(fresh):
            pass


@pytest.mark.parametrize("at", [0.0, 1_767_225_600.0, 1_767_225_600.25, 4_102_444_799.999])
def test_a_run_id_tells_its_nominal_time(at: float) -> None:
    for trigger in (0, 12):
        assert nominal_time(scheduled_run_id("a/b", at, trigger)) == datetime.fromtimestamp(at, UTC)


@pytest.mark.parametrize(
    "run_id", ["", "x", "2026-01-01T00:00:00Z", "x/2026-13-01T00:00:00Z", "x/2026-01-01T00:00:00Z/1"]
)
def test_other_run_ids_tell_none(run_id: str) -> None:
    assert nominal_time(run_id) is None


async def test_time_stands_still_once_the_run_that_is_awaited_has_ended() -> None:
    async with testing.node(app) as client:
        for day in range(1, 6):
            await client.advance(NEW_YEAR + timedelta(days=day) - client.now())
            assert await client.handle(f"report/2026-01-{day:02}T01:30:00Z").result() == f"north 01-{day:02} 01:30"
            assert await client.run(report, "north") == "north"
            assert client.now() == NEW_YEAR + timedelta(days=day)
