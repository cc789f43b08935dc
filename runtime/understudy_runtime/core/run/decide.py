"""What a run does with each message: one function a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from understudy_runtime.core import calls as calling
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core import leases as leasing
from understudy_runtime.core.job import deciding as jobs
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import (
    Accepted,
    Activated,
    Answer,
    AnyMessage,
    AttemptEnded,
    AttemptProgressed,
    Cancel,
    CompleteJob,
    Decision,
    Deliver,
    Describe,
    Description,
    Hold,
    ListJobs,
    OpenJobs,
    Recovered,
    Refused,
    Release,
    RetryRun,
    SettleJob,
    Start,
    Started,
    Terminate,
    TimerDue,
)
from understudy_runtime.core.records.calls import CallAnswered
from understudy_runtime.core.records.deliveries import Delivered, NothingToDo
from understudy_runtime.core.records.programs import Cautioned, Fired, Held, Released
from understudy_runtime.core.records.runs import CancelRequested, Ended, ExecutionStarted
from understudy_runtime.core.run.commands import activated
from understudy_runtime.core.run.ending import end
from understudy_runtime.core.run.state import CLOSED, RunState

TURNS_WARNING: Final = 10_000
MAX_TURNS: Final = 50_000
"""Replay grows with the turns of an execution, so a run that goes on for ever must `continue_as_new`."""


def _start(state: RunState, message: Start, now: float) -> Decision:
    if not state.status or _called_again(state, message):
        started = ExecutionStarted(
            message.workflow,
            message.input,
            key=state.key,
            execution=state.execution + 1,
            cause="retried" if state.execution else "started",
            digest=message.digest,
            build=message.build,
            deadline_s=message.deadline_s,
            parent=message.parent,
            idempotency_key=message.idempotency_key,
            chain=message.chain,
        )
        timer = None if message.deadline_s is None else now + message.deadline_s
        return Decision(append=[started], activate=True, timer=timer, reply=Started(started.execution))
    repeated = bool(message.idempotency_key) and message.idempotency_key in state.deliveries.remembered
    if repeated or message.if_exists == "return":
        return _join(state, message)
    return _refuse_start(message, Refused("AlreadyExists", f"run {state.key} exists already and is {state.status}"))


def _called_again(state: RunState, message: Start) -> bool:
    """A later execution of the parent calls a child by the same id: it is done again, like all that it calls."""
    now, before = message.parent, state.parent
    return (
        now is not None
        and before is not None
        and state.status in CLOSED
        and now.key == before.key
        and now.execution > before.execution
    )


def _join(state: RunState, message: Start) -> Decision:
    if message.workflow != state.workflow:
        return _refuse_start(
            message, Refused("AlreadyExists", f"run {state.key} exists already, of workflow {state.workflow}")
        )
    if message.parent is None or message.parent == state.parent:
        return Decision(reply=Started(state.execution, existed=True))
    return _refuse_start(
        message, Refused("AlreadyExists", f"run {state.key} exists already; a child run needs an id of its own")
    )


def _refuse_start(message: Start, refused: Refused) -> Decision:
    if message.parent is None:
        return Decision(reply=refused)
    return Decision(
        send=[delivering.answer_to(message.parent, None, Failure(refused.error, refused.message, final=True))]
    )


def _retry(state: RunState, message: RetryRun, now: float) -> Decision:
    if message.idempotency_key and message.idempotency_key in state.deliveries.remembered:
        known = state.deliveries.remembered[message.idempotency_key]
        return Decision(reply=Started(known.execution, existed=True))
    if not state.status:
        return Decision(reply=_unknown(state))
    if state.status not in CLOSED:
        return Decision(
            reply=Refused("BadRequest", f"run {state.key} is {state.status}; only an ended run can be retried")
        )
    started = ExecutionStarted(
        state.workflow,
        state.input if message.input is None else message.input,
        key=state.key,
        execution=state.execution + 1,
        digest=message.digest or state.digest,
        build=state.build,
        cause="retried",
        deadline_s=state.deadline_s,
        reuse=message.reuse,
        idempotency_key=message.idempotency_key,
    )
    timer = None if state.deadline_s is None else now + state.deadline_s
    return Decision(append=[started], activate=True, timer=timer, reply=Started(started.execution))


def _cancel(state: RunState, message: Cancel, now: float) -> Decision:
    if not state.status:
        return Decision(reply=_unknown(state))
    if state.status in CLOSED or state.cancel_requested or message.idempotency_key in state.deliveries.remembered:
        return _nothing_to_do(state, message.idempotency_key)
    requested = CancelRequested(message.reason, message.idempotency_key)
    return Decision(append=[requested], activate=True, reply=Accepted())


def _terminate(state: RunState, message: Terminate, now: float) -> Decision:
    if not state.status:
        return Decision(reply=_unknown(state))
    if state.status in CLOSED or message.idempotency_key in state.deliveries.remembered:
        return _nothing_to_do(state, message.idempotency_key)
    failure = Failure("Terminated", message.reason, final=True)
    return end(state, Ended("terminated", failure, message.idempotency_key), Decision(reply=Accepted()))


def _nothing_to_do(state: RunState, idempotency_key: str) -> Decision:
    is_news = bool(idempotency_key) and idempotency_key not in state.deliveries.remembered
    return Decision(append=[NothingToDo(idempotency_key)] if is_news else [], reply=Accepted())


def mind_the_length(state: RunState, message: AnyMessage, decision: Decision) -> Decision:
    """The decision to activate a run that has had many turns already, as it should be instead."""
    if state.turns >= MAX_TURNS:
        return _too_long(state, message, decision)
    if not state.cautioned:
        decision.append.append(
            Cautioned(f"the run has had {TURNS_WARNING} turns of at most {MAX_TURNS}; think of continue_as_new()")
        )
    return decision


def _too_long(state: RunState, message: AnyMessage, decision: Decision) -> Decision:
    failure = Failure(
        "TooManyTurns", f"the run has had {MAX_TURNS} turns; end long loops with continue_as_new()", final=True
    )
    if type(message) is Deliver:
        decision = delivering.refuse(message, Refused("BadRequest", f"run {state.key} has ended: {failure.message}"))
    return end(state, Ended("failed", failure), decision)


def _unknown(state: RunState) -> Refused:
    return Refused("UnknownName", f"there is no run {state.key}")


def _deliver(state: RunState, message: Deliver, now: float) -> Decision:
    if not state.status:
        return delivering.refuse(message, _unknown(state))
    if (again := delivering.repeated(state.deliveries, message)) is not None:
        return again
    if state.status in CLOSED:
        return delivering.refuse(message, Refused("BadRequest", f"run {state.key} has ended ({state.status})"))
    if (refused := delivering.refusal(state.deliveries)) is not None:
        return delivering.refuse(message, refused)
    delivered = Delivered(
        state.deliveries.next,
        message.handler,
        message.args,
        message.ask,
        message.sender,
        message.idempotency_key,
        message.chain,
    )
    return Decision(append=[delivered], activate=True, reply=delivering.reply_to(state.deliveries, message))


def _answer(state: RunState, message: Answer, now: float) -> Decision:
    if message.execution != state.execution or message.call not in state.calls.open:
        return Decision(append=leasing.answer_left(state.leases, message))
    return Decision(append=[CallAnswered(message.call, message.result, message.failure)], activate=True)


def _attempt_ended(state: RunState, message: AttemptEnded, now: float) -> Decision:
    decision = calling.attempt_ended(state.caller, state.calls, message, now)
    if not decision.append:
        decision.append = leasing.attempt_left(state.leases, message)
    return decision


def _attempt_progressed(state: RunState, message: AttemptProgressed, now: float) -> Decision:
    return calling.attempt_progressed(state.caller, state.calls, message)


def _timer_due(state: RunState, message: TimerDue, now: float) -> Decision:
    if state.status in CLOSED or not state.status:
        return calling.stops_due(state.caller, state.calls, now)
    if state.deadline is not None and state.deadline <= now:
        return end(
            state, Ended("timed_out", Failure("RunTimedOut", "the run's deadline passed", kind="timeout")), Decision()
        )
    if state.held is not None and state.held.why == "poisoned":
        return Decision()
    decision = calling.tasks_due(state.caller, state.calls, now)
    if state.timer is not None and state.timer <= now and state.held is None:
        decision.append.append(Fired())
        decision.activate = True
    decision.activate = decision.activate or state.continued is not None
    return decision


def _recovered(state: RunState, message: Recovered, now: float) -> Decision:
    if state.status in CLOSED:
        decision = calling.stops_recovered(state.caller, state.calls, now, message.under_way)
    else:
        decision = calling.recovered(state.caller, state.calls, now, message.under_way)
    decision.append += leasing.recovered(state.key, state.leases, state.calls, message.under_way)
    return decision


def _hold(state: RunState, message: Hold, now: float) -> Decision:
    if state.status in CLOSED or state.held is not None:
        return Decision()
    return Decision(append=[Held(message.why, message.detail)])


def _release(state: RunState, message: Release, now: float) -> Decision:
    if not state.status:
        return Decision(reply=_unknown(state))
    if message.idempotency_key in state.deliveries.remembered:
        return Decision(reply=Accepted())
    if state.held is None:
        why = f"run {state.key} is not held, it is {state.status}: there is nothing to release it from"
        return Decision(reply=Refused("BadRequest", why))
    if unsettled := jobs.uncertain(state.calls):
        first = f"settle call {unsettled[0]} first, with {jobs.how_to_settle(state.key, unsettled[0])}"
        why = f"run {state.key}: {first}; {state.held.detail}"
        return Decision(reply=Refused("BadRequest", why))
    released = Released(message.idempotency_key)
    decision = Decision(append=[released], activate=True, timer=state.timer, reply=Accepted())
    if state.held.why == "poisoned":
        # Nothing was done for it meanwhile, not even by the nodes that loaded it.
        recovered = _recovered(state, Recovered(), now)
        decision.append += recovered.append
        decision.execute += recovered.execute
    return decision


def _complete_job(state: RunState, message: CompleteJob, now: float) -> Decision:
    return jobs.complete(state.caller, state.calls, state.deliveries, message, now)


def _settle_job(state: RunState, message: SettleJob, now: float) -> Decision:
    decision = jobs.settle(state.caller, state.calls, state.deliveries, message, now)
    is_last = jobs.uncertain(state.calls) == [message.call]
    if is_last and decision.append and state.held is not None and state.held.why == "uncertain":
        decision.append.append(Released())
        decision.activate = True
    return decision


def _list_jobs(state: RunState, message: ListJobs, now: float) -> Decision:
    if not state.status:
        return Decision(reply=_unknown(state))
    return Decision(reply=OpenJobs(calling.open_jobs(state.key, state.calls)))


def _describe(state: RunState, message: Describe, now: float) -> Decision:
    if not state.status:
        return Decision(reply=_unknown(state))
    tasks = [call for _, call in state.calls.tasks()]
    running = sum(call.out for call in tasks)
    return Decision(
        reply=Description(
            state.key,
            state.workflow,
            state.status,
            state.execution,
            state.turns,
            state.created_at,
            state.closed_at,
            state.calls.scheduled,
            running,
            len(tasks) - running,
            state.calls.succeeded,
            state.calls.failed,
            state.calls.reused,
            state.warnings,
            state.held,
            state.result,
            state.failure,
            state.input,
        )
    )


DECIDE: Final[dict[type, Callable[[RunState, Any, float], Decision]]] = {
    Start: _start,
    RetryRun: _retry,
    Cancel: _cancel,
    Terminate: _terminate,
    Deliver: _deliver,
    Answer: _answer,
    AttemptEnded: _attempt_ended,
    AttemptProgressed: _attempt_progressed,
    TimerDue: _timer_due,
    Recovered: _recovered,
    Hold: _hold,
    Release: _release,
    Describe: _describe,
    CompleteJob: _complete_job,
    SettleJob: _settle_job,
    ListJobs: _list_jobs,
    Activated: activated,
}
