"""Jobs that go on: polled again and again, with nothing new to say.

`busy_share` is the share of one core that the whole process takes while they are watched. Latency is the lag of the
node's engine loop, sampled. `turns` is what the watching wrote, which must be nothing.
"""

from __future__ import annotations

import asyncio
import time

from benchmarks.driving import in_flight
from benchmarks.measure import Figures, figures
from benchmarks.place import Place
from understudy import App, Client
from understudy.jobs import Job, Status, pending

STARTING = 200
"""Runs started at a time."""
SAMPLE_S = 0.01

app = App("bench-jobs")
polls = 0


class Endless(Job[int, None]):
    async def submit(self, idempotency_key: str, number: int) -> int:
        return number

    async def poll(self, handle: int) -> Status[None]:
        global polls
        polls += 1
        return pending()


endless = app.job(every="10s")(Endless)


@app.workflow
async def watched(number: int) -> None:
    await endless(number)


async def measure(place: Place, *, jobs: int = 10_000, seconds: float = 30.0) -> list[Figures]:
    async with place.node(app) as client:

        async def start(number: int) -> None:
            await client.start(watched, number, id=f"job-{number}")

        await in_flight(jobs, STARTING, start)
        await asyncio.sleep(min(seconds, 12.0))
        turns = await _turns(client, jobs)
        polled, began, used = polls, time.perf_counter(), time.process_time()
        lags = await _lags(began + seconds)
        took, used, polled = time.perf_counter() - began, time.process_time() - used, polls - polled
        written = await _turns(client, jobs) - turns
    return [
        figures(
            f"{jobs} jobs",
            done=polled,
            unit="polls/s",
            seconds=took,
            latencies_ms=lags,
            runs=jobs,
            busy_share=used / took,
            turns=written,
        )
    ]


async def _turns(client: Client, jobs: int) -> int:
    """Those of a few runs, spread over all."""
    several = range(0, jobs, max(1, jobs // 10))
    return sum([len(await client.handle(f"job-{number}").history()) for number in several])


async def _lags(until: float) -> list[float]:
    lags: list[float] = []
    while (before := time.perf_counter()) < until:
        await asyncio.sleep(SAMPLE_S)
        lags.append((time.perf_counter() - before - SAMPLE_S) * 1000)
    return lags
