"""Asks that change an actor's durable state: one caller and one actor, many callers of one, many callers of many.

Latency is from the ask to its answer. Of a node in another process, `loop_lag_p99_ms_at_most` is how late its engine's
loop was, as its metrics have it.
"""

from __future__ import annotations

from benchmarks.app import Counter
from benchmarks.driving import in_flight
from benchmarks.measure import Figures, figures
from benchmarks.place import Place
from benchmarks.served import ServedNode, looked_into
from understudy import Client


async def measure(
    place: Place, *, messages: int = 10_000, messages_alone: int = 1_000, callers: int = 100
) -> list[Figures]:
    async with place.opened() as (client, node):
        return [
            await asks(client, node, "1 caller, 1 actor", messages_alone, 1, 1),
            await asks(client, node, f"{callers} callers, 1 actor", messages, callers, 1),
            await asks(client, node, f"{callers} callers, {callers} actors", messages, callers, callers),
        ]


async def asks(client: Client, node: ServedNode | None, variant: str, count: int, callers: int, actors: int) -> Figures:
    refs = [Counter.at(f"{variant} {number}") for number in range(actors)]
    await in_flight(callers, callers, lambda n: client.ask(refs[n % actors], Counter.add, 1))
    async with looked_into(node) as more:
        pace = await in_flight(count, callers, lambda n: client.ask(refs[n % actors], Counter.add, 1))
    return figures(
        variant, done=count, unit="asks/s", seconds=pace.seconds, latencies_ms=pace.latencies_ms, runs=actors, **more
    )
