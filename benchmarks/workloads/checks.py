"""Healthy resources that are checked again and again.

`busy_share` is the share of one core that the whole process takes while they are watched, `commits` what it writes,
which must be nothing, and latency the lag of the node's loop. `made_per_s` is how fast they were
created and first leased.
"""

from __future__ import annotations

import asyncio
import time

from benchmarks.driving import in_flight
from benchmarks.measure import Figures
from benchmarks.place import Place
from benchmarks.within import within
from benchmarks.workloads.jobs import STARTING, at_rest
from understudy import App, Health, Resource

checks = 0


class Healthy(Resource[int, int]):
    async def create(self, spec: int, fence: int) -> int:
        return spec

    async def check(self, handle: int) -> Health:
        global checks
        checks += 1
        return "healthy"

    async def destroy(self, handle: int, fence: int) -> None: ...


async def measure(
    place: Place, *, checked: int = 10_000, check_every_s: float = 15.0, checked_s: float = 45.0
) -> list[Figures]:
    app = App("bench-checks")
    healthy = app.resource(check_every=check_every_s)(Healthy)

    @app.workflow(name="use")
    async def use(number: int) -> int:
        async with healthy.at(f"r{number}", number).lease() as held:
            return held.fence

    async with within(place, app) as (client, inside):
        began = time.perf_counter()
        await in_flight(checked, STARTING, lambda number: client.run(use, number))
        making_s = time.perf_counter() - began
        await at_rest(inside)
        await asyncio.sleep(min(checked_s, 1.2 * check_every_s))  # the first check of each is behind it
        before = checks
        quiet = await inside.leave_alone(checked_s)
        return [
            quiet.figures(
                f"{checked} resources",
                done=checks - before,
                unit="checks/s",
                runs=checked,
                made_per_s=checked / making_s,
            )
        ]
