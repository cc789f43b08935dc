"""One run that starts all its tasks at once. Latency is from then to the turn that takes each result in."""

from __future__ import annotations

import time

from benchmarks.app import fanout
from benchmarks.driving import since_first_turn_ms, turns_of, warm_up
from benchmarks.measure import Figures, figures
from benchmarks.place import Place


async def measure(place: Place, *, tasks: int = 1_000) -> list[Figures]:
    async with place.node() as client:
        await warm_up(client)
        began = time.perf_counter()
        await client.run(fanout, tasks, id="fanout")
        seconds = time.perf_counter() - began
        latencies_ms = since_first_turn_ms(await turns_of(client.handle("fanout")))
    return [figures(f"{tasks} tasks", done=tasks, unit="tasks/s", seconds=seconds, latencies_ms=latencies_ms, runs=1)]
