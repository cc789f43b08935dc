"""The other node of the envelopes workload: takes what comes and sends back what asks for it, until its input ends."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import structlog

from understudy_proto.v1 import peers_pb2_grpc
from understudy_runtime.core.membership import Member, View
from understudy_runtime.core.transport import Envelope, Report
from understudy_runtime.rpc.peer_links import Peers
from understudy_runtime.rpc.peer_wire import Identity
from understudy_runtime.rpc.peers import PeerStreams

ECHO = b"echo"
"""How a report begins that is to be sent back."""


class Taker:
    """`Receiver` that hands each envelope to a function."""

    def __init__(self, take: Callable[[str, Envelope], None]) -> None:
        self._take = take

    def on_envelope(self, from_node: str, envelope: Envelope) -> None:
        self._take(from_node, envelope)

    def on_broken(self, node: str) -> None:
        raise RuntimeError(f"{node} is gone")

    def on_reach(self, node: str, reached: bool) -> None:
        """Nothing is lent here."""


def peers_of(node: str, take: Callable[[str, Envelope], None]) -> Peers:
    # Standard output is for figures.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    peers = Peers(Identity("benchmark", node, "1"))
    peers.listen(Taker(take))
    return peers


def two(address: str) -> View:
    """`a`, which calls, and `b`, which is at `address`."""
    return View(members={"a": Member("a", "1", ""), "b": Member("b", "1", address)})


class _Service(peers_pb2_grpc.PeerServiceServicer):
    def __init__(self, peers: Peers) -> None:
        self._streams = PeerStreams(peers)

    async def Exchange(self, request_iterator: Any, context: Any) -> None:  # noqa: N802 - as the service has it
        await self._streams.exchange(context)


async def serve() -> None:
    def take(from_node: str, envelope: Envelope) -> None:
        if isinstance(envelope, Report) and envelope.body.startswith(ECHO):
            peers.send(from_node, envelope)

    peers = peers_of("b", take)
    server = grpc.aio.server()
    generated: Any = peers_pb2_grpc  # without types
    generated.add_PeerServiceServicer_to_server(_Service(peers), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    peers.members(two(""))
    print(f"127.0.0.1:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await peers.close()
    await server.stop(0)


@asynccontextmanager
async def other_process() -> AsyncGenerator[str]:
    """The address of a peer `b` in a process of its own."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.peer", stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.stdin.close()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(serve())
