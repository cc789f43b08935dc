"""Runs that are started at ten times the rate that the node can carry, whether it keeps up or not.

First the rate it can carry is measured, with so many runs in flight as keep it busy. Latency is from asking for a run
to its result, of the runs that were accepted. `refused` is the share that was turned away with a delay after which to
try again, `lost` counts those that ended otherwise; `recovered_s` is how long after the load has stopped everything
accepted was done, and a run alone took no more than twice what it takes (at the 99th percentile) on an idle node.
"""

from __future__ import annotations

import asyncio
import time

from benchmarks.app import app, chain
from benchmarks.driving import in_flight, warm_up
from benchmarks.measure import Figures, figures, percentile
from benchmarks.place import Place
from understudy import Client, Overloaded, UnderstudyError
from understudy.client import connect

TICK_S = 0.005
ALONE = 50
BUSY = 50


class Load:
    """What has become of the runs."""

    def __init__(self, client: Client, steps: int) -> None:
        self._client = client
        self._steps = steps
        self.offered = self.refused = self.lost = 0
        self.latencies_ms: list[float] = []
        self.delays_s: list[float] = []

    async def run(self, _: int = 0) -> None:
        self.offered += 1
        began = time.perf_counter()
        try:
            await self._client.run(chain, self._steps)
        except Overloaded as refused:
            self.refused += 1
            self.delays_s.append(refused.retry_after_s)
        except UnderstudyError:
            self.lost += 1
        else:
            self.latencies_ms.append((time.perf_counter() - began) * 1000)


async def measure(
    place: Place, *, load_steps: int = 50, times: float = 10.0, load_s: float = 8.0, capacity_runs: int = 500
) -> list[Figures]:
    async with place.served() as node, connect(node.address, app, retry_overloaded=False) as client:
        await warm_up(client)
        load = Load(client, load_steps)
        alone = await in_flight(ALONE, 1, Load(client, load_steps).run)
        bearable_ms = 2 * percentile(alone.latencies_ms, 0.99)
        carried = await in_flight(capacity_runs, BUSY, Load(client, load_steps).run)
        before = await node.inside()
        capacity = capacity_runs / carried.seconds
        async with asyncio.TaskGroup() as group:
            offering_s = await offer(group, load, capacity * times, load_s)
            stopped = time.perf_counter()
        recovered_s = await recovered(client, load_steps, bearable_ms, stopped)
        after = await node.inside()
    done = len(load.latencies_ms)
    return [
        figures(
            f"{times:g} times",
            done=done,
            unit="runs/s",
            seconds=offering_s,
            latencies_ms=load.latencies_ms,
            runs=load.offered,
            capacity_per_s=capacity,
            offered_per_s=load.offered / offering_s,
            refused=load.refused / load.offered,
            retry_delay_s=percentile(load.delays_s, 0.5),
            recovered_s=recovered_s,
            lost=load.lost,
            alone_p99_ms=bearable_ms / 2,
            busy_p50_ms=percentile(carried.latencies_ms, 0.5),
            node_grew_mb=after.rss_mb - before.rss_mb,
        )
    ]


async def offer(group: asyncio.TaskGroup, load: Load, per_second: float, seconds: float) -> float:
    """Start runs at this rate for so long; the seconds it took, which are more if this process cannot keep up."""
    began = time.perf_counter()
    started = 0
    while (elapsed_s := time.perf_counter() - began) < seconds:
        while started < elapsed_s * per_second:
            group.create_task(load.run())
            started += 1
        await asyncio.sleep(TICK_S)
    return time.perf_counter() - began


async def recovered(client: Client, steps: int, bearable_ms: float, stopped: float) -> float:
    """Seconds from then until a run alone is as quick as it should be."""
    while True:
        probe = Load(client, steps)
        await probe.run()
        if probe.latencies_ms and probe.latencies_ms[0] <= bearable_ms:
            return time.perf_counter() - stopped
