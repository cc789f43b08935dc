"""The ports: everything the engine needs from outside, as Protocols.

`Store` says what happened. `Program` is user code, stepped inside a turn. `Executor` runs attempts and reports
back. `Clock` is the only source of time, randomness and ids, and `Calendar` knows what local times are. Engine code
reads none of these from anywhere else, so that a simulation can own them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from msgspec import Raw

from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import Activated, AttemptEnded, AttemptProgressed, Dispatch, Token
from understudy_runtime.core.records import AnyRecord, Turn


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since 1970."""
        ...

    def call_at(self, at: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back on the engine's loop at that time; the result takes it back."""
        ...

    def new_id(self) -> str:
        """A fresh id, unique for ever, that sorts by time of making."""
        ...


class Calendar(Protocol):
    """Cron expressions (see `understudy.cron`) in IANA time zones; times in seconds since 1970.

    What it says may change with the time zone database, so that recovery never asks: records hold its answers.
    """

    def next(self, cron: str, tz: str, after: float) -> float | None:
        """The first time that matches after `after`; None: there is none."""
        ...

    def previous(self, cron: str, tz: str, before: float) -> float | None: ...


# --- the store


class ActorRow(msgspec.Struct, frozen=True):
    """One row of the actor table. `parked_until` None: load it on takeover; infinite: only a message wakes it."""

    key: str
    kind: str
    definition: str
    status: str
    execution: int
    digest: str
    build: str
    created_at: float
    updated_at: float
    closed_at: float | None
    parked_until: float | None


class InboxRow(msgspec.Struct, frozen=True):
    """A durable message from actor `sender`, its `sender_seq`-th (from 1)."""

    to: str
    sender: str
    sender_seq: int
    body: bytes


class Blob(msgspec.Struct, frozen=True):
    digest: str
    body: bytes


class TurnWrite(msgspec.Struct):
    """Everything one turn makes durable. `records` None: no journal row (a change of `row` or `snapshot` alone)."""

    key: str
    seq: int
    at: float
    records: bytes | None = None
    row: ActorRow | None = None
    snapshot: bytes | None = None
    blobs: Sequence[Blob] = ()
    sent: Sequence[InboxRow] = ()
    consumed: Sequence[tuple[str, int]] = ()
    """(sender, sender_seq) of inbox rows of this actor that the turn took in."""


class JournalRow(msgspec.Struct, frozen=True):
    """`lsn` is the row's position in its shard: one writer, no gaps."""

    lsn: int
    key: str
    seq: int
    at: float
    records: bytes


class Loaded(msgspec.Struct, frozen=True):
    """What is stored of an actor: `row` None if nothing. `turns` are those after the snapshot, in order."""

    key: str
    row: ActorRow | None
    snapshot: bytes | None
    snapshot_seq: int
    turns: Sequence[JournalRow]
    inbox: Sequence[InboxRow]


class CommitFailed(Exception):
    """The batch is not durable, and the store cannot go on. The message is for the operator."""


class Fenced(CommitFailed):
    """Another node holds a newer term of the shard: whatever this one has in memory is void."""


class Store(Protocol):
    """The durable truth. One process writes; all methods are called on the engine's loop.

    A failed read or commit raises (or hands over) `understudy.errors.StoreError` or `CommitFailed`; it never
    reports success for what is not durable.
    """

    async def open(self, node: str, now: float) -> None:
        """Take the write side: migrate, lock, and begin a new term. StoreError if another process writes."""
        ...

    async def close(self) -> None: ...

    def commit(self, batch: Sequence[TurnWrite], done: Callable[[BaseException | None], None]) -> None:
        """Make the batch durable, all or nothing, in order; then call `done` on the engine's loop.

        At most one commit is in flight: the committer collects meanwhile.
        """
        ...

    async def load(self, keys: Sequence[str]) -> list[Loaded]:
        """What is stored of each of these actors, in the order asked for."""
        ...

    async def turns(self, key: str, after_seq: int, limit: int) -> list[JournalRow]:
        """The actor's journal rows with seq > after_seq, in order, at most `limit`."""
        ...

    async def blobs(self, key: str, digests: Sequence[str]) -> dict[str, bytes]: ...

    async def wakeful(self, until: float) -> list[tuple[str, float | None]]:
        """(key, parked_until) of actors to load by `until`: parked_until NULL or at most `until`, or with an inbox
        row (reported with None)."""
        ...

    async def rows(
        self,
        *,
        namespace: str,
        kind: str = "",
        status: str = "",
        definition: str = "",
        limit: int = 100,
        before: tuple[float, str] | None = None,
    ) -> list[ActorRow]:
        """Rows of the actor table, newest first; empty filters match all.

        `before`: only those that come after the row of this (created_at, key), which need not be there any longer.
        """
        ...


# --- user code inside turns


class Program(Protocol):
    """User code of one actor in memory. Called only within a turn (or replay), never twice at once."""

    def activate(
        self, now: float, inputs: Sequence[AnyRecord], recorded: Sequence[AnyRecord] | None = None
    ) -> Activated:
        """Hand over the inputs and run until nothing more can go on.

        The commands come in the order in which user code asked. `recorded` is given in a replay: what the
        journal says it asked for then. Never raises for what user code does.
        """
        ...

    def query(self, handler: str, args: Raw) -> Raw | Failure:
        """Call a `@readonly` method."""
        ...

    def evict(self) -> None:
        """Drop all of it without running user code that could have an effect."""
        ...

    @property
    def size(self) -> int:
        """Estimate of the bytes it keeps in memory."""
        ...


class Programs(Protocol):
    """Makes programs of the definitions this node has."""

    def has(self, kind: str, definition: str) -> bool: ...

    def create(self, key: str, definition: str, state: Raw | None) -> Program:
        """A fresh program. For a run, the first input it gets is `ExecutionStarted`; for a user-defined actor
        `state` is its last durable state (None: as the class says). UnknownName if the definition is not here."""
        ...


# --- tasks


Report = AttemptEnded | AttemptProgressed


class Executor(Protocol):
    """Runs attempts somewhere, and reports each exactly once, unless it was lost with its process.

    It enforces start-to-finish and heartbeat timeouts, because only it knows when an attempt really began.
    """

    def start(self, dispatches: Sequence[Dispatch]) -> None: ...

    def cancel(self, tokens: Sequence[Token]) -> None:
        """Ask attempts to end; they still report, with a failure of kind `cancelled` or otherwise."""
        ...

    async def close(self, grace_s: float) -> None: ...


History = list[Turn]
