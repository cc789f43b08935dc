"""A message to a running workflow and its answer: one run that is asked again and again, and many of them at once.

Latency is from the ask to its answer. Of a node in another process, `loop_lag_p99_ms_at_most` is how late its engine's
loop was, as its metrics have it.
"""

from __future__ import annotations

from benchmarks.app import PingPong
from benchmarks.driving import in_flight
from benchmarks.measure import Figures, figures
from benchmarks.place import Place
from benchmarks.served import ServedNode, looked_into
from understudy import Client


async def measure(place: Place, *, pings: int = 1_000, ping_runs: int = 100, each: int = 50) -> list[Figures]:
    async with place.opened() as (client, node):
        return [await rally(client, node, 1, pings), await rally(client, node, ping_runs, each)]


async def rally(client: Client, node: ServedNode | None, runs: int, each: int) -> Figures:
    """`runs` runs, each with one ping in flight, `each` times."""
    games = [await client.start(PingPong) for _ in range(runs)]
    await in_flight(runs, runs, lambda n: games[n].ask(PingPong.ping))

    async def play(number: int) -> None:
        await games[number % runs].ask(PingPong.ping)

    async with looked_into(node) as more:
        pace = await in_flight(runs * each, runs, play)
    await in_flight(runs, runs, lambda n: games[n].tell(PingPong.end))
    return figures(
        f"{runs} runs" if runs > 1 else "1 run",
        done=runs * each,
        unit="pings/s",
        seconds=pace.seconds,
        latencies_ms=pace.latencies_ms,
        runs=runs,
        **more,
    )
