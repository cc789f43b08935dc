"""What is stored in etcd under which key, and transactions on it in the form the gateway takes."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import msgspec

from understudy_runtime.core.membership import Member, Owner, View


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
        self._values = {unb64(kv["key"]).decode(): unb64(kv.get("value", "")) for kv in found}

    def note(self, revision: int, events: Iterable[dict[str, Any]]) -> None:
        self.revision = max(self.revision, revision)
        for event in events:
            key = unb64(event["kv"]["key"]).decode()
            if event.get("type") == "DELETE":
                self._values.pop(key, None)
            else:
                self._values[key] = unb64(event["kv"].get("value", ""))

    def seats(self) -> dict[str, Seat]:
        return {name: decode_seat(value) for name, value in self._under("nodes/")}

    @property
    def view(self) -> View:
        return View(
            self.revision,
            {name: seat.member for name, seat in self.seats().items()},
            {int(number): decode_owner(value) for number, value in self._under("shards/")},
            frozenset(name for name, _ in self._under("drain/")),
        )

    def _under(self, folder: str) -> list[tuple[str, bytes]]:
        prefix = self._layout.root + folder
        return [(key.removeprefix(prefix), value) for key, value in self._values.items() if key.startswith(prefix)]


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


encode = msgspec.json.Encoder().encode
decode_seat = msgspec.json.Decoder(Seat).decode
decode_owner = msgspec.json.Decoder(Owner).decode
decode_meta = msgspec.json.Decoder(Meta).decode
