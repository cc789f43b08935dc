"""Leases taken and given back: by a program outside, by many runs of one resource, and of many side by side; locks too.

Latency is of one pair of grant and release: as a program outside sees it, or on average in each run.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.app import cluster, take_turns
from benchmarks.driving import warm_up
from benchmarks.measure import Figures, figures
from benchmarks.place import Place
from understudy import Client, lock
from understudy.leases import LeaseBlock


async def measure(place: Place, *, pairs: int = 300, shared: int = 100, shared_pairs: int = 40) -> list[Figures]:
    async with place.node() as client:
        await warm_up(client)
        return [
            await from_outside(client, "resource", pairs),
            await from_outside(client, "lock", pairs),
            await by_runs(client, "resource", shared=1, runs=30, pairs=max(1, pairs // 10)),
            await by_runs(client, "lock", shared=1, runs=30, pairs=max(1, pairs // 10)),
            await by_runs(client, "resource", shared=shared, runs=shared, pairs=shared_pairs),
            await by_runs(client, "lock", shared=shared, runs=shared, pairs=shared_pairs),
        ]


async def from_outside(client: Client, kind: str, pairs: int) -> Figures:
    latencies_ms: list[float] = []
    block: LeaseBlock[Any] = cluster("outside").lease() if kind == "resource" else lock("outside")
    async with client.lease(block):
        """The resource is made by its first lease."""
    began = time.perf_counter()
    for _ in range(pairs):
        asked = time.perf_counter()
        async with client.lease(block):
            pass
        latencies_ms.append((time.perf_counter() - asked) * 1000)
    seconds = time.perf_counter() - began
    return figures(
        f"{kind} from outside", done=pairs, unit="pairs/s", seconds=seconds, latencies_ms=latencies_ms, runs=0
    )


async def by_runs(client: Client, kind: str, *, shared: int, runs: int, pairs: int) -> Figures:
    """So many runs share so many resources or locks."""
    latencies_ms: list[float] = []
    variant = f"{shared} {kind}{'s' if shared > 1 else ''}"

    async def take(number: int) -> None:
        asked = time.perf_counter()
        await client.run(take_turns, kind, f"{variant} {number % shared}", pairs)
        latencies_ms.append((time.perf_counter() - asked) * 1000 / pairs)

    await asyncio.gather(*(client.run(take_turns, kind, f"{variant} {number}", 1) for number in range(shared)))
    began = time.perf_counter()
    await asyncio.gather(*(take(number) for number in range(runs)))
    seconds = time.perf_counter() - began
    return figures(variant, done=runs * pairs, unit="pairs/s", seconds=seconds, latencies_ms=latencies_ms, runs=runs)
