"""What a node and its child processes say to each other: length-prefixed JSON frames over a socket pair.

JSON, because the values inside it are JSON already and are embedded as they stand.

    node                                   child
     Hello ─────────────────────────────>    where to import from
     Run, Run, ... ─────────────────────>    one after the other; those behind the first were sent ahead of need
     <────────────────────── Began, Beat     the first Run of a target: loaded, and the body starts now
     <────────────────────────────── Done    in order
     Recall ────────────────────────────>    what has not begun shall go elsewhere
     <────────────────────────── Recalled

Either side ends the other by closing: a child that reads the end of the stream kills itself at once.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec import Raw

from understudy_runtime.core.kinds import NULL, Failure, MaybeRaw
from understudy_runtime.core.messages import Dispatch

MAX_FRAME_BYTES: Final = 256 * 1024 * 1024
_PREFIX_BYTES: Final = 4


class FrameTooLarge(ValueError):
    """A message would be larger than `MAX_FRAME_BYTES`."""


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="t", omit_defaults=True):
    """The base of all messages. `number` counts the runs sent to a child."""


class LogStyle(msgspec.Struct, frozen=True):
    """How a node writes its log lines: in which format, from which level on, and under which name."""

    format: Literal["json", "pretty"]
    level: str
    node: str


class Hello(Message, frozen=True):
    """`path` is the node's `sys.path`; `pythonpath` the variable as it was before the child was started.

    Without `logs`, what tasks log and print is left to them.
    """

    path: list[str]
    pythonpath: str | None
    logs: LogStyle | None = None


class Run(Message, frozen=True):
    number: int
    target: tuple[str, str]
    dispatch: Dispatch


class Recall(Message, frozen=True):
    pass


class Began(Message, frozen=True):
    """Only for the first run of a target: of the others the node knows, from the end of the one before."""

    number: int


class Beat(Message, frozen=True):
    number: int
    progress: Raw


class Done(Message, frozen=True):
    """`progress` is what was not sent as a `Beat`; `took_s` leaves loading out."""

    number: int
    took_s: float
    result: Raw = NULL
    failure: Failure | None = None
    progress: MaybeRaw = None


class Recalled(Message, frozen=True):
    numbers: list[int]


ToChild = Hello | Run | Recall
FromChild = Began | Beat | Done | Recalled

to_child: Final = msgspec.json.Decoder(ToChild)
from_child: Final = msgspec.json.Decoder(FromChild)


def frame(message: ToChild | FromChild) -> bytes:
    body = msgspec.json.encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise FrameTooLarge(f"a message of {len(body)} bytes; the most is {MAX_FRAME_BYTES}")
    return len(body).to_bytes(_PREFIX_BYTES, "big") + body


class Frames:
    """Cuts a stream into the bodies of its frames, however the bytes arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        buffer = self._buffer
        buffer += data
        bodies: list[bytes] = []
        at = 0
        while len(buffer) - at >= _PREFIX_BYTES:
            end = at + _PREFIX_BYTES + int.from_bytes(buffer[at : at + _PREFIX_BYTES], "big")
            if len(buffer) < end:
                break
            bodies.append(bytes(buffer[at + _PREFIX_BYTES : end]))
            at = end
        del buffer[:at]
        return bodies
