"""Leases taken and given back: by a program outside, by many runs of one lock, and of many locks side by side.

Latency is of one pair of grant and release: as a program outside sees it, or on average in each run.
"""

from __future__ import annotations

import asyncio
import time

from benchmarks.app import take_turns
from benchmarks.driving import warm_up
from benchmarks.measure import Figures, figures
from benchmarks.place import Place
from understudy import Client, lock


async def measure(place: Place, *, pairs: int = 300, locks: int = 100, lock_pairs: int = 40) -> list[Figures]:
    async with place.node() as client:
        await warm_up(client)
        return [
            await from_outside(client, pairs),
            await by_runs(client, "one lock", locks=1, runs=30, pairs=max(1, pairs // 15)),
            await by_runs(client, f"{locks} locks", locks=locks, runs=locks, pairs=lock_pairs),
        ]


async def from_outside(client: Client, pairs: int) -> Figures:
    latencies_ms: list[float] = []
    began = time.perf_counter()
    for _ in range(pairs):
        asked = time.perf_counter()
        async with client.lease(lock("outside")):
            pass
        latencies_ms.append((time.perf_counter() - asked) * 1000)
    seconds = time.perf_counter() - began
    return figures("outside", done=pairs, unit="pairs/s", seconds=seconds, latencies_ms=latencies_ms, runs=0)


async def by_runs(client: Client, variant: str, *, locks: int, runs: int, pairs: int) -> Figures:
    """So many runs share so many locks."""
    latencies_ms: list[float] = []

    async def take(number: int) -> None:
        asked = time.perf_counter()
        await client.run(take_turns, f"{variant} {number % locks}", pairs)
        latencies_ms.append((time.perf_counter() - asked) * 1000 / pairs)

    began = time.perf_counter()
    await asyncio.gather(*(take(number) for number in range(runs)))
    seconds = time.perf_counter() - began
    return figures(variant, done=runs * pairs, unit="pairs/s", seconds=seconds, latencies_ms=latencies_ms, runs=runs)
