"""What is recorded of a run: its executions, and how they end."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw

from understudy_runtime.core.kinds import Command, Failure, Input, Note, Sender
from understudy_runtime.core.records.deliveries import Delivered


class Reusable(msgspec.Struct, frozen=True, omit_defaults=True):
    """A finished task of the previous execution. `digest` is empty where any arguments will do."""

    task: str
    digest: str
    occurrence: int
    version: str
    result: Raw


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


class TaskReused(Input, frozen=True):
    """A finished task of the previous execution stands in for this call."""

    call: int
    result: Raw


class CancelRequested(Input, frozen=True):
    reason: str = ""
    idempotency_key: str = ""


class Completed(Command, frozen=True):
    result: Raw


class Failed(Command, frozen=True):
    failure: Failure


class Cancelled(Command, frozen=True):
    """The run was cancelled and its clean-up has ended."""


class ContinuedAsNew(Command, frozen=True):
    """`deliveries` are messages that this execution did not answer: the first ones of the next."""

    input: Raw
    digest: str
    deliveries: tuple[Delivered, ...] = ()


class Ended(Note, frozen=True):
    """The machine, not user code, ended the run: terminated, out of time, or out of turns."""

    status: Literal["failed", "terminated", "timed_out"]
    failure: Failure
    idempotency_key: str = ""


RunRecord = ExecutionStarted | TaskReused | CancelRequested | Completed | Failed | Cancelled | ContinuedAsNew | Ended
