"""What is stored in etcd under which key, and transactions on it in the form the gateway takes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
import structlog

from understudy_runtime.core.membership import Member, Owner, View

K = TypeVar("K")
T = TypeVar("T")

log = structlog.get_logger("understudy.cluster")


class Seat(msgspec.Struct, frozen=True):
    """A member, and the etcd lease that it stands under."""

    member: Member
    session: str


class Meta(msgspec.Struct, frozen=True):
    shards: int


class Layout:
    """The keys of one cluster."""

    def __init__(self, cluster: str) -> None:
        self.root = f"/understudy/{cluster}/"
        self.meta = f"{self.root}meta"

    def node(self, name: str) -> str:
        return f"{self.root}nodes/{name}"

    def shard(self, number: int) -> str:
        return f"{self.root}shards/{number}"

    def drain(self, name: str) -> str:
        return f"{self.root}drain/{name}"

    @property
    def everything(self) -> dict[str, str]:
        """The range of all of them."""
        return {"key": b64(self.root), "range_end": b64(self.root[:-1] + chr(ord("/") + 1))}


class Picture:
    """What is in etcd, as put together from a list and the events after it."""

    def __init__(self, layout: Layout, revision: int, found: Iterable[dict[str, Any]]) -> None:
        self._layout = layout
        self.revision = revision
        self._values = {_text(kv["key"]): unb64(kv.get("value", "")) for kv in found}

    def note(self, events: Iterable[dict[str, Any]]) -> None:
        """Its revision is that of the last event: that of the response may be of events that are yet to come."""
        for event in events:
            self.revision = max(self.revision, int(event["kv"]["mod_revision"]))
            key = _text(event["kv"]["key"])
            if event.get("type") == "DELETE":
                self._values.pop(key, None)
            else:
                self._values[key] = unb64(event["kv"].get("value", ""))

    @property
    def view(self) -> View:
        return View(
            self.revision,
            {name: seat.member for name, seat in self._under("nodes/", str, decode_seat)},
            dict(self._under("shards/", int, decode_owner)),
            frozenset(name for name, _ in self._under("drain/", str, bytes)),
        )

    def _under(self, folder: str, name_of: Callable[[str], K], decode: Callable[[bytes], T]) -> list[tuple[K, T]]:
        """What is there, by its name. Passes over what no node can have put there: it must not blind all of them."""
        prefix = self._layout.root + folder
        found: list[tuple[K, T]] = []
        for key, value in self._values.items():
            if key.startswith(prefix):
                try:
                    found.append((name_of(key.removeprefix(prefix)), decode(value)))
                except ValueError as error:
                    log.warning("a key in etcd makes no sense; delete it", key=key, why=str(error))
        return found


def absent(key: str) -> dict[str, Any]:
    """The condition that there is no such key."""
    return {"key": b64(key), "target": "CREATE", "result": "EQUAL", "create_revision": "0"}


def present(key: str) -> dict[str, Any]:
    return {"key": b64(key), "target": "CREATE", "result": "GREATER", "create_revision": "0"}


def equals(key: str, value: bytes) -> dict[str, Any]:
    return {"key": b64(key), "target": "VALUE", "result": "EQUAL", "value": b64(value)}


def put(key: str, value: bytes, session: str = "0") -> dict[str, Any]:
    return {"request_put": {"key": b64(key), "value": b64(value), "lease": session}}


def get(key: str) -> dict[str, Any]:
    return {"request_range": {"key": b64(key)}}


def delete(key: str) -> dict[str, Any]:
    return {"request_delete_range": {"key": b64(key)}}


def b64(data: str | bytes) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def unb64(text: str) -> bytes:
    return base64.b64decode(text)


def _text(key: str) -> str:
    return unb64(key).decode(errors="replace")


encode = msgspec.json.Encoder().encode
decode_seat = msgspec.json.Decoder(Seat).decode
decode_owner = msgspec.json.Decoder(Owner).decode
decode_meta = msgspec.json.Decoder(Meta).decode
