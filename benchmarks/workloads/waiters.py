"""Clients, each with a connection of its own, that wait for the result of a run: what they cost the node in memory.

Latency is from the telling that ends the first run to a client's hearing of its own run's end.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from benchmarks.app import PingPong, app
from benchmarks.driving import in_flight
from benchmarks.measure import Figures, figures
from benchmarks.place import Place
from understudy import Client
from understudy.client import connect

CONNECTING = 50
"""Clients that connect at a time."""


async def measure(place: Place, *, clients: int = 1_000) -> list[Figures]:
    async with place.served() as node, connect(node.address, app) as operator, AsyncExitStack() as stack:
        games = [await operator.start(PingPong) for _ in range(clients)]
        before = await node.inside()
        waiters: list[Client] = []

        async def join(_: int) -> None:
            waiters.append(await stack.enter_async_context(connect(node.address, app)))

        await in_flight(clients, CONNECTING, join)
        latencies_ms: list[float] = []

        async def wait(number: int) -> None:
            await waiters[number].handle(games[number].run_id, PingPong).result()
            latencies_ms.append((time.perf_counter() - began) * 1000)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(wait(number))
            # A round trip on each connection: what was sent on it before has arrived.
            await in_flight(
                clients, CONNECTING, lambda n: waiters[n].handle(games[n].run_id, PingPong).ask(PingPong.ping)
            )
            waiting = await node.inside()
            began = time.perf_counter()
            await in_flight(clients, CONNECTING, lambda n: games[n].tell(PingPong.end))
        seconds = time.perf_counter() - began
    return [
        figures(
            f"{clients} clients",
            done=clients,
            unit="results/s",
            seconds=seconds,
            latencies_ms=latencies_ms,
            runs=clients,
            node_rss_mb=waiting.rss_mb,
            node_grew_mb=waiting.rss_mb - before.rss_mb,
        )
    ]
