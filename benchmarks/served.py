"""A node in a process of its own, behind the gRPC door: `understudy node`, as anybody would start it.

What it is like inside while it works is read from its /metrics.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.request import urlopen

import msgspec

TARGET = "benchmarks.app:app"
ANY_PORT = "127.0.0.1:0"
OPTIONS = ("--listen", ANY_PORT, "--http", ANY_PORT, "--log-format", "json")
LAG = "understudy_loop_lag_seconds"


class Inside(msgspec.Struct, frozen=True):
    """`lags` says how often the engine's loop was late by at most so many seconds, since the node started."""

    rss_mb: float
    lags: dict[float, float]


class ServedNode(msgspec.Struct, frozen=True):
    """`address` is that of the gRPC door, `http` that of the metrics."""

    address: str
    http: str

    async def inside(self) -> Inside:
        return parse(await asyncio.to_thread(self._metrics))

    def _metrics(self) -> str:
        with urlopen(f"http://{self.http}/metrics") as page:
            text: str = page.read().decode()
            return text


def parse(metrics: str) -> Inside:
    """Of a page in Prometheus' text format."""
    buckets = re.findall(rf'^{LAG}_bucket{{le="([^"]+)"}} (\S+)$', metrics, re.MULTILINE)
    rss = re.search(r"^process_resident_memory_bytes (\S+)$", metrics, re.MULTILINE)
    return Inside(
        float("nan") if rss is None else float(rss[1]) / 2**20, {float(bound): float(count) for bound, count in buckets}
    )


def lag_p99_ms(before: Inside, after: Inside) -> float:
    """The bound of the metrics' bucket that the 99th percentile of the loop's lag between the two is in."""
    counts = {bound: count - before.lags[bound] for bound, count in after.lags.items()}
    most = max(counts.values())
    return min(bound for bound, count in counts.items() if count >= 0.99 * most) * 1000


@asynccontextmanager
async def looked_into(node: ServedNode | None) -> AsyncGenerator[dict[str, float]]:
    """How the node did while the block lasted, filled in at its end; nothing of a node in this process."""
    found: dict[str, float] = {}
    before = None if node is None else await node.inside()
    yield found
    if node is not None and before is not None:
        after = await node.inside()
        found |= {"node_rss_mb": after.rss_mb, "loop_lag_p99_ms_at_most": lag_p99_ms(before, after)}


@asynccontextmanager
async def serve(store: str) -> AsyncGenerator[ServedNode]:
    """A node over the store at this URL for as long as the block lasts."""
    command = ["-m", "understudy_runtime.cli", "node", TARGET, "--store", store, *OPTIONS]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--parent", str(os.getpid()), stderr=asyncio.subprocess.PIPE
    )
    reading: asyncio.Task[None] | None = None
    try:
        assert process.stderr is not None
        node = await _ready(process.stderr)
        reading = asyncio.create_task(_read_on(process.stderr))
        yield node
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        if reading is not None:
            await reading


async def _ready(log: asyncio.StreamReader) -> ServedNode:
    said: list[str] = []
    while line := (await log.readline()).decode():
        said.append(line)
        entry: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
        if entry.get("event") == "the node is ready":
            return ServedNode(entry["address"], entry["http"])
    raise RuntimeError(f"the node did not start: {''.join(said[-5:])}")


async def _read_on(log: asyncio.StreamReader) -> None:
    """A pipe that nobody reads would stop the node in the end; what goes wrong there is shown here."""
    while line := (await log.readline()).decode():
        if not line.startswith("{") or json.loads(line).get("level") == "error":
            sys.stderr.write(line)
