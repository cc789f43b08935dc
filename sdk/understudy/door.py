"""`Door`: what a client needs from whoever runs the runs, in values that are already encoded.

An embedded node is one; a connection to a cluster is another. A door knows nothing of user types. Whatever it
cannot do it says by raising one of `understudy.errors`: BadRequest (UnknownName, AlreadyExists), Overloaded or
StoreError. Times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Raw

from understudy.failures import FailureLike

RunStatus = Literal["running", "succeeded", "failed", "cancelled", "terminated", "timed_out", "held"]
IfExists = Literal["return", "error"]


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
    """What the next execution reuses and redoes, as `task#occurrence`; with `dry_run` it was only thought."""

    run_id: str
    execution: int
    reused: tuple[str, ...] = ()
    redone: tuple[str, ...] = ()
    dry_run: bool = False


class RunDescription(msgspec.Struct, frozen=True):
    """How a run stands now. The counts are of tasks and children of this execution.

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


class Door(Protocol):
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

    async def tell(self, address: str, handler: str, args: bytes) -> None:
        """Durable when it returns."""
        ...

    async def ask(self, address: str, handler: str, args: bytes, *, readonly: bool) -> AskReply: ...

    async def cancel(self, run_id: str, reason: str) -> None:
        """Durable when it returns; the run then cleans up in its own time."""
        ...

    async def terminate(self, run_id: str, reason: str) -> None: ...

    async def release(self, run_id: str) -> None:
        """Let a held run go on."""
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

    async def list_runs(self, *, status: str, workflow: str, limit: int) -> list[RunSummary]:
        """Newest first; an empty filter matches all."""
        ...
