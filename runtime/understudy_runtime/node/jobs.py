"""What callers say and ask about jobs, at a node of this process."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from understudy.door import JobSummary
from understudy.failures import FailureFields
from understudy_runtime.core.completion import completed_attempt
from understudy_runtime.core.keys import name_of
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import CompleteJob, JobInfo


def completion(token: str, result: bytes | None, failure: FailureFields | None) -> tuple[str, CompleteJob]:
    """The actor that has the job, and what to tell it. BadRequest if this is no completion token."""
    attempt = completed_attempt(token)
    message = CompleteJob(
        attempt.execution,
        attempt.call,
        attempt.attempt,
        None if result is None else Raw(result),
        None if failure is None else Failure(*failure),
    )
    return attempt.key, message


def summary(info: JobInfo) -> JobSummary:
    handle = None if info.handle is None else msgspec.json.decode(info.handle)
    return JobSummary(
        name_of(info.key),
        info.execution,
        info.call,
        info.attempt,
        info.task,
        info.status,
        info.since,
        info.build,
        handle,
    )
