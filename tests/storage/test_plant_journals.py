"""Resources, leases, jobs, reminders and schedules of every release go on under this one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import understudy
from tests.storage.journals.plant import ENDED, Foreman, Guarded, app, curing, jams, stamped, timed_out
from understudy import Client
from understudy_runtime.actors import journal
from understudy_runtime.storage.reading import open_reader
from understudy_runtime.storage.sqlite import schema

pytestmark = pytest.mark.anyio

KEPT = sorted(Path(__file__).with_name("journals").glob("plant-*.sql"))
PATIENCE_S = 30


def test_the_store_of_this_schema_is_kept() -> None:
    assert f"plant-{schema.SCHEMA}.sql" in [each.name for each in KEPT]


@pytest.fixture(params=KEPT, ids=lambda each: each.stem)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A store as that release left it when it was killed."""
    path = tmp_path / "state.db"
    con = sqlite3.connect(path)
    con.executescript(request.param.read_text())
    con.close()
    return path


@pytest.fixture
async def client(path: Path) -> AsyncIterator[Client]:
    ENDED.clear()
    async with understudy.embedded(app, store=f"sqlite:///{path}") as client:
        yield client


def test_every_turn_of_every_kind_can_be_decoded(path: Path) -> None:
    kinds: set[str] = set()
    with open_reader(path) as reader:
        for row in reader.rows(namespace="default", limit=-1):
            for turn in reader.turns(row.key):
                decoded = journal.decode(turn, reader.blobs(row.key, journal.digests_of(turn)))
                kinds |= {type(record).__name__ for record in decoded.records}
    assert kinds >= {
        "LeaseRequested", "LeaseEnded", "LeaseReturned", "OperationScheduled", "TaskScheduled", "JobSubmitted",
        "ResourceMoved", "LeaseGranted", "LeaseOver", "WaitEnded", "IntentNoted", "IntentEnded", "OperationTaken",
        "OperationOver", "SpecGiven", "ScheduleSet", "ReminderSet", "Cancelled", "Ended",
    }, kinds  # fmt: skip


async def test_what_had_ended_is_known(client: Client) -> None:
    assert (await client.handle("stamped-right", stamped).result()).startswith("right by p-")
    assert await client.handle("jams", jams).result() == "jammed"
    assert await client.handle("timed-out", timed_out).result() == "shut"
    assert [(await client.handle(name).describe()).status for name in ("cancelled", "terminated")] == [
        "cancelled",
        "terminated",
    ]


async def test_the_lock_is_held_until_its_run_ends_and_then_the_next_ones(client: Client) -> None:
    holder, waiter = (client.handle(name, Guarded) for name in ("holder", "waiter"))
    await waiter.tell(Guarded.say, "second")
    await holder.tell(Guarded.say, "first")
    async with asyncio.timeout(PATIENCE_S):
        (first, fence), (second, later) = await asyncio.gather(holder.result(), waiter.result())
    assert (first, second) == ("first", "second")
    assert later > fence


async def test_the_job_is_adopted_and_a_resource_that_was_made_is_used_again(client: Client) -> None:
    ENDED.add("door")
    async with asyncio.timeout(PATIENCE_S):
        assert await client.handle("curing", curing).result() == "door cured"
        before = await client.handle("stamped-right", stamped).result()
        assert await client.run(stamped, "right") == before, "the same press"


async def test_actors_and_schedules_have_their_state(client: Client) -> None:
    assert await client.ask(Foreman.at("ann"), Foreman.all) == ["came"]
    assert (await client.schedules.get("inspections")).status == "active"
