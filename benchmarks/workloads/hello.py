"""Many runs of one task each: how many a second, and how long one takes when the node has nothing else to do.

Latency is from `client.run` to its result.
"""

from __future__ import annotations

from benchmarks.app import hello
from benchmarks.driving import in_flight, warm_up
from benchmarks.measure import Figures, figures
from benchmarks.place import Place


async def measure(place: Place, *, runs: int = 5_000, in_flight_runs: int = 100, alone: int = 500) -> list[Figures]:
    async with place.node() as client:
        await warm_up(client)
        many = await in_flight(runs, in_flight_runs, lambda x: client.run(hello, x))
        one = await in_flight(alone, 1, lambda x: client.run(hello, x))
    return [
        figures(variant, done=done, unit="runs/s", seconds=pace.seconds, latencies_ms=pace.latencies_ms, runs=done)
        for variant, done, pace in ((f"{in_flight_runs} in flight", runs, many), ("1 in flight", alone, one))
    ]
