"""The ports: everything the engine needs from outside, as Protocols.

`Store` says what happened. `Program` is user code, stepped inside a turn. `Executor` runs attempts and reports
back. `Clock` is the only source of time, randomness and ids, and `Calendar` knows what local times are. Engine code
reads none of these from anywhere else, so that a simulation can own them all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

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


class PartlyFailed(CommitFailed):
    """Some of the batch is not durable; all the rest of it is, and the store goes on.

    Not durable are all turns of the actors in shards that are `fenced`, because another node has them by now, and all
    turns of the actors that are `rejected` (why, by key), because one of them has what the database refuses: nothing
    of these turns is to be released. Whatever is in memory of a fenced shard is void. A rejected actor is ahead of what
    is stored of it: it is out of service, held, until it has been loaded again.
    """

    def __init__(self, message: str, fenced: frozenset[int] = frozenset(), rejected: Mapping[str, str] | None = None):
        super().__init__(message)
        self.fenced = fenced
        self.rejected: Mapping[str, str] = rejected or {}


class Store(Protocol):
    """The durable truth. One process writes; all methods are called on the engine's loop.

    A failed read or commit raises (or hands over) `understudy.errors.StoreError` or `CommitFailed`; it never
    reports success for what is not durable.
    """

    @property
    def epoch(self) -> int:
        """0, or the microseconds since 1970 at which the store was last restored from a backup; known once it is open.

        Terms and fences begin above it then, and so above all that were ever counted up to from 0 or from an earlier
        epoch: what had them before the restore may have got further than the backup knows.
        """
        ...

    async def open(self, node: str, now: float) -> None:
        """Take the write side: migrate, lock, and begin a new term. StoreError if another process writes."""
        ...

    async def close(self) -> None: ...

    def commit(self, batch: Sequence[TurnWrite], done: Callable[[BaseException | None], None]) -> None:
        """Make the batch durable, in order; then call `done` on the engine's loop, never from within this call.

        `done(None)`: all of it is durable. `done(PartlyFailed)`: all but what that names, which only a `ShardedStore`
        says. `done(CommitFailed)`: none of it can be relied on, and where the store had shards, they must be claimed
        anew. At most one commit is in flight: the committer collects meanwhile.
        """
        ...

    async def load(self, keys: Sequence[str]) -> list[Loaded]:
        """What is stored of each of these actors, in the order asked for."""
        ...

    async def turns(self, key: str, after_seq: int, limit: int) -> list[JournalRow]:
        """The actor's journal rows with seq > after_seq, in order, at most `limit`."""
        ...

    async def blobs(self, key: str, digests: Sequence[str]) -> dict[str, bytes]: ...

    async def notes(self, shards: Collection[int]) -> dict[int, bytes]:
        """What is noted of each of these shards, of those of which anything is; a store of one node has shard 0."""
        ...

    async def note(self, notes: Mapping[int, bytes]) -> None:
        """Note this (UTF-8) of each of these shards, instead of what was; nothing, if it is empty. Durable when it
        returns. Not always fenced, so that it is good for hints only. StoreError."""
        ...

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

    async def closed_runs(self, before: float, limit: int) -> list[str]:
        """Runs that ended at `before` or earlier and are at rest: nothing is to come of them, and no message to or from
        them waits in the store. At most `limit`; of a store with shards, of those that it has."""
        ...

    async def delete(self, keys: Sequence[str], before: float) -> int:
        """Delete all that is stored of those of these actors that ended at `before` or earlier; returns how many.

        The engine must not have them in memory. Done in pieces, each under the current term, so that commits are not
        held up for long. `floor` moves behind the last position deleted. Those of a shard that was lost are left.
        """
        ...


class ShardRow(msgspec.Struct, frozen=True):
    """Who may write a shard. `owner` is the node's name, "" if it was given up; `head` is the last position in its log.

    From `floor` on all positions are kept. Before it the turns of deleted runs are missing; what is there of any other
    actor is complete.
    """

    id: int
    term: int
    owner: str
    incarnation: str
    head: int
    floor: int


class ShardedStore(Store, Protocol):
    """A store that many nodes share: each writes the shards that it has claimed, and reads everything.

    An actor is in the shard that `core.keys.shard_of(key, store.shards)` says. The term in the store is the only truth
    about who may write a shard; every commit compares it. Messages for actors of other nodes' shards travel as inbox
    rows, which the sender's turn inserts (`TurnWrite.sent`) and the receiver's deletes (`TurnWrite.consumed`).

    All methods but `commit` raise StoreError if the store cannot be reached for long.
    """

    @property
    def shards(self) -> int:
        """How many there are: fixed when the store was made, known once it is open."""
        ...

    @property
    def terms(self) -> Mapping[int, int]:
        """The shards this store may write, as far as it knows, and under which terms."""
        ...

    @property
    def clock_offset_s(self) -> float | None:
        """What to add to `time.monotonic()` here to get the store's time, as of the last commit or, before the first,
        of the opening. None: the store has no time of its own."""
        ...

    @property
    def silent_s(self) -> float:
        """For how long something has been asked of the store without an answer; 0.0 if nothing is."""
        ...

    async def join(self, node: str, incarnation: str, now: float) -> None:
        """Open the store as one node of many: migrate, and claim nothing. (`open` joins, and claims all shards.)

        StoreError if a single node has it for itself.
        """
        ...

    async def read_shards(self) -> list[ShardRow]:
        """All shards, by id: what `claim` is to be told to have seen."""
        ...

    async def claim(self, seen: Mapping[int, int]) -> dict[int, int]:
        """Begin a new term of each of these shards, if its term is still the one that was seen.

        Returns the new terms; a shard that is missing was claimed by another node meanwhile. From here on the
        one before cannot commit to it, and its state may be read. Turns decided under an earlier term must not be
        handed to `commit` any more: they would pass for turns of this one.
        """
        ...

    async def release(self, shards: Collection[int]) -> None:
        """Give these up, after all commits handed over so far: later ones to them are `fenced`. Nobody else's
        claim is needed for that, and their terms stay as they are. Never fails."""
        ...

    async def wakeful(self, until: float, shards: Collection[int] | None = None) -> list[tuple[str, float | None]]:
        """As in `Store`, of actors in these shards, or else in those that it has."""
        ...

    async def inbox(self, keys: Collection[str]) -> dict[str, list[InboxRow]]:
        """The messages waiting for each of these actors that has any; those of one sender in their order."""
        ...

    async def scan_inbox(self, shards: Collection[int]) -> list[str]:
        """The actors in these shards that have messages waiting. To be asked before anything from a new term of
        another shard is delivered, and from time to time: a message may be there that nobody was told of."""
        ...


# --- user code inside turns


class StateUnfit(Exception):
    """The stored state of a user-defined actor does not fit the code here. The message is for people, and says what
    to do."""


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


Order = Literal["3.13", "3.12", "3.11"]
"""The version of CPython whose asyncio a program's steps follow, whichever version runs it."""


class Programs(Protocol):
    """Makes programs of the definitions this node has."""

    orders: Sequence[Order]
    """All that a journal may have been written in; new programs are made in the first."""

    def has(self, kind: str, definition: str) -> bool: ...

    def create(self, key: str, definition: str, state: Raw | None, order: Order = "3.13") -> Program:
        """A fresh program. For a run, the first input it gets is `ExecutionStarted`; for a user-defined actor
        `state` is what `core.actor.Kept` says. UnknownName if the definition is not here; StateUnfit."""
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


class Having(NamedTuple):
    """What an executor has: what has `begun`, and what has not, or is watched.

    What is `local` counts as begun: that a submit or a call of a driver never was, nobody could tell once it is gone.
    """

    begun: list[Token]
    unbegun: list[Token]


class MovableExecutor(Executor, Protocol):
    """An executor whose attempts may go on although their actors have moved to another node."""

    def having(self, wanted: Callable[[str], bool]) -> Having:
        """What it has of the actors whose keys are `wanted`."""
        ...


History = list[Turn]
