"""Actors asked by a caller each: a handler that changes durable state, and one that only reads it.

Latency is from the ask to its answer.
"""

from __future__ import annotations

from benchmarks.app import Counter
from benchmarks.driving import in_flight
from benchmarks.measure import Figures, figures
from benchmarks.place import Place


async def measure(place: Place, *, actors: int = 1_000, asks: int = 20_000) -> list[Figures]:
    refs = [Counter.at(f"counter-{number}") for number in range(actors)]
    async with place.node() as client:
        await in_flight(actors, actors, lambda n: client.ask(refs[n], Counter.add, 1))
        durable = await in_flight(asks, actors, lambda n: client.ask(refs[n % actors], Counter.add, 1))
        reading = await in_flight(asks, actors, lambda n: client.ask(refs[n % actors], Counter.current))
    return [
        figures(variant, done=asks, unit="asks/s", seconds=pace.seconds, latencies_ms=pace.latencies_ms, runs=actors)
        for variant, pace in (("durable", durable), ("read-only", reading))
    ]
