"""python -m benchmarks.nodes [--runs 60] [--steps 50] [--session-s 10] [--json]

What many nodes come to, on this machine, with etcd and PostgreSQL beside them: steps a second of one node and of three,
side by side; how long actors are out of reach when a node joins or leaves; and how long their runs stand still when a
node is killed. Everything over gRPC, by clients that know all nodes.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.app import chain
from benchmarks.chaos import cluster
from benchmarks.chaos.app import Counter, Listener
from benchmarks.chaos.app import app as chaos_app
from understudy import Client
from understudy.client import connect

TARGET = "benchmarks.app:app"
ACTORS = 40
REPEATS = 3


class Report(msgspec.Struct):
    """Steps a second are medians; `move_ms_*` and `failover_s` are waits of callers, the longest of each actor's or
    all runs'."""

    one_node_steps_per_s: float
    three_nodes_steps_per_s: float
    ratio: float
    move_ms_p50: float
    move_ms_p99: float
    failover_s: float
    session_s: float


async def throughput(nodes: int, runs: int, steps: int, session_s: float) -> list[float]:
    folder = Path(tempfile.mkdtemp(prefix="understudy-nodes-"))
    try:
        async with cluster.running(folder, session_s=session_s, target=TARGET) as made:
            begun = await made.begin(*(f"n{number + 1}" for number in range(nodes)))
            await asyncio.sleep(2 + nodes)  # until the shards are where they belong
            return [await _steps(begun, runs, steps, number) for number in range(REPEATS)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _steps(nodes: Sequence[cluster.NodeOf], runs: int, steps: int, number: int) -> float:
    """By a client at each node."""
    began = time.perf_counter()
    await asyncio.gather(*(_chains(node.address, runs // len(nodes), steps, f"{number}-{node.name}") for node in nodes))
    return runs * steps / (time.perf_counter() - began)


async def _chains(address: str, runs: int, steps: int, name: str) -> None:
    from benchmarks.app import app

    async with connect(address, app) as client:
        await asyncio.gather(*(client.run(chain, steps, id=f"{name}-{number}") for number in range(runs)))


async def moves(session_s: float) -> tuple[list[float], float]:
    """The longest wait of each actor's callers while a node joins and leaves, in ms; and of runs when one is killed."""
    folder = Path(tempfile.mkdtemp(prefix="understudy-nodes-"))
    try:
        async with cluster.running(folder, session_s=session_s) as made:
            await made.begin("n1", "n2")
            await asyncio.sleep(4)
            async with connect(made.addresses, chaos_app) as client:
                longest = await _while_moving(client, made)
                return longest, await _failover(client, made)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _while_moving(client: Client, made: cluster.Cluster) -> list[float]:
    over = asyncio.Event()

    async def ask(number: int) -> float:
        longest = 0.0
        while not over.is_set():
            began = time.perf_counter()
            await client.ask(Counter.at(f"c{number}"), Counter.add, 1)
            longest = max(longest, time.perf_counter() - began)
            await asyncio.sleep(0.02)
        return longest * 1000

    asking = [asyncio.create_task(ask(number)) for number in range(ACTORS)]
    [guest] = await made.begin("n3")
    await asyncio.sleep(5)
    await guest.leave()
    over.set()
    return await asyncio.gather(*asking)


async def _failover(client: Client, made: cluster.Cluster) -> float:
    await made.begin("n3")
    await asyncio.sleep(5)
    runs = [await client.start(Listener, 1, id=f"waits-{number}") for number in range(60)]
    await made.nodes["n3"].kill()
    began = time.perf_counter()
    await asyncio.gather(*(client.tell(run, Listener.hear, 1) for run in runs))
    await asyncio.gather(*(run.result() for run in runs))
    return time.perf_counter() - began


async def measure(runs: int, steps: int, session_s: float) -> Report:
    one = statistics.median(await throughput(1, runs, steps, session_s))
    three = statistics.median(await throughput(3, runs, steps, session_s))
    longest, failover_s = await moves(session_s)
    longest.sort()
    p99 = longest[min(len(longest) - 1, int(0.99 * len(longest)))]
    return Report(one, three, three / one, statistics.median(longest), p99, failover_s, session_s)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nodes", description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--session-s", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = asyncio.run(measure(given.runs, given.steps, given.session_s))
    if given.json:
        print(msgspec.json.encode(found).decode())
    else:
        for name, value in msgspec.structs.asdict(found).items():
            print(f"{name:>24}  {value:,.2f}")


if __name__ == "__main__":
    main()
