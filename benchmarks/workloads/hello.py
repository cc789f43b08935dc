"""Many runs of one task each: how many a second, and how long one takes when the node has nothing else to do.

Latency is from `client.run` to its result. Of a node in another process, `loop_lag_p99_ms_at_most` is how late its
engine's loop was, as its metrics have it.
"""

from __future__ import annotations

from benchmarks.app import hello
from benchmarks.driving import in_flight, warm_up
from benchmarks.measure import Figures, figures
from benchmarks.place import Place
from benchmarks.served import looked_into


async def measure(place: Place, *, runs: int = 5_000, in_flight_runs: int = 100, alone: int = 500) -> list[Figures]:
    measured: list[Figures] = []
    async with place.opened() as (client, node):
        await warm_up(client)
        for variant, count, limit in ((f"{in_flight_runs} in flight", runs, in_flight_runs), ("1 in flight", alone, 1)):
            async with looked_into(node) as more:
                pace = await in_flight(count, limit, lambda x: client.run(hello, x))
            measured.append(
                figures(
                    variant,
                    done=count,
                    unit="runs/s",
                    seconds=pace.seconds,
                    latencies_ms=pace.latencies_ms,
                    runs=count,
                    **more,
                )
            )
    return measured
