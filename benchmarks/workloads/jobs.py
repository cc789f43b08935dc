"""Jobs that go on: polled again and again, with nothing new to say.

`busy_share` is the share of one core that the whole process takes while they are watched, `commits` what it writes,
which must be nothing, and latency the lag of the node's loop. `started_per_s` is from the first start
to the last handle that is durable; then all of them are watched.
"""

from __future__ import annotations

import asyncio
import time

from benchmarks.driving import in_flight
from benchmarks.measure import Figures
from benchmarks.place import Place
from benchmarks.within import Within, within
from understudy import App
from understudy.jobs import Job, Status, pending

STARTING = 200
"""Runs started at a time."""
LOOK_S = 0.05

polls = 0


class Endless(Job[int, None]):
    async def submit(self, idempotency_key: str, number: int) -> int:
        return number

    async def poll(self, handle: int) -> Status[None]:
        global polls
        polls += 1
        return pending()


async def measure(
    place: Place, *, jobs: int = 10_000, poll_every_s: float = 10.0, watched_s: float = 30.0
) -> list[Figures]:
    app = App("bench-jobs")
    endless = app.job(every=poll_every_s)(Endless)

    @app.workflow(name="watched")
    async def watched(number: int) -> None:
        await endless(number)

    async with within(place, app) as (client, inside):
        began = time.perf_counter()
        await in_flight(jobs, STARTING, lambda number: client.start(watched, number, id=f"job-{number}"))
        await at_rest(inside)
        starting_s = time.perf_counter() - began
        await asyncio.sleep(min(watched_s, 1.2 * poll_every_s))  # the first poll of each is behind it
        polled = polls
        quiet = await inside.leave_alone(watched_s)
        return [
            quiet.figures(
                f"{jobs} jobs", done=polls - polled, unit="polls/s", runs=jobs, started_per_s=jobs / starting_s
            )
        ]


async def at_rest(inside: Within) -> None:
    """Until no attempt is out and nothing has been committed for a while."""
    commits = -1
    while inside.attempts or commits != inside.commits:
        commits = inside.commits
        await asyncio.sleep(LOOK_S)
