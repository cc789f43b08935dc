"""What is taken note of about jobs. Recovery runs only this."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy_runtime.core.job.state import OpenJob, Stopping, stopping_name
from understudy_runtime.core.job.stopping import stopping_of
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.jobs import (
    JobOver,
    JobSeekDelayed,
    JobSought,
    JobStopDelayed,
    JobStopFound,
    JobStopped,
    JobStopping,
    JobSubmitted,
    JobUncertain,
)

if TYPE_CHECKING:
    from understudy_runtime.core.calls import Calls, TaskCall


def leave(calls: Calls, number: int, call: TaskCall) -> None:
    """Nobody awaits this attempt of the job any more."""
    if call.job is not None:
        stopping = stopping_of(calls.execution, number, call)
        calls.stopping[stopping.name] = stopping
        call.job = None


def dispatched(call: TaskCall, watched_at: float, *, is_new: bool) -> None:
    """An attempt of the job begins, or goes on under another dispatch: what has a handle keeps it."""
    if is_new or call.job is None or call.job.handle is None:
        call.job = OpenJob()
    else:
        call.job.watched_at = watched_at


def apply(calls: Calls, record: AnyRecord) -> None:
    match record:
        case JobStopping() | JobStopFound() | JobStopDelayed() | JobStopped():
            stopping = calls.stopping.get(stopping_name(record.execution, record.call, record.attempt))
            if stopping is not None:
                _stop(calls, stopping, record)
        case JobSubmitted() | JobSought() | JobSeekDelayed() | JobUncertain() | JobOver():
            call = calls.open.get(record.call)
            if getattr(call, "job", None) is not None:
                _open(call, record)  # type: ignore[arg-type]
        case _:
            pass


def _open(call: TaskCall, record: JobSubmitted | JobSought | JobSeekDelayed | JobUncertain | JobOver) -> None:
    job = call.job
    assert job is not None
    match record:
        case JobSubmitted():
            job.phase, job.handle, job.build, job.since = "open", record.handle, record.build, record.at
            job.tries, job.seek_at, job.failure = 0, None, None
            call.dispatch = record.dispatch
        case JobSought():
            job.phase, job.failure, job.seek_at = "finding", record.failure, None
            job.tries += 1
            call.dispatch = record.dispatch
        case JobSeekDelayed():
            job.seek_at = record.retry_at
        case JobUncertain():
            job.phase = "uncertain"
        case JobOver():
            call.job = None


def _stop(calls: Calls, stopping: Stopping, record: JobStopping | JobStopFound | JobStopDelayed | JobStopped) -> None:
    match record:
        case JobStopping():
            stopping.dispatch, stopping.out, stopping.submitting = record.dispatch, True, False
            stopping.tries += 1
        case JobStopFound():
            stopping.handle, stopping.out, stopping.submitting = record.handle, False, False
            stopping.tries, stopping.at = 0, 0.0
        case JobStopDelayed():
            stopping.out, stopping.submitting, stopping.at = False, False, record.retry_at
        case JobStopped():
            del calls.stopping[stopping.name]
