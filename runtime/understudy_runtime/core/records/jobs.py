"""Jobs in outside systems: submitted, sought, over, and stopped."""

from __future__ import annotations

from msgspec import Raw

from understudy_runtime.core.kinds import Failure, Note


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


JobRecord = (
    JobSubmitted
    | JobSought
    | JobSeekDelayed
    | JobUncertain
    | JobOver
    | JobTold
    | JobStopping
    | JobStopFound
    | JobStopDelayed
    | JobStopped
)
