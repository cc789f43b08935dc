"""The end of a node that is called by other nodes: PeerService.Exchange.

It goes into a server's `streams`, as `peer_streams(peers)`, wherever there is a cluster.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor

from understudy.errors import BadRequest
from understudy_proto.v1 import peers_pb2
from understudy_runtime.core.peering import BadPeer
from understudy_runtime.rpc.errors import Refusal, refusal
from understudy_runtime.rpc.peer_links import Peers
from understudy_runtime.rpc.server import Stream

Context = grpc.aio.ServicerContext[Any, Any]


def peer_streams(peers: Peers) -> tuple[ServiceDescriptor, dict[str, Stream]]:
    """The service, for the `streams` of `rpc.server.serving`."""
    return peers_pb2.DESCRIPTOR.services_by_name["PeerService"], {"Exchange": PeerStreams(peers).exchange}


class PeerStreams:
    """Used on the engine's loop, as `peers` is."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def exchange(self, context: Context) -> Refusal | None:
        """One stream, from hello to its end; why this node ended it."""
        try:
            async with asyncio.timeout(self._peers.pace.hello_s):
                first: Any = await context.read()
        except TimeoutError:
            return refusal(BadRequest(f"no hello within {self._peers.pace.hello_s:g} s"))
        if first is grpc.aio.EOF:
            return None
        if not first.HasField("hello"):
            return refusal(BadRequest("the first frame of a stream must be a hello"))
        found = self._peers.find(first.hello)
        if isinstance(found, Refusal):
            return found
        try:
            stream = self._peers.begin(found, first.hello, context)
        except BadPeer as error:
            self._peers.trouble(found.member.node, str(error))
            return Refusal(grpc.StatusCode.FAILED_PRECONDITION, str(error), "BAD_PEER")
        why = await self._peers.converse(found, stream, self._peers.hello(found))
        return Refusal(grpc.StatusCode.ABORTED, why, "STREAM_ENDED")
