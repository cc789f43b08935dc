"""A node in this process that can be looked into: what it commits, and how late its loop is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec

from benchmarks.measure import Figures, figures
from benchmarks.place import Place
from understudy import App, Client
from understudy_runtime.node.clocks import SystemClock
from understudy_runtime.node.embedded import open_node
from understudy_runtime.node.node import Node, Settings
from understudy_runtime.storage.urls import open_url

SAMPLE_S = 0.01


class Quiet(msgspec.Struct, frozen=True):
    """What a node did while it was left alone. `busy_share` is of one core, for the whole process."""

    seconds: float
    busy_share: float
    commits: int
    lags_ms: list[float]

    def figures(self, variant: str, *, done: int, unit: str, runs: int, **more: float) -> Figures:
        """`done` things in that time; the latency is the lag of the node's loop."""
        return figures(
            variant,
            done=done,
            unit=unit,
            seconds=self.seconds,
            latencies_ms=self.lags_ms,
            runs=runs,
            busy_share=self.busy_share,
            commits=self.commits,
            **more,
        )


class Within:
    def __init__(self) -> None:
        self._node: Node
        self._lags_ms: list[float] = []

    @property
    def commits(self) -> int:
        return sum(self._node.engine.batches.counts)

    @property
    def turns(self) -> int:
        return self._node.engine.turns

    @property
    def attempts(self) -> int:
        """Those that are out: what is only watched is not among them."""
        return self._node.engine.attempts_out

    async def leave_alone(self, seconds: float) -> Quiet:
        commits, began, used = self.commits, time.perf_counter(), time.process_time()
        self._lags_ms.clear()
        await asyncio.sleep(seconds)
        lags_ms = self._lags_ms.copy()
        took = time.perf_counter() - began
        return Quiet(took, (time.process_time() - used) / took, self.commits - commits, lags_ms)

    @asynccontextmanager
    async def alongside(self, node: Node) -> AsyncGenerator[None]:
        """On the node's own loop."""
        self._node = node
        sampling = asyncio.create_task(self._sample())
        yield
        sampling.cancel()

    async def _sample(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(SAMPLE_S)
            self._lags_ms.append((time.perf_counter() - before - SAMPLE_S) * 1000)


@asynccontextmanager
async def within(place: Place, app: App) -> AsyncGenerator[tuple[Client, Within]]:
    inside = Within()
    async with open_node([app], open_url(place.url), Settings(), SystemClock, inside.alongside) as opened:
        yield Client(opened.door, (app,)), inside
