"""Workers: what they and a node say to one another, whatever carries it, and the port by which a node takes them in.

A worker's session belongs to the worker and outlives its streams:

    connected ──stream breaks──► away ──hello from the same worker──► connected
        │                          │
        │ silent for               │ away for
        │ SESSION_TIMEOUT_S        │ SESSION_TIMEOUT_S, or it had said that it is leaving
        ▼                          ▼
       lost: all it holds is reported as lost, and given to others

An attempt that is still out long after its timeout, which the worker should have seen to, has failed: the node says
so, asks for its end, and reckons with the slot as used until the worker says that it is over.

The node is authoritative about who holds an attempt: a report from anybody else is settled as stale. The worker is
authoritative about what it can still run: what its hello does not name never reached it, or is gone with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

import msgspec

from understudy.cluster import WorkerInfo
from understudy_runtime.core.matching import Waiting
from understudy_runtime.core.messages import AttemptEnded, AttemptProgressed, Dispatch, Token

HEARTBEAT_S: Final = 3.0
"""How often either side says something, even if there is nothing to say."""
SESSION_TIMEOUT_S: Final = 10.0
"""How long a worker that is silent or away is thought to live."""
OVERDUE_S: Final = 30.0
"""So long after an attempt's timeout the node waits no longer for the worker to end it and to say so."""
MAX_WORKERS: Final = 10_000
MAX_WORKER_SLOTS: Final = 100_000
MAX_WORKER_TASKS: Final = 10_000

# --- from the worker


class Hello(msgspec.Struct, frozen=True):
    """Who is there. `worker` is unique for ever and the same on all streams of the session; `name` is for people.

    `labels` hold `name` and `name=value` of each label. `holds` are the attempts begun or reported and not settled.
    """

    worker: str
    name: str
    tasks: frozenset[str]
    slots: int
    namespace: str = "default"
    queues: frozenset[str] = frozenset({"default"})
    labels: frozenset[str] = frozenset()
    build: str = ""
    agent: str = ""
    holds: tuple[Token, ...] = ()


class GivenBack(NamedTuple):
    """An attempt the worker will not end. It costs the task nothing."""

    token: Token
    reason: str


class Health(msgspec.Struct, frozen=True):
    """`blocked_s` of 0: all is well. Else for how long what runs its tasks has not answered, and where it is."""

    blocked_s: float = 0.0
    blocked_by: Token | None = None
    blocked_at: str = ""


class FromWorker(msgspec.Struct):
    """A batch, taken in the order of the fields. An empty one is a sign of life."""

    credits: int = 0
    """Slots that may be used from now on, besides those granted before on this stream."""
    results: list[AttemptEnded] = []
    given_back: list[GivenBack] = []
    progress: list[AttemptProgressed] = []
    health: Health | None = None
    leaving: bool = False
    """Nothing more must be dispatched to it."""


# --- to the worker


class Welcome(msgspec.Struct, frozen=True):
    """`stale`: of what the worker holds, what is no longer its to run."""

    node: str
    heartbeat_s: float = HEARTBEAT_S
    session_timeout_s: float = SESSION_TIMEOUT_S
    stale: tuple[Token, ...] = ()


class Settled(NamedTuple):
    """A report need not be kept any longer. `stale`: it came too late and changed nothing."""

    token: Token
    stale: bool


class Drain(msgspec.Struct, frozen=True):
    """The node is leaving, and takes reports for `grace_s` more."""

    grace_s: float


class ToWorker(msgspec.Struct):
    """A batch, taken in the order of the fields. An empty one is a sign of life."""

    dispatches: list[Dispatch] = []
    cancels: list[Token] = []
    settled: list[Settled] = []
    drain: Drain | None = None

    def add(self, more: ToWorker) -> None:
        self.dispatches += more.dispatches
        self.cancels += more.cancels
        self.settled += more.settled
        self.drain = more.drain or self.drain


# --- the port


class Link(Protocol):
    """The node's side of one stream. Used on the engine's loop."""

    @property
    def welcome(self) -> Welcome: ...

    def take(self, batch: FromWorker) -> None: ...

    def closed(self) -> None:
        """The stream is no more; saying so twice is harmless."""
        ...


class Workers(Protocol):
    """The node, for whatever carries streams of workers."""

    def connect(self, hello: Hello, send: Callable[[ToWorker], None], end: Callable[[str], None]) -> Link:
        """Begin a session or go on with it; a stream it had before is ended.

        `send` and `end` (with the reason) are called on the engine's loop, never after `closed`. BadRequest if the
        hello cannot be, Overloaded if there are too many workers.
        """
        ...


# --- for people


class PoolInfo(msgspec.Struct, frozen=True):
    """Who works for the node, or did until a moment ago, and what waits for somebody who can."""

    workers: tuple[WorkerInfo, ...]
    waiting: tuple[Waiting, ...]
