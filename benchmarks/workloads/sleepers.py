"""Runs that sleep: started at a steady rate, so that they must wake at that rate.

Latency is lateness: from when a run was due to the turn that woke it. `parked_mb` is the process's memory
when all of them sleep.
"""

from __future__ import annotations

import asyncio
import time

import msgspec

from benchmarks.app import sleeper
from benchmarks.driving import in_flight, warm_up
from benchmarks.measure import Figures, figures, rss_mb
from benchmarks.place import Place
from understudy import Client

COLLECTING = 100
"""Results asked for at a time, once all are due."""


async def measure(
    place: Place, *, runs: int = 10_000, per_second: float = 1_000.0, sleep_s: float = 60.0
) -> list[Figures]:
    async with place.node() as client:
        await warm_up(client)
        began = time.perf_counter()
        await _start(client, runs, per_second, sleep_s)
        starting_s = time.perf_counter() - began
        parked_mb = rss_mb()
        await asyncio.sleep(sleep_s)
        woken = await _collect(client, runs)
    wakes = sorted(at for _, at in woken)
    measured = figures(
        f"{sleep_s:g} s",
        done=runs,
        unit="wakes/s",
        seconds=max(wakes[-1] - wakes[0], runs / per_second / 10),
        latencies_ms=[(at - due) * 1000 for due, at in woken],
        runs=runs,
    )
    return [msgspec.structs.replace(measured, more={"parked_mb": parked_mb, "started_per_s": runs / starting_s})]


async def _start(client: Client, runs: int, per_second: float, sleep_s: float) -> None:
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(runs):
            ahead_s = began + number / per_second - time.perf_counter()
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
            group.create_task(client.start(sleeper, sleep_s, id=f"sleeper-{number}"))


async def _collect(client: Client, runs: int) -> list[tuple[float, float]]:
    woken: list[tuple[float, float]] = []

    async def collect(number: int) -> None:
        woken.append(await client.handle(f"sleeper-{number}", sleeper).result())

    await in_flight(runs, COLLECTING, collect)
    return woken
