"""The frames of peers.proto into our types and back, and what makes a hello one that can be answered."""

from __future__ import annotations

from typing import Final

import grpc
import msgspec

from understudy_proto.v1 import peers_pb2
from understudy_runtime.core.peering import Batch, Opening
from understudy_runtime.rpc.errors import Refusal
from understudy_runtime.rpc.limits import MAX_REQUEST_BYTES

PROTO_MIN: Final = 1
PROTO_MAX: Final = 1
MAX_NAME_CHARS: Final = 200
"""Of what a stranger says and an error repeats."""
MAX_ENVELOPE_BYTES: Final = MAX_REQUEST_BYTES - 2**19
"""A frame is a batch and the envelope that makes it full, and must be less than what a server takes."""


class Identity(msgspec.Struct, frozen=True):
    """Whom a node is, to its peers."""

    cluster: str
    node: str
    incarnation: str


def to_frame(batch: Batch[peers_pb2.PeerEnvelope]) -> peers_pb2.PeerFrame:
    return peers_pb2.PeerFrame(
        first=batch.first, envelopes=batch.items, acknowledged=batch.acknowledged, credit=batch.credit
    )


def batch(frame: peers_pb2.PeerFrame) -> Batch[peers_pb2.PeerEnvelope]:
    return Batch(frame.first, frame.envelopes, frame.acknowledged, frame.credit)


def to_hello(own: Identity, node: str, incarnation: str, opening: Opening) -> peers_pb2.PeerFrame:
    """The first frame to this life of a node."""
    hello = peers_pb2.PeerHello(
        cluster=own.cluster,
        node=own.node,
        incarnation=own.incarnation,
        to_node=node,
        to_incarnation=incarnation,
        proto_min=PROTO_MIN,
        proto_max=PROTO_MAX,
        memory=opening.memory,
        of_memory=opening.of_memory,
        resume_after=opening.resume_after,
        credit=opening.credit,
        lends=True,
    )
    return peers_pb2.PeerFrame(hello=hello)


def opening(said: peers_pb2.PeerHello) -> Opening:
    return Opening(said.memory, said.of_memory, said.resume_after, said.credit)


def judge(own: Identity, said: peers_pb2.PeerHello) -> Refusal | None:
    """Why there can be no talking with whoever says this hello, whatever else is known of them; None: there can."""
    if said.cluster != own.cluster:
        cluster = short(said.cluster)
        return _refused("CLUSTER", f"{_who(said)} is of cluster {cluster!r}, {own.node} of {own.cluster!r}")
    if not (said.proto_min <= PROTO_MAX and said.proto_max >= PROTO_MIN):
        return _refused(
            "PROTOCOL",
            f"{_who(said)} speaks versions {said.proto_min} to {said.proto_max} of the protocol of nodes, {own.node} "
            f"{PROTO_MIN} to {PROTO_MAX}; upgrade the older one, one release at a time",
        )
    if said.node == own.node:
        return _refused("SELF", f"{own.node} has reached itself, or another node of its name; names must differ")
    if said.to_node != own.node:
        to = short(said.to_node)
        return _refused(
            "WRONG_NODE", f"{_who(said)} looks for {to} and has reached {own.node}; see what {to} advertises"
        )
    if said.to_incarnation != own.incarnation:
        life = short(said.to_incarnation)
        return _refused("WRONG_LIFE", f"{_who(said)} looks for {own.node} in its life {life}, not {own.incarnation}")
    if said.memory == 0 or said.credit == 0:
        return _refused("HELLO", f"{_who(said)} says a hello that cannot be: no memory, or no credit")
    return None


def short(said: str) -> str:
    """Of a name that may be no name."""
    return said[:MAX_NAME_CHARS]


def _who(said: peers_pb2.PeerHello) -> str:
    return short(said.node) or "a node without a name"


def _refused(reason: str, message: str) -> Refusal:
    return Refusal(grpc.StatusCode.FAILED_PRECONDITION, message, reason)
