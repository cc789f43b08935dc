"""What is made durable: one journal row per turn, holding the turn's records in order.

A record is one of three things, and replay depends on telling them apart:

* an INPUT resolves something inside user code: it is handed to the program in an activation;
* a COMMAND is what the program asked for in answer; accepted, it is journalled as it stands, and on
  replay the program must ask for it again;
* a NOTE is bookkeeping of the machine: the program neither sees nor makes it.

So a row reads `inputs, commands, inputs, commands, ...` with notes anywhere, and each stretch of inputs up to
the next command is one activation. Values of user code are JSON already (`msgspec.Raw`) and stay so.
Times are seconds since 1970, of the store's clock. Records are versioned by their tag: a changed meaning gets a
new tag, and fields are only ever added with a default.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw

from understudy.options import TaskOptions
from understudy.scheduling import Overlap, ScheduleSpec
from understudy_runtime.core.kinds import (
    NULL,
    Command,
    Failure,
    HeldWhy,
    Input,
    MaybeRaw,
    Note,
    Sender,
)
from understudy_runtime.core.resource.records import ResourceRecord


class Reusable(msgspec.Struct, frozen=True, omit_defaults=True):
    """A finished task of the previous execution. `digest` is empty where any arguments will do."""

    task: str
    digest: str
    occurrence: int
    version: str
    result: Raw


# --- inputs


class ExecutionStarted(Input, frozen=True):
    """An execution of a run begins; `input` is a JSON object {"args": [...], "kwargs": {...}}.

    `key` is the run's, so that a history can be replayed wherever it is taken.
    """

    workflow: str
    input: Raw
    key: str = ""
    execution: int = 1
    digest: str = ""
    build: str = ""
    cause: Literal["started", "retried", "continued"] = "started"
    deadline_s: float | None = None
    parent: Sender | None = None
    reuse: tuple[Reusable, ...] = ()
    idempotency_key: str = ""
    chain: tuple[Sender, ...] = ()
    """Who waits for the parent's call; see `core.chains`."""


class TaskSucceeded(Input, frozen=True):
    call: int
    result: Raw
    attempt: int = 1
    node: str = ""
    worker: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0


class TaskReused(Input, frozen=True):
    """A finished task of the previous execution stands in for this call."""

    call: int
    result: Raw


class TaskGaveUp(Input, frozen=True):
    """The last attempt failed; `attempt` of 0 says that the deadline passed between attempts."""

    call: int
    failure: Failure
    attempt: int = 1
    node: str = ""
    worker: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0


class CallAnswered(Input, frozen=True):
    """A child run ended, or an asked actor answered: exactly one of the two is set."""

    call: int
    result: MaybeRaw = None
    failure: Failure | None = None


class Delivered(Input, frozen=True):
    """A told or asked message reached the actor. `delivery` counts from 1 within the actor.

    `reminder` is the id of the reminder that came due, if it is one; a repeated one next comes due at `again_at`.
    """

    delivery: int
    handler: str
    args: Raw
    ask: bool = False
    sender: Sender | None = None
    idempotency_key: str = ""
    chain: tuple[Sender, ...] = ()
    reminder: str = ""
    again_at: float | None = None


class Fired(Input, frozen=True):
    """The program's timer came due."""


class CancelRequested(Input, frozen=True):
    reason: str = ""
    idempotency_key: str = ""


class Released(Input, frozen=True):
    """A held actor goes on; everything that came in meanwhile is handed over with it, in order."""

    idempotency_key: str = ""


# --- commands


class TaskScheduled(Command, frozen=True):
    """`args` is a JSON object {"args": [...], "kwargs": {...}}; the first dispatch is implied."""

    call: int
    task: str
    args: Raw
    digest: str
    options: TaskOptions = TaskOptions()
    leases: tuple[int, ...] = ()
    """The calls that asked for the leases in whose blocks it was called."""


class ChildScheduled(Command, frozen=True):
    """A workflow called (`wait`) or started from a workflow, as the run `run_id`."""

    call: int
    workflow: str
    run_id: str
    input: Raw
    digest: str
    wait: bool = True
    deadline_s: float | None = None
    delivery: int = 0
    """See `AskScheduled`."""
    leases: tuple[int, ...] = ()
    """Calls whose leases the block holds in which it is awaited: they go back when it has ended."""


class AskScheduled(Command, frozen=True):
    """Another actor is asked (`ask`) or told. In a run, by the handler of `delivery`; 0: not by a handler."""

    call: int
    to: str
    handler: str
    args: Raw
    ask: bool = True
    delivery: int = 0


class LeaseRequested(Command, frozen=True):
    """A lease of the resource `to` (`kind/id` within the namespace) is awaited; see `AcquireLease`."""

    call: int
    to: str
    units: int = 1
    exclusive: bool = False
    priority: int = 0
    wait_s: float | None = None
    spec: MaybeRaw = None
    digest: str = ""
    capacity: int | None = None


class LeaseEnded(Command, frozen=True):
    """The block of the lease that `call` asked for has ended. It is returned when all that was called in it has."""

    call: int


class OperationScheduled(Command, frozen=True):
    """An `@operation` of a resource is invoked under the lease that the call `lease` asked for."""

    call: int
    lease: int
    operation: str
    args: Raw
    digest: str = ""


class CallCancelled(Command, frozen=True):
    """User code no longer awaits the call."""

    call: int


class Replied(Command, frozen=True):
    """The handler of `delivery` has ended: with a result unless `failure` is set."""

    delivery: int
    result: Raw = NULL
    failure: Failure | None = None


class TimerSet(Command, frozen=True):
    """When the program next wants to be woken; None: not by time."""

    at: float | None = None


class Completed(Command, frozen=True):
    result: Raw


class Failed(Command, frozen=True):
    failure: Failure


class Cancelled(Command, frozen=True):
    """The run was cancelled and its clean-up has ended."""


class ContinuedAsNew(Command, frozen=True):
    input: Raw
    digest: str


class Patched(Command, frozen=True):
    """User code took the new side of `patched(id)`."""

    id: str


class Warned(Command, frozen=True):
    """Something a person should know, such as an exception nobody retrieved."""

    message: str


class StateSet(Command, frozen=True):
    """The new state of a user-defined actor, of this version of its class, once no handler is in flight."""

    state: Raw
    version: int = 1


class ReminderSet(Command, frozen=True):
    """The actor is to be told by itself at `at`, and then every `every_s` seconds. It replaces one of its id."""

    id: str
    handler: str
    args: Raw
    at: float
    every_s: float | None = None


class ReminderForgotten(Command, frozen=True):
    id: str


# --- notes


class AttemptFailed(Note, frozen=True):
    """An attempt failed and will be tried again at `retry_at`."""

    call: int
    attempt: int
    failure: Failure
    retry_at: float
    node: str = ""
    worker: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0


class AttemptDispatched(Note, frozen=True):
    """A dispatch that the schedule record does not imply. `lost` counts toward the loss limit.

    `watched_at`: since then a job that was submitted earlier is watched by another node.
    """

    call: int
    attempt: int
    dispatch: int
    lost: bool = False
    watched_at: float = 0.0


class ProgressNoted(Note, frozen=True):
    call: int
    attempt: int
    progress: Raw


class LateResult(Note, frozen=True):
    """A result nobody awaits any more."""

    call: int
    attempt: int


class HandlerQueued(Note, frozen=True):
    """A message waits until the actor's handler in flight has ended."""

    delivery: int
    handler: str
    args: Raw
    ask: bool = False
    sender: Sender | None = None
    idempotency_key: str = ""
    chain: tuple[Sender, ...] = ()


class Held(Note, frozen=True):
    why: HeldWhy
    detail: str


class Ended(Note, frozen=True):
    """The machine, not user code, ended the run: terminated, out of time, or out of turns."""

    status: Literal["failed", "terminated", "timed_out"]
    failure: Failure
    idempotency_key: str = ""


class NothingToDo(Note, frozen=True):
    """A command found the run as it was to make it. Kept so that, sent again, it does not meet a later execution."""

    idempotency_key: str


class Cautioned(Note, frozen=True):
    """The machine warns of something, such as a journal that grows long."""

    message: str


class LeaseReturned(Note, frozen=True):
    """The lease that `call` of `execution` asked for goes back, by a `ReleaseLease` in the same turn."""

    call: int
    execution: int = 1


class AttemptLeft(Note, frozen=True):
    """Nothing of a call under a lease, which nobody awaits, runs any more: its leases may go back."""

    call: int
    execution: int = 1


# --- notes of jobs


class JobSubmitted(Note, frozen=True):
    """The outside system has the job of this attempt, under its `handle`. It is watched from now on, as `dispatch`.

    `build` is of the code that submitted it. `found`: it was found there, by its idempotency key or by a person.
    """

    call: int
    attempt: int
    handle: Raw
    dispatch: int
    at: float = 0.0
    build: str = ""
    found: bool = False


class JobSought(Note, frozen=True):
    """Nobody knows whether the submit of this attempt reached the outside system, so it is asked, as `dispatch`."""

    call: int
    attempt: int
    dispatch: int
    failure: Failure | None = None


class JobSeekDelayed(Note, frozen=True):
    """The outside system could not be asked; it will be again at `retry_at`."""

    call: int
    attempt: int
    failure: Failure
    retry_at: float


class JobUncertain(Note, frozen=True):
    """Nobody knows whether there is a job of this attempt, and a person has to say so."""

    call: int
    attempt: int


class JobOver(Note, frozen=True):
    """There is nothing of this attempt in the outside system, or nothing any more that goes on."""

    call: int
    attempt: int


class JobTold(Note, frozen=True):
    """Somebody outside has said how this attempt's job ended, or what came of its submit. Said again with the same key,
    it changes nothing."""

    call: int
    attempt: int
    idempotency_key: str


class JobStopping(Note, frozen=True):
    """A job that nobody awaits any more is being cancelled (or, if its handle is not known, looked for)."""

    execution: int
    call: int
    attempt: int
    dispatch: int


class JobStopFound(Note, frozen=True):
    """The handle of a job that is to be cancelled has become known."""

    execution: int
    call: int
    attempt: int
    handle: Raw


class JobStopDelayed(Note, frozen=True):
    """A job could not be cancelled; this is tried again at `retry_at`."""

    execution: int
    call: int
    attempt: int
    retry_at: float
    failure: Failure


class JobStopped(Note, frozen=True):
    """A job is no more, or (`failure`) may go on for ever: it cannot be cancelled, and nobody tries any longer."""

    execution: int
    call: int
    attempt: int
    failure: Failure | None = None


# --- notes of schedules


Why = Literal["schedule", "catch_up", "backfill", "trigger"]


class ScheduleSet(Note, frozen=True):
    """The schedule was made, or is another one from now on; it waits for the nominal time `next`."""

    spec: ScheduleSpec
    next: float | None = None
    idempotency_key: str = ""
    note: str = ""


class SchedulePaused(Note, frozen=True):
    """Nothing starts by itself any more: what was buffered and the ranges under way are given up."""

    note: str = ""
    idempotency_key: str = ""


class ScheduleResumed(Note, frozen=True):
    next: float | None = None
    note: str = ""
    idempotency_key: str = ""


class ScheduleDeleted(Note, frozen=True):
    """The runs that it has started go on."""

    idempotency_key: str = ""


class ScheduleAdvanced(Note, frozen=True):
    """The schedule now waits for `next`. Nominal times from `missed_from` to `missed_to` passed while no node ran."""

    next: float | None = None
    missed_from: float | None = None
    missed_to: float | None = None


class RangeBegun(Note, frozen=True):
    """The nominal times from `next` to `until` are to be made up for."""

    next: float
    until: float
    overlap: Overlap
    why: Why
    idempotency_key: str = ""
    count: int = 0


class RangeAdvanced(Note, frozen=True):
    """The first range goes on at `next`, or has come to its end (None)."""

    next: float | None = None


class RunScheduled(Note, frozen=True):
    """A run is started, by a `Start` in the same turn. `buffered`: its nominal time was the first of those kept."""

    call: int
    run_id: str
    nominal_at: float
    why: Why = "schedule"
    buffered: bool = False
    idempotency_key: str = ""


class RunBuffered(Note, frozen=True):
    """The run of this nominal time starts when what runs has ended. `alone`: and others that were kept do not."""

    nominal_at: float
    why: Why = "schedule"
    alone: bool = False


class RunPassedOver(Note, frozen=True):
    """No run for this nominal time, because of others of the schedule."""

    nominal_at: float
    why: Why = "schedule"


class ScheduledRunEnded(Note, frozen=True):
    """`failure` is the type of the run's failure, empty if it succeeded.

    `existed`: there was a run for this nominal time already, and no other was started.
    """

    call: int
    failure: str = ""
    existed: bool = False


AnyRecord = (
    ExecutionStarted
    | TaskSucceeded
    | TaskReused
    | TaskGaveUp
    | CallAnswered
    | Delivered
    | Fired
    | CancelRequested
    | Released
    | TaskScheduled
    | ChildScheduled
    | AskScheduled
    | CallCancelled
    | Replied
    | TimerSet
    | Completed
    | Failed
    | Cancelled
    | ContinuedAsNew
    | Patched
    | Warned
    | StateSet
    | ReminderSet
    | ReminderForgotten
    | AttemptFailed
    | AttemptDispatched
    | ProgressNoted
    | LateResult
    | HandlerQueued
    | Held
    | Ended
    | NothingToDo
    | Cautioned
    | ScheduleSet
    | SchedulePaused
    | ScheduleResumed
    | ScheduleDeleted
    | ScheduleAdvanced
    | RangeBegun
    | RangeAdvanced
    | RunScheduled
    | RunBuffered
    | RunPassedOver
    | ScheduledRunEnded
    | LeaseRequested
    | LeaseEnded
    | OperationScheduled
    | LeaseReturned
    | AttemptLeft
    | JobSubmitted
    | JobSought
    | JobSeekDelayed
    | JobUncertain
    | JobOver
    | JobTold
    | JobStopping
    | JobStopFound
    | JobStopDelayed
    | JobStopped
    | ResourceRecord
)


class Turn(msgspec.Struct, frozen=True):
    """One journal row, decoded: turn `seq` of its actor (from 1), at time `at`."""

    seq: int
    at: float
    records: list[AnyRecord]
