"""A cell: one actor in memory, with its mailbox.

LOADING ──► READY ◄──► REVIVING        REVIVING: its program is being replayed; the mailbox waits
              │
              ├──► GONE                parked, or its shard is another node's
              ├──► SEALED              its shard is handed over when its turns are durable: it takes nothing more
              └──► BROKEN              a fault of ours left it in doubt: it takes nothing until the next start
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, NamedTuple

import structlog

from understudy.failures import encode_failure
from understudy_runtime.core.messages import AnyMessage, Machine, Reply
from understudy_runtime.core.ports import Program
from understudy_runtime.core.records import AnyRecord

log = structlog.get_logger("understudy.engine")

ReplyTo = Callable[[Reply | BaseException], None]


class Query(NamedTuple):
    """A call of a `@readonly` method: it changes nothing, so the machine never hears of it."""

    handler: str
    args: Any


class Envelope(NamedTuple):
    """A message on its way to a machine. `inbox` is its (sender, sender_seq) if it is durable."""

    message: AnyMessage | Query
    reply: ReplyTo | None = None
    inbox: tuple[str, int] | None = None


class Phase(Enum):
    LOADING = auto()
    READY = auto()
    REVIVING = auto()
    GONE = auto()
    SEALED = auto()
    BROKEN = auto()


class Cell:
    """One resident actor. Only the engine touches it, on the engine's loop.

    `parked` is what the stored row says (None: to be loaded on takeover); `uncommitted` counts turns on their way
    to the store; `asks` are clients who wait for the answer to a delivery; `undelivered` are inputs journalled
    while the actor was held, to be handed over with its release; `cost` is what residency reckons, in bytes.
    """

    __slots__ = (
        "asks",
        "at",
        "cost",
        "created_at",
        "inbox",
        "key",
        "kind",
        "machine",
        "mailbox",
        "parked",
        "phase",
        "program",
        "queued",
        "seq",
        "snapshot_seq",
        "state",
        "timer",
        "touched",
        "uncommitted",
        "undelivered",
    )

    def __init__(self, key: str, kind: str, machine: Machine[Any]) -> None:
        self.key = key
        self.kind = kind
        self.machine = machine
        self.state: Any = None
        self.program: Program | None = None
        self.phase = Phase.LOADING
        self.mailbox: deque[Envelope] = deque()
        self.inbox: set[tuple[str, int]] = set()
        self.asks: dict[int, list[ReplyTo]] = {}
        self.undelivered: list[AnyRecord] = []
        self.seq = 0
        self.snapshot_seq = 0
        self.at = 0.0
        self.created_at = 0.0
        self.parked: float | None = None
        self.timer: float | None = None
        self.uncommitted = 0
        self.queued = False
        self.touched = True
        self.cost = 0

    @property
    def idle(self) -> bool:
        """Nothing under way that needs this cell in memory."""
        return self.phase is Phase.READY and not (self.mailbox or self.uncommitted or self.asks)

    def drop_program(self) -> None:
        self.undelivered = []
        program, self.program = self.program, None
        if program is not None:
            try:
                program.evict()
            except BaseException as fault:  # a fault of ours: the program is gone, and nobody is to pay for it
                what = encode_failure(fault)
                log.error("a program could not be evicted", actor=self.key, error=what.type, traceback=what.traceback)

    def turn_away(self, error: BaseException) -> None:
        """Answer everybody who waits for this actor."""
        while self.mailbox:
            reply = self.mailbox.popleft().reply
            if reply is not None:
                reply(error)
        for waiting in self.asks.values():
            for reply_to in waiting:
                reply_to(error)
        self.asks.clear()
