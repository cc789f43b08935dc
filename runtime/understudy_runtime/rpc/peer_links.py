"""`Peers`: the transport of envelopes between the nodes of a cluster, over one gRPC stream per pair.

The node with the smaller name dials, whenever both are members as it sees them; the other waits to be called. What is
said on the stream is a `Conversation` (see `core/peering.py`) with one life of the other node. It begins when the view
first shows that life, goes on over any number of streams, and ends when the view shows another life of that node. One
that has left the view may come back (its session may have been late), so its conversation is kept, up to
`MAX_ABSENT` of them.

Everything is on the engine's loop.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import grpc.aio
import structlog

from understudy.errors import BadRequest
from understudy_proto.v1 import peers_pb2, peers_pb2_grpc
from understudy_runtime.core.membership import Member, View
from understudy_runtime.core.peering import BadPeer, Bounds, Conversation
from understudy_runtime.core.transport import Envelope, Receiver
from understudy_runtime.rpc import envelope_wire, peer_wire
from understudy_runtime.rpc.errors import Refusal
from understudy_runtime.rpc.peer_access import PeerAccess, peer_channel
from understudy_runtime.rpc.peer_stream import Pace, PeerStream, Pipe, StreamBroken
from understudy_runtime.rpc.peer_wire import MAX_ENVELOPE_BYTES, Identity

MAX_ABSENT: Final = 32
"""Nodes out of sight whose conversations are kept; beyond them the one that left first is forgotten."""
MAX_SAID: Final = 1_000
"""Troubles that are remembered as logged."""
_HOPELESS: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)

log = structlog.get_logger("understudy.rpc")


class Peers:
    """`Transport`. Wherever `access` is None, streams are opened in plain text and without a token."""

    def __init__(
        self, own: Identity, *, access: PeerAccess | None = None, bounds: Bounds | None = None, pace: Pace | None = None
    ) -> None:
        self.own: Final = own
        self.pace: Final = pace or Pace()
        self.refused = 0
        """Envelopes that `send` did not take."""
        self.delivered = 0
        """Envelopes that came in and were handed over."""
        self._access = access or PeerAccess()
        self._bounds = bounds or Bounds()
        self._receiver: Receiver | None = None
        self._present: dict[str, _Peer] = {}
        self._absent: dict[str, _Peer] = {}
        self._memories = 0
        self._said: dict[tuple[str, str], None] = {}
        self._quiet = asyncio.Event()
        self._closed = False
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> frozenset[str]:
        """The nodes to which there is a stream."""
        return frozenset(name for name, peer in self._present.items() if peer.stream is not None)

    @property
    def unacknowledged(self) -> Mapping[str, int]:
        """By node, the envelopes that are not known to have been handed over there."""
        return {name: peer.conversation.unacknowledged for name, peer in self._present.items()}

    # --- Transport

    def listen(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def members(self, view: View) -> None:
        if self._closed:
            return
        members = {name: member for name, member in view.members.items() if name != self.own.node}
        for name in [name for name in self._present if name not in members]:
            self._lost_sight_of(name)
        for name, member in members.items():
            peer = self._present.get(name) or self._absent.pop(name, None)
            if peer is not None and peer.member.incarnation != member.incarnation:
                self._present.pop(name, None)
                self._stop(peer, f"{name} has begun another life")
                self._broken(peer)
                peer = None
            self._present[name] = peer = peer or self._new_peer(member)
            peer.member = member
            if self.own.node < name and peer.dialing is None:
                peer.dialing = asyncio.get_running_loop().create_task(self._dial(peer))

    def send(self, node: str, envelope: Envelope) -> bool:
        peer = self._present.get(node)
        if peer is not None and not self._closed:
            encoded = envelope_wire.to_envelope(envelope)
            size = encoded.ByteSize()
            if size <= MAX_ENVELOPE_BYTES and peer.conversation.offer(encoded, size):
                if peer.stream is not None:
                    peer.stream.nudge()
                return True
        self.refused += 1
        return False

    async def flush(self, within_s: float) -> bool:
        """Returns when those to whom there is a stream have acknowledged everything; False if it takes longer."""
        try:
            async with asyncio.timeout(within_s):
                while any(peer.stream is not None and peer.conversation.unacknowledged for peer in self._all()):
                    self._quiet.clear()
                    await self._quiet.wait()
        except TimeoutError:
            return False
        return True

    async def close(self, grace_s: float = 1.0) -> None:
        """End all streams; those that are up get `grace_s` to have everything acknowledged."""
        self._closed = True
        if not await self.flush(grace_s):
            log.warning("leaving with envelopes that were not acknowledged", nodes=dict(self.unacknowledged))
        for peer in self._all():
            self._stop(peer, f"{self.own.node} leaves")
        await asyncio.gather(*self._ending, return_exceptions=True)

    # --- who is there

    def _all(self) -> list[_Peer]:
        return list(self._present.values())

    def _new_peer(self, member: Member) -> _Peer:
        self._memories += 1
        return _Peer(member, Conversation(self._memories, self._bounds))

    def _lost_sight_of(self, name: str) -> None:
        peer = self._absent[name] = self._present.pop(name)
        self._stop(peer, f"{name} is no member any longer")
        self._broken(peer)
        if len(self._absent) > MAX_ABSENT:
            del self._absent[next(iter(self._absent))]

    def _stop(self, peer: _Peer, why: str) -> None:
        if peer.stream is not None:
            peer.stream.end(why)
            self._let_go(peer)
        if peer.dialing is not None:
            self._ending.add(peer.dialing)
            peer.dialing.add_done_callback(self._ending.discard)
            peer.dialing.cancel()
            peer.dialing = None

    def _let_go(self, peer: _Peer) -> None:
        """The stream that was to this peer is so no longer."""
        peer.stream = None
        if self._receiver is not None and not self._closed:
            self._receiver.on_reach(peer.member.node, False)

    def _broken(self, peer: _Peer) -> None:
        if peer.conversation.unacknowledged:
            self._tell_broken(peer.member.node)

    def _tell_broken(self, node: str) -> None:
        assert self._receiver is not None, "a transport has members before anybody listens"
        self._receiver.on_broken(node)

    # --- being called

    def find(self, said: peers_pb2.PeerHello) -> _Peer | Refusal:
        """Whom somebody who calls is, or why there is no talking with them."""
        refused = peer_wire.judge(self.own, said) or self._unknown(said)
        if refused is None:
            return self._present[said.node]
        if refused.code in _HOPELESS:
            self.trouble(peer_wire.short(said.node), refused.message)
        return refused

    def _unknown(self, said: peers_pb2.PeerHello) -> Refusal | None:
        peer = self._present.get(said.node)
        if self._closed or peer is None or peer.member.incarnation != said.incarnation:
            why = (
                "leaves"
                if self._closed
                else f"sees no member {peer_wire.short(said.node)} in its life {peer_wire.short(said.incarnation)}"
            )
            return Refusal(grpc.StatusCode.UNAVAILABLE, f"{self.own.node} {why}", "NOT_A_MEMBER")
        if said.node > self.own.node:
            message = f"{peer_wire.short(said.node)} is to be called by {self.own.node}, and not the other way about"
            return Refusal(grpc.StatusCode.FAILED_PRECONDITION, message, "WRONG_WAY")
        return None

    def hello(self, peer: _Peer) -> peers_pb2.PeerFrame:
        """What to say first."""
        return peer_wire.to_hello(self.own, peer.member.node, peer.member.incarnation, peer.conversation.opening())

    def begin(self, peer: _Peer, said: peers_pb2.PeerHello, pipe: Pipe) -> PeerStream:
        """The stream that from now on is the one to this peer. BadPeer if the hello does not fit."""
        if peer.stream is not None:
            peer.stream.end("another stream has taken its place")
            self._let_go(peer)
        if peer.conversation.begin(peer_wire.opening(said)):
            self._tell_broken(peer.member.node)
        stream = PeerStream(pipe, peer.conversation, self._deliver_from(peer), self._quiet.set, self.pace)
        peer.stream = stream
        if self._receiver is not None and said.lends:
            self._receiver.on_reach(peer.member.node, True)
        return stream

    async def converse(self, peer: _Peer, stream: PeerStream, answer: peers_pb2.PeerFrame | None = None) -> str:
        """Say `answer` first, and go on until the stream breaks; why it did."""
        node = peer.member.node
        log.info("connected with a node", node=node)
        self._said = {said: None for said in self._said if said[0] != node}
        try:
            await stream.carry(answer)
        except StreamBroken as broken:
            log.info("the stream to a node is over", node=node, why=str(broken))
            return str(broken)
        finally:
            self._quiet.set()
            if peer.stream is stream:
                self._let_go(peer)
        return ""

    def trouble(self, node: str, why: str) -> None:
        """Log it, unless it was before, since there was last a stream."""
        if (node, why) not in self._said:
            if len(self._said) >= MAX_SAID:
                self._said.clear()
            self._said[node, why] = None
            log.warning("no connection with a node", node=node, why=why)

    def _deliver_from(self, peer: _Peer) -> Callable[[peers_pb2.PeerEnvelope], None]:
        receiver, node = self._receiver, peer.member.node
        assert receiver is not None, "a transport has members before anybody listens"

        def deliver(said: peers_pb2.PeerEnvelope) -> None:
            try:
                envelope = envelope_wire.envelope(said)
                if envelope is None:
                    return
                self.delivered += 1
                receiver.on_envelope(node, envelope)
            except Exception:
                # It counts as handed over: again it would fail again, and with it all that come after it.
                log.exception("an envelope could not be taken", node=node)

        return deliver

    # --- calling

    async def _dial(self, peer: _Peer) -> None:
        pause_s = self.pace.first_pause_s
        # A cancellation alone might be lost in what goes wrong while a call is ended.
        while peer.dialing is asyncio.current_task():
            address = peer.member.address
            began = asyncio.get_running_loop().time()
            try:
                await self._call(peer, address)
            except _NotReached as error:
                self.trouble(peer.member.node, f"{address}: {error}")
                if error.hopeless:
                    pause_s = self.pace.hopeless_pause_s
            except Exception:
                log.exception("a call to a node failed", node=peer.member.node)
                pause_s = self.pace.hopeless_pause_s
            if asyncio.get_running_loop().time() - began > self.pace.longest_pause_s:
                pause_s = self.pace.first_pause_s
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, self.pace.longest_pause_s)

    async def _call(self, peer: _Peer, address: str) -> None:
        """One stream, from its hello to its end. _NotReached if there is none."""
        try:
            channel, metadata = peer_channel(address, self._access), self._access.metadata()
        except BadRequest as error:
            raise _NotReached(str(error), hopeless=True) from None
        stub: Any = peers_pb2_grpc.PeerServiceStub(channel)
        call: grpc.aio.StreamStreamCall[Any, Any] = stub.Exchange(metadata=metadata)
        try:
            said = await self._answer(call, self.hello(peer))
            if said.node != peer.member.node or said.incarnation != peer.member.incarnation:
                raise _NotReached(f"there is {said.node} in its life {said.incarnation}", hopeless=True)
            if (refused := peer_wire.judge(self.own, said)) is not None:
                raise _NotReached(refused.message, hopeless=True)
            await self.converse(peer, self.begin(peer, said, call))
        except BadPeer as error:
            raise _NotReached(str(error), hopeless=True) from error
        finally:
            call.cancel()
            await channel.close()

    async def _answer(
        self, call: grpc.aio.StreamStreamCall[Any, Any], hello: peers_pb2.PeerFrame
    ) -> peers_pb2.PeerHello:
        try:
            async with asyncio.timeout(self.pace.hello_s):
                await call.write(hello)
                first = await call.read()
                if isinstance(first, peers_pb2.PeerFrame) and first.HasField("hello"):
                    return first.hello
                code, details = await call.code(), await call.details()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            code, details = await call.code(), await call.details()
        except TimeoutError:
            raise _NotReached(f"no answer within {self.pace.hello_s:g} s") from None
        raise _NotReached(details or code.name, hopeless=code in _HOPELESS)


class _Peer:
    """One life of another node."""

    def __init__(self, member: Member, conversation: Conversation[peers_pb2.PeerEnvelope]) -> None:
        self.member = member
        self.conversation = conversation
        self.stream: PeerStream | None = None
        self.dialing: asyncio.Task[None] | None = None


class _NotReached(Exception):
    """`hopeless`: trying again soon will not help."""

    def __init__(self, why: str, *, hopeless: bool = False) -> None:
        super().__init__(why)
        self.hopeless = hopeless
