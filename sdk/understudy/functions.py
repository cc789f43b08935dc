"""Functions for code inside workflows, actors and tasks. Each says clearly when it is called elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any, Final, NoReturn, TypeVar, cast
from uuid import UUID

from understudy.actors import checked_id
from understudy.context import RunContext, TaskInfo, attempt_hosts, current_attempt, current_run
from understudy.errors import BadRequest
from understudy.scheduling import nominal_time

T = TypeVar("T")

HOW_TO_BE_KNOWN: Final = (
    "call it in the task itself, or in a Thread or ThreadPoolExecutor that the task gives work to; give other threads "
    "contextvars.copy_context().run to call"
)


def now() -> datetime:
    """The time of the current turn, in UTC; the same in every replay."""
    return _run("now").now()


def random() -> Random:
    """A random generator of this run's own; the same in every replay."""
    return _run("random").random()


def uuid4() -> UUID:
    """A random UUID; the same in every replay."""
    return _run("uuid4").uuid4()


async def wait_until(predicate: Callable[[], T | None]) -> T:
    """The first value of `predicate()` that is neither None nor False; asked again after every change."""
    return cast("T", await _run("wait_until").wait_until(predicate))


def patched(patch_id: str) -> bool:
    """Whether this run takes the new side of a change: True unless it passed here before the change was made."""
    return _run("patched").patched(checked_id(patch_id))


def continue_as_new(*args: Any, **kwargs: Any) -> NoReturn:
    """End this execution and begin the next one with this input and an empty history.

    For the workflow's own code, and for tasks and TaskGroups that this begins. In a handler, a @readonly method or an
    actor it is an error, which whoever called that is told of.
    """
    raise _run("continue_as_new").continue_as_new(args, kwargs)


def task_info() -> TaskInfo:
    """Who the running attempt is, its idempotency key and its predecessor's progress. Only inside a task."""
    attempt = current_attempt.get()
    if attempt is None:
        raise BadRequest(f"task_info() works only inside a task that a workflow called; {HOW_TO_BE_KNOWN}")
    return attempt.info


def scheduled_for() -> datetime | None:
    """The nominal time, in UTC, of the run that a schedule started; None if it was started otherwise.

    It is part of the run's id, so that a run which is started by hand as `nightly/2026-11-23T02:00:00Z` has it too. In
    workflows and in their tasks; a child run has none.
    """
    attempt = current_attempt.get()
    return nominal_time(_run("scheduled_for").run_id if attempt is None else attempt.info.run_id)


def heartbeat(progress: Any = None) -> None:
    """Say that the attempt is alive; the next attempt gets the last `progress` in its `task_info()`.

    Threads and executors that the attempt starts may say so for it. Where a task is called as a plain function there is
    nobody to tell, and nothing happens. BadRequest where attempts run in this process and it cannot be told which of
    them is meant, or where the attempt has ended.
    """
    attempt = current_attempt.get()
    if attempt is not None:
        attempt.heartbeat(progress)
    elif current_run.get() is not None:
        raise BadRequest("heartbeat() was called in workflow code; it belongs in a task")
    elif any(host.has_attempts for host in list(attempt_hosts)):
        raise BadRequest(f"heartbeat() was called where it is not known for which attempt; {HOW_TO_BE_KNOWN}")


def _run(function: str) -> RunContext:
    run = current_run.get()
    if run is None:
        raise BadRequest(f"{function}() works only inside a workflow or an actor")
    return run
