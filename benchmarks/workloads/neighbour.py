"""What a CPU-bound `def` task in the same process leaves of the chain's rate; `ratio` is to the undisturbed rate."""

from __future__ import annotations

import msgspec

from benchmarks.app import busy
from benchmarks.driving import warm_up
from benchmarks.measure import Figures
from benchmarks.place import Place
from benchmarks.workloads.chain import chains


async def measure(place: Place, *, runs: int = 50, run_steps: int = 100) -> list[Figures]:
    async with place.node() as client:
        await warm_up(client)
        alone = await chains(client, "undisturbed", runs=runs, steps=run_steps)
        neighbour = await client.start(busy)
        beside = await chains(client, "beside a CPU-bound task", runs=runs, steps=run_steps)
        await neighbour.terminate("measured")
    return [alone, msgspec.structs.replace(beside, more={"ratio": beside.rate / alone.rate})]
