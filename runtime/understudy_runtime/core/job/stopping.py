"""How a job that nobody awaits any more is brought to its end, whatever becomes of its run and its node."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from understudy_runtime.core.job.state import (
    CANCEL,
    FIND,
    Stopping,
    call_with,
    dispatch_for,
    is_none,
    options_of,
)
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import AttemptEnded, Decision, Token
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.calls import TaskGaveUp
from understudy_runtime.core.records.jobs import JobStopDelayed, JobStopFound, JobStopped, JobStopping

if TYPE_CHECKING:
    from understudy_runtime.core.calls import Calls, TaskCall

MAX_TRIES: Final = 20
"""A quarter of an hour, about. What cannot be cancelled by then is left alone, and that is a warning of the run."""
CAP_S: Final = 60.0


def stopping_of(execution: int, number: int, call: TaskCall) -> Stopping:
    """What is left to do of an attempt whose job is, or may be, under way."""
    job = call.job
    assert job is not None
    return Stopping(
        execution,
        number,
        call.attempt,
        call.dispatch,
        call.task,
        call.options,
        job.handle,
        submitting=job.phase == "submitting",
        since=job.since,
        build=job.build,
    )


def ended(calls: Calls, stopping: Stopping, message: AttemptEnded, now: float) -> Decision:
    """Its submit, its `find` or its `cancel` has come back; whatever else did is of no interest any more."""
    if message.token.dispatch != stopping.dispatch or not (stopping.out or stopping.submitting):
        return Decision()
    failure = message.failure
    if failure is None:
        if stopping.handle is not None or is_none(message.result):
            return _stopped(calls, stopping, None, now)
        found = JobStopFound(stopping.execution, stopping.call, stopping.attempt, message.result)
        return Decision(append=[found], timer=now)
    if stopping.submitting and not options_of(stopping.options).find:
        return _stopped(calls, stopping, None if failure.kind == "error" else failure, now)
    if stopping.tries >= MAX_TRIES:
        return _stopped(calls, stopping, failure, now)
    again_at = now if stopping.submitting else now + min(CAP_S, 2.0 ** (stopping.tries - 1))
    delayed = JobStopDelayed(stopping.execution, stopping.call, stopping.attempt, again_at, failure)
    return Decision(append=[delayed], timer=again_at)


def due(key: str, calls: Calls, now: float) -> Decision:
    decision = Decision()
    for stopping in list(calls.stopping.values()):
        if not stopping.out and not stopping.submitting and stopping.at <= now:
            _merge(decision, _try(key, calls, stopping, now))
    return decision


def recovered(key: str, calls: Calls, now: float, under_way: Collection[Token]) -> Decision:
    """What was being done and is not under way went with the node that did it: do it again."""
    decision = Decision()
    for stopping in list(calls.stopping.values()):
        token = Token(key, stopping.execution, stopping.call, stopping.attempt, stopping.dispatch)
        if (stopping.out or stopping.submitting) and token not in under_way:
            _merge(decision, _try(key, calls, stopping, now))
    return decision


def next_duty(calls: Calls) -> float | None:
    times = [each.at for each in calls.stopping.values() if not each.out and not each.submitting]
    return min(times, default=None)


def _try(key: str, calls: Calls, stopping: Stopping, now: float) -> Decision:
    job, handle = options_of(stopping.options), stopping.handle
    if handle is None and not job.find:
        why = (
            f"whether attempt {stopping.attempt} of {stopping.task} was submitted is not known, so it was not cancelled"
        )
        return _stopped(calls, stopping, Failure("JobLeftBehind", why, kind="lost"), now)
    if handle is not None and not job.cancel:
        why = f"{stopping.task} has no cancel(), so its job goes on"
        return _stopped(calls, stopping, Failure("JobLeftBehind", why), now)
    dispatch = stopping.dispatch + 1
    token = Token(key, stopping.execution, stopping.call, stopping.attempt, dispatch)
    verb, args = (FIND, None) if handle is None else (CANCEL, call_with(handle))
    return Decision(
        append=[JobStopping(stopping.execution, stopping.call, stopping.attempt, dispatch)],
        execute=[dispatch_for(verb, token, stopping.task, stopping.options, args)],
    )


def _stopped(calls: Calls, stopping: Stopping, failure: Failure | None, now: float) -> Decision:
    """It is over, or given up. A retry that waited for that may go on, or must not."""
    stopped: list[AnyRecord] = [JobStopped(stopping.execution, stopping.call, stopping.attempt, failure)]
    call = calls.open.get(stopping.call) if stopping.execution == calls.execution else None
    retry_at = getattr(call, "retry_at", None)
    if retry_at is None:
        return Decision(append=stopped)
    if failure is None or not options_of(stopping.options).cancel:
        return Decision(append=stopped, timer=max(now, retry_at))
    why = (
        f"attempt {stopping.attempt} of {stopping.task} could not be cancelled, so there is no other: {failure.message}"
    )
    stopped.append(TaskGaveUp(stopping.call, Failure("JobNotStopped", why, final=True), 0))
    return Decision(append=stopped, activate=True)


def _merge(decision: Decision, more: Decision) -> None:
    decision.append += more.append
    decision.execute += more.execute
    decision.activate = decision.activate or more.activate
    if more.timer is not None:
        decision.timer = more.timer if decision.timer is None else min(decision.timer, more.timer)
