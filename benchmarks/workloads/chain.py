"""Tasks one after the other: in one run, where the disk is the floor, and in many runs, which share its commits.

Latency is of one step, from turn to turn of the journal.
"""

from __future__ import annotations

import asyncio
import time

from benchmarks.app import chain
from benchmarks.driving import between_turns_ms, turns_of, warm_up
from benchmarks.measure import Figures, figures
from benchmarks.place import Place
from understudy import Client


async def measure(place: Place, *, steps: int = 1_000, runs: int = 50, run_steps: int = 100) -> list[Figures]:
    async with place.node() as client:
        await warm_up(client)
        return [
            await chains(client, "one run", runs=1, steps=steps),
            await chains(client, f"{runs} runs", runs=runs, steps=run_steps),
        ]


async def chains(client: Client, variant: str, *, runs: int, steps: int) -> Figures:
    """So many runs at once of so many steps each."""
    names = [f"{variant} {number}" for number in range(runs)]
    began = time.perf_counter()
    await asyncio.gather(*(client.run(chain, steps, id=name) for name in names))
    seconds = time.perf_counter() - began
    latencies_ms = [ms for name in names for ms in between_turns_ms(await turns_of(client.handle(name)))]
    return figures(variant, done=runs * steps, unit="steps/s", seconds=seconds, latencies_ms=latencies_ms, runs=runs)
