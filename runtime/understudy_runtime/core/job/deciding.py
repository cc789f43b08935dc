"""What is decided of a job that is awaited: its submit, its handle, its end, and what nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from understudy_runtime.core.deliveries import Deliveries
from understudy_runtime.core.job.state import (
    FIND,
    POLL,
    SUBMIT,
    OpenJob,
    call_with,
    decode_state,
    dispatch_for,
    is_none,
    options_of,
    watch_of,
)
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import (
    Accepted,
    AttemptEnded,
    CompleteJob,
    Decision,
    Refused,
    SettleJob,
    Token,
)
from understudy_runtime.core.records.calls import AttemptDispatched, AttemptFailed, TaskGaveUp, TaskSucceeded
from understudy_runtime.core.records.jobs import JobOver, JobSeekDelayed, JobSought, JobSubmitted, JobTold, JobUncertain
from understudy_runtime.core.records.programs import Held
from understudy_runtime.core.retries import retry_at

if TYPE_CHECKING:
    from understudy_runtime.core.calls import Caller, Calls, TaskCall

MAX_SEEKS: Final = 10
"""So often `find` is asked before the policy for unknown submits decides."""
SEEK_CAP_S: Final = 60.0
NEVER_REACHED: Final = frozenset({"BadInput", "UnknownName"})
"""Failures, if they are final, of submits that never began."""


class Job:
    """A task call that is a job, with what is needed to decide about it."""

    def __init__(self, caller: Caller, number: int, call: TaskCall, now: float) -> None:
        assert call.job is not None
        self.caller = caller
        self.number = number
        self.call = call
        self.job: OpenJob = call.job
        self.now = now

    def token(self, dispatch: int = 0) -> Token:
        call = self.call
        return Token(self.caller.key, self.caller.execution, self.number, call.attempt, dispatch or call.dispatch)

    # --- what it may come to

    def submitted(self, handle: Raw, build: str, *, found: bool) -> Decision:
        """The handle is known: it is made durable, and only then watched."""
        call, options = self.call, self.call.options
        dispatch = call.dispatch + 1
        decision = Decision(
            append=[JobSubmitted(self.number, call.attempt, handle, dispatch, self.now, build, found)],
            timer=None if options.timeout_s is None else self.now + options.timeout_s,
        )
        if options_of(options).poll:
            decision.execute.append(
                dispatch_for(POLL, self.token(dispatch), call.task, options, call_with(handle), watch_of(options))
            )
        return decision

    def watched_again(self) -> Decision:
        """By this node now, under a new dispatch number. What is completed from outside needs nobody."""
        call = self.call
        if not options_of(call.options).poll:
            return Decision()
        assert self.job.handle is not None
        dispatch = call.dispatch + 1
        watch = dispatch_for(
            POLL, self.token(dispatch), call.task, call.options, call_with(self.job.handle), watch_of(call.options)
        )
        noted = AttemptDispatched(self.number, call.attempt, dispatch, watched_at=self.now)
        return Decision(append=[noted], execute=[watch])

    def sought(self, failure: Failure | None) -> Decision:
        call = self.call
        dispatch = call.dispatch + 1
        return Decision(
            append=[JobSought(self.number, call.attempt, dispatch, failure)],
            execute=[dispatch_for(FIND, self.token(dispatch), call.task, call.options)],
        )

    def submitted_again(self) -> Decision:
        """The same attempt, with the same idempotency key."""
        call = self.call
        dispatch = call.dispatch + 1
        return Decision(
            append=[AttemptDispatched(self.number, call.attempt, dispatch)],
            execute=[dispatch_for(SUBMIT, self.token(dispatch), call.task, call.options, call.args)],
        )

    def unknown(self) -> Decision:
        """Nobody can tell whether the outside system has the job: the policy decides."""
        call = self.call
        match options_of(call.options).unknown:
            case "resubmit":
                return self.submitted_again()
            case "hold":
                return Decision(
                    append=[JobUncertain(self.number, call.attempt), hold(self.caller.key, self.number, call)]
                )
            case "fail":
                message = (
                    f"whether attempt {call.attempt} of {call.task} was submitted is not known, and it has no find()"
                )
                failure = Failure("JobLost", message, kind="lost", final=True)
                return self.failed(failure, is_over=True)

    def failed(self, failure: Failure, *, is_over: bool, ended: AttemptEnded | None = None) -> Decision:
        """The attempt has failed. Unless the job `is_over`, it has to be stopped, before any retry of it."""
        call, number, now = self.call, self.number, self.now
        decision = Decision()
        if is_over:
            decision.append.append(JobOver(number, call.attempt))
        again_at = retry_at(call.options, call.since, failure, self.token(), now)
        node, since, ended_at = ("", 0.0, 0.0) if ended is None else (ended.node, self.job.since, ended.ended_at)
        if again_at is None:
            decision.append.append(TaskGaveUp(number, failure, call.attempt, node, "", since, ended_at))
            decision.activate = True
            decision.timer = None if is_over else now
        else:
            decision.append.append(AttemptFailed(number, call.attempt, failure, again_at, node, "", since, ended_at))
            decision.timer = again_at if is_over else now
        if self.job.phase == "open" and ended is None:
            decision.abandon.append(self.token())
        return decision

    def succeeded(self, result: Raw, ended: AttemptEnded | None = None) -> Decision:
        node, ended_at = ("", self.now) if ended is None else (ended.node, ended.ended_at)
        since = self.job.since or self.now
        done = TaskSucceeded(self.number, result, self.call.attempt, node, "", since, ended_at)
        return Decision(append=[done], activate=True)


# --- what comes in


def ended(job: Job, message: AttemptEnded) -> Decision:
    """One of the job's methods has come back, or the watch has news."""
    match job.job.phase:
        case "submitting":
            return _submit_ended(job, message)
        case "finding":
            return _find_ended(job, message)
        case "open":
            return _watch_ended(job, message)
        case "uncertain":
            return Decision()


def _submit_ended(job: Job, message: AttemptEnded) -> Decision:
    failure = message.failure
    if failure is None:
        if is_none(message.result):
            why = f"{job.call.task}.submit() returned None; it must return the handle of the job"
            return job.failed(Failure("BadInput", why, final=True), is_over=True, ended=message)
        return job.submitted(message.result, message.build, found=False)
    if failure.final and failure.type in NEVER_REACHED:
        return job.failed(failure, is_over=True, ended=message)
    if options_of(job.call.options).find:
        return job.sought(failure)
    if failure.kind == "error":
        return job.failed(failure, is_over=True, ended=message)
    return job.unknown()


def _find_ended(job: Job, message: AttemptEnded) -> Decision:
    open_job, failure = job.job, message.failure
    if failure is not None:
        if open_job.tries >= MAX_SEEKS:
            return job.unknown()
        again_at = job.now + min(SEEK_CAP_S, 2.0 ** (open_job.tries - 1))
        return Decision(append=[JobSeekDelayed(job.number, job.call.attempt, failure, again_at)], timer=again_at)
    if not is_none(message.result):
        return job.submitted(message.result, message.build, found=True)
    if open_job.failure is None:
        return job.submitted_again()
    return job.failed(open_job.failure, is_over=True, ended=message)


def _watch_ended(job: Job, message: AttemptEnded) -> Decision:
    if message.failure is not None:
        return job.failed(message.failure, is_over=False, ended=message)
    try:
        found = decode_state(message.result)
    except msgspec.MsgspecError as error:
        why = f"{job.call.task}.poll() said nothing that can be read: {error}"
        return job.failed(Failure("BadInput", why, final=True), is_over=False, ended=message)
    if found.failure is not None:
        return job.failed(found.failure, is_over=True, ended=message)
    return job.succeeded(found.result, message)


def recovered(job: Job) -> Decision:
    """The node that submitted or watched is gone."""
    match job.job.phase:
        case "open":
            return job.watched_again()
        case "uncertain":
            return Decision()
        case "submitting" | "finding":
            if options_of(job.call.options).find:
                return job.sought(job.job.failure)
            return job.unknown()


def due(job: Job) -> Decision:
    """A timeout that has passed, or a search whose time has come."""
    at = timeout_at(job.call)
    if at is not None and at <= job.now:
        message = f"still running {job.call.options.timeout_s:g} s after it was submitted (its timeout)"
        return job.failed(Failure("TaskTimedOut", message, kind="timeout"), is_over=False)
    if job.job.seek_at is not None and job.job.seek_at <= job.now:
        return job.sought(job.job.failure)
    return Decision()


def next_duty(call: TaskCall) -> float | None:
    assert call.job is not None
    at = timeout_at(call)
    return call.job.seek_at if at is None else at


def timeout_at(call: TaskCall) -> float | None:
    """When an open job has taken too long, counted from its submission.

    It may have ended while no node was there to see it: who takes over has time for one poll before that is said.
    """
    job, timeout_s = call.job, call.options.timeout_s
    if job is None or job.phase != "open" or timeout_s is None:
        return None
    at = job.since + timeout_s
    if not job.watched_at:
        return at
    options = options_of(call.options)
    return max(at, job.watched_at + options.every_s + options.call_timeout_s)


# --- what people and outside systems say


def complete(caller: Caller, calls: Calls, deliveries: Deliveries, message: CompleteJob, now: float) -> Decision:
    if message.idempotency_key in deliveries.remembered:
        return Decision(reply=Accepted())
    call = calls.task(message.call)
    job = None if call is None else call.job
    is_this = message.execution == caller.execution and call is not None and call.attempt == message.attempt
    if not is_this or call is None or job is None:
        why = f"no job waits for this completion in {caller.key}: it has ended, was retried, or was given up"
        return Decision(reply=Refused("BadRequest", why))
    if job.phase == "uncertain":
        why = f"nobody knows whether this job was submitted; {how_to_settle(caller.key, message.call)} comes first"
        return Decision(reply=Refused("BadRequest", why))
    subject = Job(caller, message.call, call, now)
    if message.failure is not None:
        decision = subject.failed(message.failure, is_over=True)
    else:
        decision = subject.succeeded(message.result or Raw(b"null"))
        if job.phase == "open":
            decision.abandon.append(subject.token())
    return _taken(decision, subject, message)


def settle(caller: Caller, calls: Calls, deliveries: Deliveries, message: SettleJob, now: float) -> Decision:
    if message.idempotency_key in deliveries.remembered:
        return Decision(reply=Accepted())
    call = calls.task(message.call)
    job = None if call is None else call.job
    if call is None or job is None or job.phase != "uncertain":
        why = f"call {message.call} of {caller.key} is no uncertain job, so there is nothing to settle"
        return Decision(reply=Refused("BadRequest", why))
    subject = Job(caller, message.call, call, now)
    if message.handle is not None and not is_none(message.handle):
        decision = subject.submitted(message.handle, "", found=True)
    else:
        decision = subject.failed(
            Failure("JobLost", "it was never submitted, as a person found", kind="lost"), is_over=True
        )
    return _taken(decision, subject, message)


def _taken(decision: Decision, subject: Job, message: CompleteJob | SettleJob) -> Decision:
    if message.idempotency_key:
        decision.append.insert(0, JobTold(subject.number, subject.call.attempt, message.idempotency_key))
    decision.reply = Accepted()
    return decision


def how_to_settle(key: str, call: int) -> str:
    """The command, for people."""
    return f"`understudy jobs settle {key.split('/', 1)[1]} {call}`"


def hold(key: str, number: int, call: TaskCall) -> Held:
    """Until a person has settled it, whoever awaits this job is held."""
    detail = (
        f"call {number}: whether attempt {call.attempt} of {call.task} was submitted is not known; "
        f"look in the outside system, and then say so: {how_to_settle(key, number)}"
    )
    return Held("uncertain", detail)


def uncertain(calls: Calls) -> list[int]:
    """The calls that a person has to settle before the actor may go on."""
    return [number for number, call in calls.tasks() if call.job is not None and call.job.phase == "uncertain"]
