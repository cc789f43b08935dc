"""What nodes tell each other, and rows with large values: made here, for the goldens and for their tests."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any, Final

import msgspec
from google.protobuf import json_format
from google.protobuf.message import Message
from msgspec import Raw

from understudy_proto.v1 import peers_pb2
from understudy_runtime.core import transport
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import Token
from understudy_runtime.core.peering import Opening
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.calls import TaskGaveUp, TaskSucceeded
from understudy_runtime.rpc import peer_wire

ENVELOPES: Final[dict[str, type[msgspec.Struct]]] = {
    "Wake": transport.Wake,
    "Report": transport.Report,
    "Keeping": transport.Keeping,
    "Noted": transport.Noted,
    "Adopt": transport.Adopt,
    "Unknown": transport.Unknown,
    "Stop": transport.Stop,
    "Taken": transport.Taken,
    "Offers": transport.Offers,
    "Lend": transport.Lend,
    "Decline": transport.Decline,
    "Recall": transport.Recall,
}
TOKEN: Final = Token("default/run/r", 1, 2, 3, 4)
OWN: Final = peer_wire.Identity("c", "n1", "life-1")
THEIRS: Final = peer_wire.Identity("c", "n2", "life-2")


class Sent(msgspec.Struct, frozen=True):
    """A message of the protocol: its bytes, and the same as JSON, for whoever reads the golden."""

    base64: str
    json: Any

    @property
    def data(self) -> bytes:
        return b64decode(self.base64)


def on_the_wire(message: Message) -> Raw:
    data = message.SerializeToString(deterministic=True)
    return Raw(msgspec.json.encode(Sent(b64encode(data).decode(), shown(message))))


def shown(message: Message) -> Any:
    """As JSON."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def judged() -> dict[str, peers_pb2.PeerHello]:
    """Hellos to the node `THEIRS`: one that is taken, and each kind that is not."""
    taken = peer_wire.to_hello(OWN, "n2", "life-2", Opening(1, 0, 0, 1)).hello
    changes: dict[str, dict[str, Any]] = {
        "taken": {},
        "cluster": {"cluster": "other"},
        "protocol": {"proto_min": 98, "proto_max": 99},
        "self": {"node": "n2"},
        "nobody": {"node": "", "to_node": "n3"},
        "wrong node": {"to_node": "n3"},
        "wrong life": {"to_incarnation": "life-1"},
        "no memory": {"memory": 0},
        "no credit": {"credit": 0},
        "long names": {"cluster": "x" * 300, "node": "y" * 300},
    }
    return {name: _with(taken, change) for name, change in changes.items()}


def _with(hello: peers_pb2.PeerHello, change: dict[str, Any]) -> peers_pb2.PeerHello:
    changed = peers_pb2.PeerHello.FromString(hello.SerializeToString())
    for field, value in change.items():
        setattr(changed, field, value)
    return changed


def large_values() -> dict[str, list[AnyRecord]]:
    """Records of one row by name; what is large is not in the golden, so it is made the same way each time."""
    large = Raw(b'"' + b"x" * 40_000 + b'"')
    looks_like_one = Raw(b'{"$blob":"0123"}')
    return {
        "one": [TaskSucceeded(1, large)],
        "twice the same": [TaskSucceeded(1, large), TaskSucceeded(2, looks_like_one), TaskSucceeded(3, large)],
        "inside of a failure": [TaskGaveUp(1, Failure("E", arguments=Raw(b'["' + b"y" * 40_000 + b'"]')))],
        "many small": [TaskSucceeded(call, Raw(b"1")) for call in range(3)],
    }
