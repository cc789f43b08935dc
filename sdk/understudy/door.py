"""`Door`: what a client needs from whoever runs the runs, in values that are already encoded.

An embedded node is one; a connection to a cluster is another. A door knows nothing of user types. Whatever it
cannot do it says by raising one of `understudy.errors`: BadRequest (UnknownName, AlreadyExists), Overloaded or
StoreError. Times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Literal, Protocol, cast, get_args

import msgspec
from msgspec import Raw

from understudy.errors import BadRequest
from understudy.failures import FailureFields, FailureLike
from understudy.schedules import ScheduleDoor

RunStatus = Literal["running", "succeeded", "failed", "cancelled", "terminated", "timed_out", "held"]
IfExists = Literal["return", "error", "join"]
"""What to do about an id that is taken: take the run that has it if it was started with the same workflow and
arguments; refuse in any case; or take whatever run that is. AlreadyExists where it is refused."""


def checked_if_exists(given: str) -> IfExists:
    """BadRequest if it is none."""
    for known in get_args(IfExists):
        if given == known:
            return cast("IfExists", known)
    raise BadRequest(
        f"{given!r} is nothing to do about an id that is taken; there are: {', '.join(get_args(IfExists))}"
    )


JobStatus = Literal["submitting", "finding", "open", "uncertain", "stopping"]
JOB_STATUSES: Final[tuple[JobStatus, ...]] = ("submitting", "finding", "open", "uncertain", "stopping")


class JobSummary(msgspec.Struct, frozen=True):
    """A job of the run or actor at `address`, `run/<id>` or `actor.<class>/<id>`; of an actor, `execution` numbers the
    message whose handler awaits it. `handle` is JSON, or None.

    `since` is when it was submitted, before that when it was called, in seconds since 1970; `build` is of the code that
    submitted it. `token` is for whoever completes this attempt of it from outside.
    """

    address: str
    execution: int
    call: int
    attempt: int
    task: str
    status: JobStatus
    since: float
    build: str
    handle: Any
    token: str


class StartedRun(msgspec.Struct, frozen=True):
    """`existed`: the id was taken, and this is the run that has it."""

    run_id: str
    execution: int = 1
    existed: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """How a run ended, or why it is held. `reason` is for people."""

    run_id: str
    workflow: str
    status: RunStatus
    execution: int = 1
    result: Raw | None = None
    failure: FailureLike | None = None
    held_why: str = ""
    reason: str = ""


class AskReply(msgspec.Struct, frozen=True):
    """What an asked handler returned, unless `failure` is set."""

    result: Raw | None = None
    failure: FailureLike | None = None


class RetryPlan(msgspec.Struct, frozen=True):
    """What the next execution reuses and redoes, as `task#occurrence`; with `dry_run` it was only thought.

    `ends` is for people: as far as what reused results lead to the plan goes, and why no further.
    """

    run_id: str
    execution: int
    reused: tuple[str, ...] = ()
    redone: tuple[str, ...] = ()
    dry_run: bool = False
    ends: str = ""


class RunDescription(msgspec.Struct, frozen=True):
    """How a run stands now. The counts are of tasks of this execution, and of children that it awaits.

    `waiting` ones are between attempts. `error` is the failure in one line, `held_why` is diverged, stalled,
    poisoned or uncertain. `input` and `result` are JSON.
    """

    run_id: str
    workflow: str
    status: RunStatus
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
    held_why: str = ""
    held_detail: str = ""
    error: str = ""
    input: Raw | None = None
    result: Raw | None = None


class RunSummary(msgspec.Struct, frozen=True):
    """One line of a list of runs."""

    run_id: str
    workflow: str
    status: RunStatus
    execution: int = 1
    created_at: float = 0.0
    updated_at: float = 0.0
    closed_at: float | None = None


class HistoryTurn(msgspec.Struct, frozen=True):
    """One turn of a run (from 1): its records as JSON objects, whose kind is under "t"."""

    seq: int
    at: float
    records: list[dict[str, Any]]


class Door(ScheduleDoor, Protocol):
    """An address is `kind/id` within the door's namespace: `run/<run id>` or `actor.<class>/<id>`."""

    async def start(
        self, workflow: str, input: bytes, digest: str, *, run_id: str | None, if_exists: IfExists
    ) -> StartedRun:
        """Durable when it returns. Without a run id the door makes one up."""
        ...

    async def run(
        self, workflow: str, input: bytes, digest: str, *, run_id: str | None, if_exists: IfExists
    ) -> Outcome:
        """`start`, then `wait`, in one call."""
        ...

    async def wait(self, run_id: str) -> Outcome:
        """Returns when the run has ended or is held."""
        ...

    async def tell(self, address: str, handler: str, args: bytes, *, by_name: bool = False) -> None:
        """Durable when it returns.

        `by_name`: the caller knows no more of the handler than its name, so that it is looked up where its code is.
        UnknownName if there is none, BadInput if it does not take these arguments, BadRequest if it is read-only.
        """
        ...

    async def ask(self, address: str, handler: str, args: bytes, *, readonly: bool, by_name: bool = False) -> AskReply:
        """`by_name`: as in `tell`; and whether the handler is read-only is looked up, too."""
        ...

    async def cancel(self, run_id: str, reason: str) -> None:
        """Durable when it returns; the run then cleans up in its own time."""
        ...

    async def terminate(self, run_id: str, reason: str) -> None: ...

    async def release(self, run_id: str) -> None:
        """Let a held run go on. BadRequest if it is not held, or its journal still does not fit the code."""
        ...

    async def retry(
        self,
        run_id: str,
        input: bytes | None,
        digest: str,
        *,
        redo: Sequence[str],
        keep: Sequence[str],
        dry_run: bool,
    ) -> RetryPlan:
        """Start the next execution; `input` None keeps the old one. `redo` and `keep` name tasks."""
        ...

    async def describe(self, run_id: str) -> RunDescription: ...

    async def history(self, run_id: str, after: int, limit: int) -> list[HistoryTurn]:
        """At most `limit` turns after turn `after`, in order."""
        ...

    async def complete_job(self, token: str, result: bytes | None, failure: FailureFields | None) -> None:
        """Say how the job of this completion token ended. BadRequest if it does not wait for that (any more)."""
        ...

    async def settle_job(self, address: str, call: int, handle: bytes | None) -> None:
        """Say of an uncertain job that it is there, as `handle`, or (None) is not. Else BadRequest."""
        ...

    async def list_jobs(self, address: str, *, status: str, limit: int) -> list[JobSummary]:
        """The jobs that outside systems have, or may have: of a run or actor, or (an empty address) of all.

        Runs before actors, those of the newest first. An empty status matches all.
        """
        ...

    async def list_runs(self, *, status: str, workflow: str, limit: int) -> list[RunSummary]:
        """At most `limit`, newest first; an empty filter matches all."""
        ...

    def run_pages(self, *, status: str, workflow: str, size: int) -> AsyncIterator[list[RunSummary]]:
        """All of them, in pages of at most `size` (and at most 1,000), each read when it is asked for."""
        ...
