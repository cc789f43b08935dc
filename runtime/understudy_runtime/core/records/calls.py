"""Calls that runs and handlers of actors make, of tasks, children and other actors, and the attempts behind them."""

from __future__ import annotations

from msgspec import Raw

from understudy.options import TaskOptions
from understudy_runtime.core.kinds import Command, Failure, Input, MaybeRaw, Note


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


class CallCancelled(Command, frozen=True):
    """User code no longer awaits the call."""

    call: int


class TaskSucceeded(Input, frozen=True):
    call: int
    result: Raw
    attempt: int = 1
    node: str = ""
    worker: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0


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


CallRecord = (
    TaskScheduled
    | ChildScheduled
    | AskScheduled
    | CallCancelled
    | TaskSucceeded
    | TaskGaveUp
    | CallAnswered
    | AttemptFailed
    | AttemptDispatched
    | ProgressNoted
    | LateResult
)
