"""What a machine can be told, and what it wants done: the two sides of `decide`.

`Decision` is the only way out of the core. Its fields say when each may be acted on; nothing in it may be
acted on before the turn's records are durable, except `activate`, which is part of the turn itself.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import Raw

from understudy.options import TaskOptions
from understudy.resourcing import ResourceDescription
from understudy.scheduling import RangeOverlap, ScheduleDescription, ScheduleSpec
from understudy_runtime.core.kinds import NULL, Failure, HeldWhy, MaybeRaw, Message, Sender
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.runs import Reusable
from understudy_runtime.core.resource.messages import ResourceMessage

JobStatus = Literal["submitting", "finding", "open", "uncertain", "stopping"]
RunStatus = Literal["running", "succeeded", "failed", "cancelled", "terminated", "timed_out", "held"]


# --- from clients, workflows and other actors


class Start(Message, frozen=True):
    workflow: str
    input: Raw
    digest: str = ""
    build: str = ""
    if_exists: Literal["return", "error", "join"] = "return"
    """The run that has the id is joined if it was started with the same (`return`), never, or whatever it is."""
    deadline_s: float | None = None
    parent: Sender | None = None
    idempotency_key: str = ""
    chain: tuple[Sender, ...] = ()


class Deliver(Message, frozen=True):
    """Tell (`ask=False`) or ask a handler. `chain`: who waits for the sender in turn, see `core.chains`."""

    handler: str
    args: Raw
    ask: bool = False
    sender: Sender | None = None
    idempotency_key: str = ""
    chain: tuple[Sender, ...] = ()


class Answer(Message, frozen=True):
    """The end of a child run or the reply of an asked actor, to the call that awaits it."""

    execution: int
    call: int
    result: MaybeRaw = None
    failure: Failure | None = None


class Cancel(Message, frozen=True):
    reason: str = ""
    idempotency_key: str = ""


class Terminate(Message, frozen=True):
    reason: str = ""
    idempotency_key: str = ""


class RetryRun(Message, frozen=True):
    """Start the next execution; `input` None keeps the old one. `reuse` was read from the journal."""

    input: MaybeRaw = None
    digest: str = ""
    reuse: tuple[Reusable, ...] = ()
    idempotency_key: str = ""


class Describe(Message, frozen=True):
    """Answered with a `Description`; changes nothing."""


# --- to schedules


class Declared(msgspec.Struct, frozen=True):
    """That the code of a node of a cluster says so: `since` when that node's life began, in seconds since 1970, and
    since when each of those lives goes on (`living`) that are there now. It is known by that."""

    since: float
    living: frozenset[float] = frozenset()


class SetSchedule(Message, frozen=True):
    """Make the schedule, or make it this one. One that is the same already is left alone.

    What is `declared` is ignored while a node lives that began later and has declared it too, or if this one has done
    so before: a node that the next code is yet to reach does not put back what that has changed, and none undoes what
    clients have changed since.
    """

    spec: ScheduleSpec
    if_exists: Literal["error", "update"] = "error"
    paused: bool = False
    """From the beginning; an existing schedule stays as it is."""
    note: str = ""
    idempotency_key: str = ""
    declared: Declared | None = None


class PauseSchedule(Message, frozen=True):
    note: str = ""
    idempotency_key: str = ""


class ResumeSchedule(Message, frozen=True):
    note: str = ""
    idempotency_key: str = ""


class TriggerSchedule(Message, frozen=True):
    """Start a run now, whatever else runs."""

    idempotency_key: str = ""


class BackfillSchedule(Message, frozen=True):
    """Start a run for each nominal time from `since` to `until`, both included, that has none yet."""

    since: float
    until: float
    overlap: RangeOverlap = "buffer"
    idempotency_key: str = ""


class DeleteSchedule(Message, frozen=True):
    """Start no more; runs under way go on."""

    idempotency_key: str = ""


# --- from the executor


class Token(msgspec.Struct, frozen=True):
    """The right to report on one dispatch of one attempt; a result with an older token is refused."""

    key: str
    execution: int
    call: int
    attempt: int
    dispatch: int


class Identity(NamedTuple):
    """An attempt, however often it was given out."""

    key: str
    execution: int
    call: int
    attempt: int


def identity_of(token: Token) -> Identity:
    return Identity(token.key, token.execution, token.call, token.attempt)


class AttemptEnded(Message, frozen=True):
    """An attempt succeeded (`failure` None) or failed. A failure of kind `lost` costs no attempt, twice."""

    token: Token
    result: Raw = NULL
    failure: Failure | None = None
    worker: str = ""
    node: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    build: str = ""
    """Of whoever ran it, where that is known."""


class AttemptProgressed(Message, frozen=True):
    token: Token
    progress: Raw


# --- to whoever has a job


class CompleteJob(Message, frozen=True):
    """The outside system, or somebody for it, says how this attempt's job ended: with `result`, or `failure`."""

    execution: int
    call: int
    attempt: int
    result: MaybeRaw = None
    failure: Failure | None = None
    idempotency_key: str = ""


class SettleJob(Message, frozen=True):
    """A person says of an uncertain job: it is there, as `handle`; or (None) it is not."""

    call: int
    handle: MaybeRaw = None
    idempotency_key: str = ""


class ListJobs(Message, frozen=True):
    """Answered with `OpenJobs`; changes nothing."""


# --- from the shell


class TimerDue(Message, frozen=True):
    """The time of the actor's earliest duty has come (or is thought to have)."""


class Recovered(Message, frozen=True):
    """The actor was loaded by a node that has none of its attempts: dispatch them again, but for those `under_way`.

    Those go on where they are, another node mostly, and their reports come here.
    """

    under_way: frozenset[Token] = frozenset()


class Hold(Message, frozen=True):
    why: HeldWhy
    detail: str


class Release(Message, frozen=True):
    """Whatever held the actor is thought to be gone."""

    idempotency_key: str = ""


class Activated(Message, frozen=True):
    """What the program asked for when it was activated, fed back within the same turn.

    `held` is set when the program could not be run to its end; then there are no commands.
    """

    commands: list[AnyRecord]
    held: Hold | None = None
    round: int = 1
    """How many activations this turn has had, so that a machine can leave the rest to the next turn."""


# --- the way out


class Watch(msgspec.Struct, frozen=True, omit_defaults=True):
    """Call again and again, every `every_s` seconds, and report only what is news. The node's own, held by no thread.

    News is a result other than `known` that comes `patience` times in a row, or `errors` errors in a row. The
    interval grows by `factor` up to `cap_s` while there is none, and each is spread by up to the share `jitter` of it.
    With `first_s`, the first call comes after that time already.
    """

    every_s: float
    known: Raw = NULL
    patience: int = 1
    errors: int = 3
    factor: float = 1.0
    cap_s: float = 60.0
    jitter: float = 0.1
    first_s: float | None = None


class Dispatch(msgspec.Struct, frozen=True, omit_defaults=True):
    """Start this attempt. `local`: on the node itself, whatever workers there are; so is all that has a `watch`."""

    token: Token
    task: str
    args: Raw
    options: TaskOptions
    idempotency_key: str
    progress: MaybeRaw = None
    watch: Watch | None = None
    local: bool = False


class Send(msgspec.Struct, frozen=True):
    """A durable message: inserted in the receiver's inbox by the turn's own commit."""

    to: str
    message: AnyMessage


class Settled(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to an ask that was accepted in an earlier turn, or in this one."""

    delivery: int
    result: MaybeRaw = None
    failure: Failure | None = None


class Later(msgspec.Struct, frozen=True):
    """The reply will come as the `Settled` of this delivery."""

    delivery: int


class Started(msgspec.Struct, frozen=True):
    """Reply to `Start` and `RetryRun`."""

    execution: int
    existed: bool = False


class Accepted(msgspec.Struct, frozen=True):
    """Reply to a told message and to cancel and terminate."""


class Refused(msgspec.Struct, frozen=True):
    """Reply to what cannot be done. `error` names the class in `understudy.errors`."""

    error: Literal["BadRequest", "BadInput", "UnknownName", "AlreadyExists", "Overloaded", "LeaseLost", "RunEnded"]
    message: str


class Description(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an actor stands; for a run, `definition` is its workflow. Times in seconds since 1970.

    Of a user-defined actor, `result` is its state, of `version`; `queued` messages wait for their turn; and `reminders`
    tells when each of them comes due.
    """

    key: str
    definition: str
    status: str
    execution: int = 1
    turns: int = 0
    created_at: float = 0.0
    closed_at: float | None = None
    scheduled: int = 0
    running: int = 0
    waiting: int = 0
    succeeded: int = 0
    failed: int = 0
    reused: int = 0
    warnings: int = 0
    held: Hold | None = None
    result: MaybeRaw = None
    failure: Failure | None = None
    input: MaybeRaw = None
    version: int = 1
    queued: int = 0
    reminders: dict[str, float] = {}


class Triggered(msgspec.Struct, frozen=True):
    """Reply to `TriggerSchedule`."""

    run_id: str


class BackfillBegun(msgspec.Struct, frozen=True):
    """Reply to `BackfillSchedule`: how many nominal times there are."""

    count: int


class JobInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job as people see it. `since` counts from 1970."""

    key: str
    execution: int
    call: int
    attempt: int
    task: str
    status: JobStatus
    since: float = 0.0
    build: str = ""
    handle: MaybeRaw = None


class OpenJobs(msgspec.Struct, frozen=True):
    """Reply to `ListJobs`."""

    jobs: tuple[JobInfo, ...]


Reply = (
    Later
    | OpenJobs
    | Started
    | Accepted
    | Refused
    | Description
    | Settled
    | ScheduleDescription
    | Triggered
    | BackfillBegun
    | ResourceDescription
)


class Decision(msgspec.Struct):
    """What one turn comes to. Made durable together: `append` and `send`; released only after that: the rest."""

    append: list[AnyRecord] = []
    """Journalled in this order, and applied before anything else is decided."""
    send: list[Send] = []
    """Inserted into the receivers' inboxes by the same commit; they are woken after it."""
    activate: bool = False
    """Run the program on the inputs in `append` and feed `Activated` back, within this turn."""
    execute: list[Dispatch] = []
    """Attempts to start, after the commit."""
    abandon: list[Token] = []
    """Attempts to cancel, after the commit."""
    timer: float | None = None
    """A new duty at this time; the shell wakes the actor then at the latest."""
    reply: Reply | None = None
    """To whoever sent the message, after the commit."""
    settled: list[Settled] = []
    """To whoever waits for these deliveries, after the commit."""
    closed: bool = False
    """The run has ended: whoever waits for its end is told, after the commit."""


AnyMessage = (
    Start
    | Deliver
    | Answer
    | Cancel
    | Terminate
    | RetryRun
    | Describe
    | SetSchedule
    | PauseSchedule
    | ResumeSchedule
    | TriggerSchedule
    | BackfillSchedule
    | DeleteSchedule
    | AttemptEnded
    | AttemptProgressed
    | TimerDue
    | Recovered
    | Hold
    | Release
    | Activated
    | CompleteJob
    | SettleJob
    | ListJobs
    | ResourceMessage
)

S = TypeVar("S")


class Machine(Protocol[S]):
    """A kind of actor. Pure: the same arguments always give the same decision.

    `apply` owns the state and changes it in place; `decide` only looks at it. Recovery runs only `apply`.
    """

    def initial(self, key: str) -> S: ...
    def decide(self, state: S, message: AnyMessage, now: float) -> Decision: ...
    def apply(self, state: S, record: AnyRecord, at: float, seq: int) -> None: ...
    def next_duty(self, state: S) -> float | None:
        """When the actor next has something to do by itself; 0.0 is at once, None is never."""
        ...

    def facts(self, state: S) -> ActorFacts: ...

    def replay_from(self, state: S) -> ReplayFrom | None:
        """Where in the journal the program's history begins; None: there is none, a fresh program will do."""
        ...

    def value(self, state: S) -> Raw | None:
        """The durable state a fresh program starts from, where it does not start from its inputs."""
        ...

    def encode(self, state: S) -> bytes: ...
    def decode(self, data: bytes) -> S: ...


class ReplayFrom(msgspec.Struct, frozen=True):
    """The program begins at turn `seq`, with `execution` (of a run) or `delivery` (of a user-defined actor)."""

    seq: int
    execution: int = 0
    delivery: int = 0


class ActorFacts(msgspec.Struct, frozen=True):
    """What the actor's row says of it, so that lists need not read journals.

    `open` is whether it must be loaded when its shard is taken over (attempts in flight, work to go on with).
    """

    definition: str
    status: str
    execution: int
    digest: str
    open: bool
    closed_at: float | None = None
