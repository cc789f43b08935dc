"""What is remembered of a job while it is awaited, and while it is being stopped."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Raw

from understudy.options import JobOptions, TaskOptions
from understudy_runtime.core.kinds import NULL, Failure, MaybeRaw
from understudy_runtime.core.messages import Dispatch, Token, Watch

SUBMIT = "submit"
POLL = "poll"
FIND = "find"
CANCEL = "cancel"

PENDING = Raw(b'{"state":"pending"}')
"""What a poll says while there is nothing new; see `understudy.jobs`."""


class OpenJob(msgspec.Struct, omit_defaults=True):
    """The job of the attempt under way. `since`: when it was submitted; `seek_at`: when it is to be asked for again.

    `watched_at`: since when the present node watches it, if it is not the one that submitted it.
    """

    phase: Literal["submitting", "finding", "open", "uncertain"] = "submitting"
    handle: MaybeRaw = None
    build: str = ""
    since: float = 0.0
    watched_at: float = 0.0
    tries: int = 0
    seek_at: float | None = None
    failure: Failure | None = None
    """What the submit came to that is being asked about; None: nobody knows."""


class Stopping(msgspec.Struct, omit_defaults=True):
    """A job that is to end. Without a handle it is looked for first. `at` is when that is due, unless it is `out`."""

    execution: int
    call: int
    attempt: int
    dispatch: int
    task: str
    options: TaskOptions
    handle: MaybeRaw = None
    out: bool = False
    submitting: bool = False
    """The submit is still under way, and says the handle when it ends."""
    at: float = 0.0
    tries: int = 0
    since: float = 0.0
    build: str = ""

    @property
    def name(self) -> str:
        return stopping_name(self.execution, self.call, self.attempt)


class JobState(msgspec.Struct, frozen=True):
    """What a poll says that is news."""

    state: Literal["pending", "done", "failed"]
    result: Raw = NULL
    failure: Failure | None = None


decode_state = msgspec.json.Decoder(JobState).decode


def stopping_name(execution: int, call: int, attempt: int) -> str:
    return f"{execution}:{call}:{attempt}"


def is_none(value: Raw) -> bool:
    return bytes(value) == b"null"


def options_of(options: TaskOptions) -> JobOptions:
    assert options.job is not None
    return options.job


def dispatch_for(
    verb: str, token: Token, task: str, options: TaskOptions, args: Raw | None = None, watch: Watch | None = None
) -> Dispatch:
    """The call of one of the job's methods. None of them is for a worker: they run on the node that has the run."""
    job = options_of(options)
    key = f"{token.key}:{token.execution}:{token.call}:{token.attempt}"
    if args is None:
        args = call_with(key)
    called = TaskOptions(retry=options.retry, timeout_s=job.call_timeout_s, job=job if verb == SUBMIT else None)
    return Dispatch(token, f"{task}.{verb}", args, called, key, watch=watch, local=True)


def call_with(argument: Any) -> Raw:
    return Raw(msgspec.json.encode({"args": [argument], "kwargs": {}}))


def watch_of(options: TaskOptions) -> Watch:
    job = options_of(options)
    return Watch(job.every_s, PENDING, errors=job.poll_errors, factor=job.factor, cap_s=job.cap_s)
