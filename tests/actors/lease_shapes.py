"""Shapes of runs that share things: locks, semaphores, databases that are there, clusters that have to be made.

Everyone comes at a time of his own, so that who is first does not hang on how messages of one instant are taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from tests.actors.shapes import SCENARIOS as PLAIN_SCENARIOS
from tests.actors.shapes import Scenario, asking, scenario
from tests.actors.shapes import app as plain_app
from tests.actors.world import run, starting
from understudy import (
    Actor,
    App,
    LeaseTimedOut,
    Resource,
    ResourceFailed,
    TaskFailed,
    continue_as_new,
    handler,
    leases,
    lock,
    operation,
    semaphore,
)
from understudy_runtime.core.keys import actor_key
from understudy_runtime.core.messages import Cancel, Terminate

app = App("lease-shapes")
APPS: Final = (plain_app, app)
GUARDED: Final = "guarded"


@app.task
def guarded(what: str, who: str) -> str:
    """What must not be done by two at once. The first argument says under which lock: `tests.actors.holding`."""
    if who.endswith("!"):
        raise ValueError(who)
    return who


@app.resource(capacity=3)
class Database(Resource[str, str]):
    @operation(idempotent=True, concurrency=1)
    def query(self, handle: str, sql: str, fence: int = 0) -> str:
        return f"{sql} at {handle} under {fence}"


@app.resource(capacity=2, idle_timeout="3s")
class Cluster(Resource[str, str]):
    """Its calls change nothing outside, and `find` finds what was made."""

    def create(self, spec: str, fence: int) -> str:
        return f"{spec}-{fence}"

    def find(self, spec: str, fence: int) -> str | None:
        return f"{spec}-{fence}"

    def destroy(self, handle: str, fence: int) -> None: ...


@app.resource()
class Unmakable(Resource[str, str]):
    def create(self, spec: str, fence: int) -> str:
        raise ValueError(spec)

    def find(self, spec: str, fence: int) -> str | None:
        return None

    def destroy(self, handle: str, fence: int) -> None: ...


@app.workflow
async def works(who: str) -> list[Any]:
    async with lock("ledger") as held:
        seen: list[Any] = [held.fence, await guarded("ledger", who)]
        seen.append(await guarded("ledger", who.upper()))
    return [*seen, await guarded("", "after")]


@app.workflow
async def works_on_several(names: list[str], who: str) -> list[Any]:
    async with leases(*(lock(name) for name in names)) as held:
        await asyncio.gather(*(guarded(name, who) for name in names))
        return [each.fence for each in held]


@app.workflow
async def shares(units: int, priority: int) -> int:
    async with semaphore("licences", 3).lease(units, priority=priority) as held:
        await guarded("", f"{units}")
        return held.fence


@app.workflow
async def queries(name: str, how: str) -> list[str]:
    there = Database.at(name, "host")
    async with there.exclusive() if how == "alone" else there.lease() as database:
        return list(await asyncio.gather(database.query("a"), database.query("b")))


@app.workflow
async def impatient(who: str) -> list[Any]:
    """Waits twice, each time too short, and then for as long as it takes."""
    seen: list[Any] = []
    try:
        async with lock("ledger").lease(wait="0.25s"):
            seen.append("unlikely")
    except LeaseTimedOut:
        seen.append("timed out")
    try:
        async with asyncio.timeout(0.125), lock("ledger"):
            seen.append("unlikely")
    except TimeoutError:
        seen.append("gave up")
    async with lock("ledger") as held:
        return [*seen, held.fence, await guarded("ledger", who)]


@app.workflow
async def leaves_work_behind(who: str) -> int:
    """Its block ends while something that was begun in it still runs: the next holder has to wait for that."""
    async with lock("ledger") as held:
        with_others = asyncio.create_task(guarded("ledger", f"{who} left"))
        await asyncio.sleep(0.03)
    await with_others
    return held.fence


@app.workflow
async def fails_within(who: str) -> None:
    async with lock("ledger"):
        await guarded("ledger", f"{who}!")


@app.workflow
async def takes_turns(count: int) -> str:
    async with lock("ledger"):
        await guarded("ledger", f"turn {count}")
        if count:
            continue_as_new(count - 1)
    return "done"


@app.workflow
async def has_it_done(who: str) -> str:
    async with lock("ledger"):
        return await does_it(who)


@app.workflow
async def does_it(who: str) -> str:
    return await guarded("ledger", who)


@app.actor
class Clerk(Actor):
    entries: list[str] = []

    @handler
    async def enter(self, who: str) -> list[str]:
        async with lock("ledger"):
            self.entries.append(await guarded("ledger", who))
        return self.entries


@app.workflow
async def has_it_entered(who: str) -> list[str]:
    return await Clerk.at("one").ask(Clerk.enter, who)


@app.workflow
async def computes(pause_s: float) -> list[Any]:
    """Twice, with a pause that an idle cluster does, or does not, outlive."""
    seen: list[Any] = []
    for _ in range(2):
        async with Cluster.at("shared", "small").lease() as cluster:
            seen.append(await guarded("", cluster.handle.partition("-")[0]))
        await asyncio.sleep(pause_s)
    return seen


@app.workflow
async def cannot_compute() -> str:
    try:
        async with Unmakable.at("x", "small").lease():
            return "unlikely"
    except (ResourceFailed, TaskFailed) as error:
        return type(error).__name__


def _runs(*of: tuple[float, str, Sequence[Any]]) -> Scenario:
    return scenario(*((at, run(f"r{number}"), starting(name, *args)) for number, (at, name, args) in enumerate(of)))


_CLERK: Final = actor_key("default", "Clerk", "one")

LEASE_SCENARIOS: Final[dict[str, Scenario]] = {
    "a_lock": _runs((0.0, "works", ["ann"])),
    "a_lock_for_three": _runs(*((0.001 * n, "works", [who]) for n, who in enumerate(["ann", "bob", "cyd"]))),
    "several_locks": _runs(
        (0.0, "works_on_several", [["a", "b", "c"], "ann"]),
        (0.001, "works_on_several", [["c", "a"], "bob"]),
        (0.002, "works_on_several", [["d", "c"], "cyd"]),
    ),
    "a_semaphore": _runs(*((0.001 * n, "shares", [units, 0]) for n, units in enumerate([2, 2, 3, 1]))),
    "a_semaphore_by_priority": _runs(
        *((0.001 * n, "shares", [units, priority]) for n, (units, priority) in enumerate([(3, 0), (3, 0), (1, 5)]))
    ),
    "a_database": _runs(
        *((0.001 * n, "queries", ["shop", how]) for n, how in enumerate(["shared", "shared", "alone", "shared"]))
    ),
    "impatient": _runs((0.0, "works", ["ann"]), (0.001, "impatient", ["bob"])),
    "work_left_behind": _runs((0.0, "leaves_work_behind", ["ann"]), (0.001, "works", ["bob"])),
    "a_failure_within": _runs((0.0, "fails_within", ["ann"]), (0.001, "works", ["bob"])),
    "continued_within": _runs((0.0, "takes_turns", [2]), (0.001, "works", ["bob"])),
    "a_child_within": _runs((0.0, "has_it_done", ["ann"]), (0.001, "works", ["bob"])),
    "a_clerk": scenario(
        (0.0, _CLERK, asking("enter", "z")),
        (0.001, run("r0"), starting("has_it_entered", "ann")),
        (0.002, run("r1"), starting("works", "bob")),
    ),
    "cancelled_holder": scenario(
        (0.0, run("r0"), starting("works", "ann")),
        (0.001, run("r1"), starting("works", "bob")),
        (0.043, run("r0"), Cancel("enough")),
    ),
    "terminated_holder": scenario(
        (0.0, run("r0"), starting("works", "ann")),
        (0.001, run("r1"), starting("works", "bob")),
        (0.043, run("r0"), Terminate("enough")),
    ),
    "cancelled_waiter": scenario(
        (0.0, run("r0"), starting("works", "ann")),
        (0.001, run("r1"), starting("works", "bob")),
        (0.002, run("r2"), starting("works", "cyd")),
        (0.043, run("r1"), Cancel("enough")),
    ),
    "a_cluster": scenario(
        (0.0, run("r0"), starting("computes", 1.0)),
        (0.001, run("r1"), starting("computes", 6.0)),
        same_times=False,
    ),
    "no_cluster": scenario((0.0, run("r0"), starting("cannot_compute")), same_times=False),
}
SCENARIOS: Final[dict[str, Scenario]] = {**PLAIN_SCENARIOS, **LEASE_SCENARIOS}
