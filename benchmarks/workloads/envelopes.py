"""Envelopes from one node to another in another process, as the nodes of a cluster wake each other's actors.

No store, no engine: the transport alone. `wakes` and `reports` keep up to `IN_FLIGHT` unacknowledged; latency is from
sending one that is sent back to its return, among all the others. `alone` is one that is sent back, at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from benchmarks.measure import Figures, figures
from benchmarks.peer import ECHO, other_process, peers_of, two
from benchmarks.place import Place
from understudy_runtime.core.transport import Envelope, Report, Wake
from understudy_runtime.rpc.peer_links import Peers

IN_FLIGHT = 5_000
SLICE = 100
"""Envelopes offered at once; one more of each slice is sent back."""
BODY = b"x" * 300
"""About what the report of an attempt with a small result takes."""


async def measure(place: Place, *, envelopes: int = 200_000, echoes: int = 1_000) -> list[Figures]:
    async with other_process() as address:
        link = Link(address)
        try:
            await link.echo()
            return [
                await link.stream("wakes", envelopes, lambda n: Wake((f"default/run/{n:032d}",))),
                await link.stream("reports", envelopes, lambda n: Report(BODY)),
                await link.alone(echoes),
            ]
        finally:
            await link.peers.close()


class Link:
    """This end, `a`, and its stream to `b` at `address`."""

    def __init__(self, address: str) -> None:
        self.peers: Peers = peers_of("a", self._take)
        self.peers.members(two(address))
        self._latencies_ms: list[float] = []
        self._returned = asyncio.Event()

    def _take(self, from_node: str, envelope: Envelope) -> None:
        if isinstance(envelope, Report):
            sent_at = float(envelope.body[len(ECHO) :])
            self._latencies_ms.append((time.perf_counter() - sent_at) * 1000)
            self._returned.set()

    async def echo(self) -> None:
        self._returned.clear()
        self._ask_back()
        await self._returned.wait()

    def _ask_back(self) -> None:
        if not self.peers.send("b", Report(ECHO + b"%.9f" % time.perf_counter())):
            raise RuntimeError("the queue is full")

    async def stream(self, variant: str, count: int, make: Callable[[int], Envelope]) -> Figures:
        self._latencies_ms = []
        slices = -(-count // SLICE)
        began = time.perf_counter()
        for number in range(slices):
            while self.peers.unacknowledged["b"] > IN_FLIGHT:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.0005)
            for n in range(SLICE):
                if not self.peers.send("b", make(number * SLICE + n)):
                    raise RuntimeError("the queue is full")
            self._ask_back()
            await asyncio.sleep(0)
        while len(self._latencies_ms) < slices:
            self._returned.clear()
            await self._returned.wait()
        seconds = time.perf_counter() - began
        return self._figures(variant, slices * (SLICE + 1), seconds)

    async def alone(self, count: int) -> Figures:
        self._latencies_ms = []
        began = time.perf_counter()
        for _ in range(count):
            await self.echo()
        return self._figures("alone", count, time.perf_counter() - began)

    def _figures(self, variant: str, done: int, seconds: float) -> Figures:
        return figures(variant, done=done, unit="envelopes/s", seconds=seconds, latencies_ms=self._latencies_ms, runs=0)
