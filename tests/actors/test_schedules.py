"""Schedules in the engine: one run for each nominal time whatever crashes, and nothing in memory in between."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from msgspec import Raw

from tests.actors.world import T0, Outside, RecordedStore, World, cut_after, living, run
from understudy import App
from understudy.scheduling import Overlap, ScheduleDescription, ScheduleSpec, scheduled_run_id
from understudy_runtime.core.keys import RUN, id_of, schedule_key
from understudy_runtime.core.messages import (
    Accepted,
    BackfillBegun,
    BackfillSchedule,
    DeleteSchedule,
    Describe,
    PauseSchedule,
    SetSchedule,
    Triggered,
    TriggerSchedule,
)
from understudy_runtime.core.ports import TurnWrite
from understudy_runtime.storage.memory import MemoryStore

pytestmark = pytest.mark.anyio

KEY = schedule_key("default", "s")
EVERY_S = 600.0
FIRST = T0 - T0 % EVERY_S + EVERY_S
TINY = 1
"""So many bytes hold no actor: whoever is idle must leave when another comes."""

app = App("scheduled")


@app.task
def work() -> int:
    return 1


@app.workflow
async def quick() -> int:
    return await work()


@app.workflow
async def slow() -> int:
    await asyncio.sleep(2.2 * EVERY_S)
    return await work()


def every(workflow: str = "quick", overlap: Overlap = "skip") -> SetSchedule:
    given = Raw(msgspec.json.encode({"args": [], "kwargs": {}}))
    return SetSchedule(ScheduleSpec(workflow, given, every_s=EVERY_S, overlap=overlap), "update")


def ids(numbers: Sequence[int]) -> list[str]:
    return [scheduled_run_id("s", FIRST + EVERY_S * number) for number in numbers]


async def described(world: World) -> ScheduleDescription:
    reply = await world.ask(KEY, Describe())
    assert isinstance(reply, ScheduleDescription), reply
    return reply


async def test_a_schedule_starts_its_runs_and_hears_of_their_end() -> None:
    async with living([app], MemoryStore()) as world:
        assert await world.ask(KEY, every()) == Accepted()
        await world.pass_time(FIRST + 4.5 * EVERY_S - T0)
        shown = await described(world)
        assert [each.run_id for each in reversed(shown.recent)] == ids(range(5))
        assert (shown.started, shown.succeeded, shown.running) == (5, 5, ())


async def test_between_nominal_times_it_is_out_of_memory_and_writes_nothing() -> None:
    store = RecordedStore()
    async with living([app], store, resident_bytes=TINY) as world:
        await world.ask(KEY, every())
        for each in range(20):
            await world.ask(run(f"crowd {each}"), Describe())
        assert KEY not in world.engine._cells
        written = len(store.written)
        await world.pass_time(FIRST - T0 - 1)
        assert len(store.written) == written
        assert KEY not in world.engine._cells
        await world.pass_time(2)
        assert (await described(world)).started == 1


@pytest.mark.parametrize("window_s", [float("inf"), EVERY_S / 4])
async def test_a_node_that_starts_later_takes_the_schedule_up(window_s: float) -> None:
    store = MemoryStore()
    async with living([app], store) as world:
        await world.ask(KEY, every())
    async with living([app], store, now=FIRST - 1, window_s=window_s) as world:
        await world.pass_time(2 * EVERY_S)
        assert [each.run_id for each in reversed((await described(world)).recent)] == ids([0, 1])


async def test_after_an_outage_the_newest_missed_time_is_made_up_for_once() -> None:
    store = MemoryStore()
    async with living([app], store) as world:
        await world.ask(KEY, every())
    for _ in range(2):
        async with living([app], store, now=FIRST + 5.5 * EVERY_S) as world:
            await world.pass_time(10)
            shown = await described(world)
            assert [each.run_id for each in shown.recent] == ids([5])
            assert (shown.missed_from, shown.missed_to) == (FIRST, FIRST + 5 * EVERY_S)


@pytest.mark.parametrize("overlap", ["skip", "buffer_one", "buffer", "allow", "cancel", "terminate"])
async def test_a_crash_behind_any_turn_leaves_one_run_for_each_nominal_time(overlap: Overlap) -> None:
    whole = await life(RecordedStore(), T0, overlap, Outside())
    assert len(whole.written) > 20
    for turns in range(1, len(whole.written)):
        at = whole.written[turns - 1].at
        again = await life(await cut_after(whole.written, turns), at, overlap, Outside())
        assert runs(again.written) == runs(whole.written), f"a crash behind turn {turns}"
        assert begun(again.written) == begun(whole.written), f"a crash behind turn {turns}"


async def life(store: RecordedStore, now: float, overlap: Overlap, outside: Outside) -> RecordedStore:
    """Eight nominal times, two more from before, and whatever they leave behind."""
    async with living([app], store, now=now, outside=outside) as world:
        await world.ask(KEY, every("slow", overlap))
        await world.ask(KEY, BackfillSchedule(FIRST - 3 * EVERY_S, FIRST - 2 * EVERY_S, "allow", "once"))
        await world.pass_time(max(FIRST + 7.5 * EVERY_S - now, 0))
        await world.ask(KEY, PauseSchedule())
        await world.pass_time(3 * EVERY_S)
    return store


def runs(written: Sequence[TurnWrite]) -> set[str]:
    return {id_of(turn.key) for turn in written if f"/{RUN}/" in turn.key}


def begun(written: Sequence[TurnWrite]) -> list[str]:
    """The runs that were started, each as often as it was."""
    return sorted(
        id_of(turn.key) for turn in written if turn.records is not None and b'"t":"ExecutionStarted"' in turn.records
    )


async def test_a_run_whose_code_is_elsewhere_starts_when_it_is_here() -> None:
    store = MemoryStore()
    async with living([App("empty")], store) as world:
        await world.ask(KEY, every())
        await world.pass_time(FIRST - T0 + 1)
        assert len((await described(world)).running) == 1
    async with living([app], store, now=FIRST + 2) as world:
        await world.pass_time(10)
        shown = await described(world)
        assert (shown.succeeded, shown.started) == (1, 1)


async def test_a_backfill_of_times_that_have_their_runs_starts_none_of_them_again() -> None:
    store = RecordedStore()
    async with living([app], store) as world:
        await world.ask(KEY, every())
        await world.pass_time(FIRST + 1.5 * EVERY_S - T0)
        message = BackfillSchedule(FIRST - EVERY_S, FIRST + EVERY_S)
        assert await world.ask(KEY, message) == BackfillBegun(3)
        await world.pass_time(30)
        shown = await described(world)
        assert [each.ended for each in shown.recent[:3]] == ["existed", "existed", "succeeded"]
        assert begun(store.written) == sorted(ids([-1, 0, 1]))


async def test_a_triggered_run_and_one_at_the_same_moment_are_two() -> None:
    async with living([app], MemoryStore()) as world:
        await world.ask(KEY, every(overlap="allow"))
        await world.pass_time(FIRST - T0)
        triggered = await world.ask(KEY, TriggerSchedule())
        assert triggered == Triggered(f"{ids([0])[0]}+2")
        await world.pass_time(10)
        assert (await described(world)).succeeded == 2


async def test_a_deleted_schedule_stays_deleted_and_its_row_says_so() -> None:
    store = MemoryStore()
    async with living([app], store) as world:
        await world.ask(KEY, every("slow"))
        await world.pass_time(FIRST - T0 + 1)
        await world.ask(KEY, DeleteSchedule())
    async with living([app], store, now=FIRST + 10 * EVERY_S) as world:
        assert (await world.result(run(ids([0])[0]))).status == "succeeded"
        await world.pass_time(10 * EVERY_S)
        (row,) = await store.rows(namespace="default", kind="schedule")
        assert (row.status, row.parked_until) == ("deleted", float("inf"))
        assert len(await store.rows(namespace="default", kind=RUN)) == 1
