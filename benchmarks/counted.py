"""python -m benchmarks.counted WORKLOAD UNITS: does so much work, client and node in this process, and says nothing.

What `benchmarks.count` runs under cachegrind.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from benchmarks.app import Counter, app, chain, fanout, hello
from understudy import Client
from understudy.client import connect
from understudy_runtime.node.clocks import SystemClock
from understudy_runtime.node.embedded import open_node
from understudy_runtime.node.node import Node, Settings
from understudy_runtime.node.serving import served
from understudy_runtime.storage.urls import open_url

IN_FLIGHT = 50
Work = Callable[[Client, int], Awaitable[None]]


async def many(one: Callable[[int], Awaitable[object]], units: int) -> None:
    """`one(n)` for each unit, so many at once."""
    numbers = iter(range(units))

    async def take() -> None:
        for number in numbers:
            await one(number)

    await asyncio.gather(*(take() for _ in range(IN_FLIGHT)))


async def hellos(client: Client, units: int) -> None:
    await many(lambda number: client.run(hello, number), units)


async def steps(client: Client, units: int) -> None:
    await asyncio.gather(*(client.run(chain, units // 10) for _ in range(10)))


async def tasks(client: Client, units: int) -> None:
    await client.run(fanout, units)


async def asks(client: Client, units: int) -> None:
    await many(lambda number: client.ask(Counter.at(f"{number % 10}"), Counter.add, number), units)


WORKLOADS: dict[str, tuple[Work, bool]] = {
    "hello": (hellos, False),
    "hello-grpc": (hellos, True),
    "chain": (steps, False),
    "fanout": (tasks, False),
    "asks": (asks, False),
}
"""What is done, and whether over gRPC."""


@asynccontextmanager
async def client_of(folder: Path, *, over_grpc: bool) -> AsyncGenerator[Client]:
    addresses: list[str] = []

    @asynccontextmanager
    async def serve(node: Node) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            if over_grpc:
                serving = served(node, [app], "127.0.0.1:0", started_at=0.0, drain=lambda _: None, grace_s=0.1)
                addresses.append((await stack.enter_async_context(serving)).address)
            yield

    store = open_url(f"sqlite:///{folder / 'state.db'}")
    async with open_node([app], store, Settings(), SystemClock, serve) as opened, AsyncExitStack() as stack:
        remote = connect(addresses[0], app) if over_grpc else None
        yield Client(opened.door, (app,)) if remote is None else await stack.enter_async_context(remote)


async def main(workload: str, units: int) -> None:
    work, over_grpc = WORKLOADS[workload]
    with tempfile.TemporaryDirectory(dir=".") as folder:
        async with client_of(Path(folder), over_grpc=over_grpc) as client:
            await work(client, units)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
