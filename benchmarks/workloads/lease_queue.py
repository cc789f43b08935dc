"""Many runs that wait for one resource: what they cost in memory while they wait, and whether each gets its turn.

`grew_mb` is what the whole process has more when all of them wait; `out_of_turn` how many were granted their lease
after one that came later, which must be none. Latency is from the moment at which the
resource is free to the end of a run.
"""

from __future__ import annotations

import asyncio
import gc
import time
from itertools import pairwise

from benchmarks.app import Holds, cluster, take_turns
from benchmarks.driving import warm_up
from benchmarks.measure import Figures, figures, rss_mb
from benchmarks.place import Place
from understudy import Client
from understudy.resource_door import resource_door

NAME = "busy"


async def measure(place: Place, *, waiters: int = 1_000) -> list[Figures]:
    async with place.node() as client:
        await warm_up(client)
        await client.run(take_turns, "resource", NAME, 1)
        holder = await client.start(Holds, NAME)
        await _waiting(client, 0, held=1)
        gc.collect()
        before_mb = rss_mb()
        # One after the other: each request is in the resource's mailbox before the next run begins.
        runs = [await client.start(take_turns, "resource", NAME, 1) for _ in range(waiters)]
        await _waiting(client, waiters, held=1)
        grew_mb = rss_mb() - before_mb
        latencies_ms: list[float] = []

        async def end(number: int) -> int:
            fence = await runs[number].result()
            latencies_ms.append((time.perf_counter() - began) * 1000)
            return fence

        ends = [asyncio.create_task(end(number)) for number in range(waiters)]
        await asyncio.sleep(0)
        began = time.perf_counter()
        await holder.tell(Holds.let_go)
        fences = await asyncio.gather(*ends)
        seconds = time.perf_counter() - began
    late = sum(after < before for before, after in pairwise(fences))
    return [
        figures(
            f"{waiters} waiters",
            done=waiters,
            unit="grants/s",
            seconds=seconds,
            latencies_ms=latencies_ms,
            runs=waiters,
            grew_mb=grew_mb,
            out_of_turn=late,
        )
    ]


async def _waiting(client: Client, waiting: int, *, held: int) -> None:
    """Until so many wait."""
    door, address = resource_door(client.door), cluster(NAME).address
    while True:
        found = await door.describe_resource(address)
        if (found.waiting, found.held) == (waiting, held):
            return
        await asyncio.sleep(0.02)
