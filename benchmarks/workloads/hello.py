"""Many runs of one task each: how many a second, and how long one takes when the node has nothing else to do.

Latency is from `client.run` to its result. Of a node in another process, `loop_lag_p99_ms_at_most` is how late its
engine's loop was, as its metrics have it.
"""

from __future__ import annotations

from benchmarks.app import hello
from benchmarks.driving import in_flight, warm_up
from benchmarks.measure import Figures, figures
from benchmarks.place import Place
from benchmarks.served import Inside, lag_p99_ms


async def measure(place: Place, *, runs: int = 5_000, in_flight_runs: int = 100, alone: int = 500) -> list[Figures]:
    measured: list[Figures] = []
    async with place.opened() as (client, node):
        await warm_up(client)
        for variant, count, limit in ((f"{in_flight_runs} in flight", runs, in_flight_runs), ("1 in flight", alone, 1)):
            before = None if node is None else await node.inside()
            pace = await in_flight(count, limit, lambda x: client.run(hello, x))
            more = {} if node is None or before is None else of_node(before, await node.inside())
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


def of_node(before: Inside, after: Inside) -> dict[str, float]:
    return {"node_rss_mb": after.rss_mb, "loop_lag_p99_ms_at_most": lag_p99_ms(before, after)}
