"""What runs and actors alike do with each message: one function a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from understudy_runtime.core import calls as calling
from understudy_runtime.core import leases as leasing
from understudy_runtime.core.job import deciding as jobs
from understudy_runtime.core.messages import (
    Accepted,
    Answer,
    AttemptEnded,
    AttemptProgressed,
    CompleteJob,
    Decision,
    Description,
    Hold,
    ListJobs,
    OpenJobs,
    Recovered,
    Refused,
    Release,
    SettleJob,
)
from understudy_runtime.core.program.commands import wake
from understudy_runtime.core.program.state import ProgramState
from understudy_runtime.core.records.calls import CallAnswered
from understudy_runtime.core.records.programs import Fired, Held, Released

Decide = Callable[[Any, Any, float], Decision]


def _answer(state: ProgramState, message: Answer, now: float) -> Decision:
    if message.call not in state.calls.open or message.execution != state.caller.execution:
        return Decision(append=leasing.answer_left(state.leases, message))
    return Decision(append=[CallAnswered(message.call, message.result, message.failure)], activate=True)


def _attempt_ended(state: ProgramState, message: AttemptEnded, now: float) -> Decision:
    decision = calling.attempt_ended(state.caller, state.calls, message, now)
    if not decision.append:
        decision.append = leasing.attempt_left(state.leases, message)
    return decision


def _attempt_progressed(state: ProgramState, message: AttemptProgressed, now: float) -> Decision:
    return calling.attempt_progressed(state.caller, state.calls, message)


def due(state: ProgramState, now: float) -> Decision:
    """What the calls have to do by now, and the program's own timer, which waits while it is held."""
    if state.poisoned:
        return Decision()
    decision = calling.tasks_due(state.caller, state.calls, now)
    if state.timer is not None and state.timer <= now and state.held is None:
        decision.append.append(Fired())
        decision.activate = True
    return decision


def next_duty(state: ProgramState) -> float | None:
    """When `due` next has something to do. Calls have their times while user code is held, too."""
    if state.poisoned:
        return None
    at = calling.next_duty(state.calls)
    if state.timer is None or state.held is not None:
        return at
    return state.timer if at is None else min(at, state.timer)


# --- a node that loads it


def _recovered(state: ProgramState, message: Recovered, now: float) -> Decision:
    if state.poisoned:
        return Decision()
    decision = _begin_anew(state, message, now)
    if state.held is None and (unsettled := jobs.uncertain(state.calls)):
        # An earlier release of this code has let it go, as it may not.
        call = state.calls.task(unsettled[0])
        assert call is not None
        decision.append.append(jobs.hold(state.key, unsettled[0], call))
    # One job may have failed, and another hold its caller: then user code hears of the first with its release.
    decision.activate = decision.activate and not any(type(record) is Held for record in decision.append)
    return decision


def _begin_anew(state: ProgramState, message: Recovered, now: float) -> Decision:
    decision = calling.recovered(state.caller, state.calls, now, message.under_way)
    decision.append += leasing.recovered(state.key, state.leases, state.calls, message.under_way)
    return decision


# --- holds


def _hold(state: ProgramState, message: Hold, now: float) -> Decision:
    if state.over or state.held is not None:
        return Decision()
    return Decision(append=[Held(message.why, message.detail)])


def release(state: ProgramState, message: Release, now: float) -> Decision:
    """It goes on, unless a person has to say first what became of a job."""
    if message.idempotency_key in state.deliveries.remembered:
        return Decision(reply=Accepted())
    if state.held is None:
        return Decision(reply=state.not_held)
    if unsettled := jobs.uncertain(state.calls):
        first = f"settle call {unsettled[0]} first, with {jobs.how_to_settle(state.key, unsettled[0])}"
        return Decision(reply=Refused("BadRequest", f"{state.shown}: {first}; {state.held.detail}"))
    decision = Decision(append=[Released(message.idempotency_key)], activate=True, timer=state.timer, reply=Accepted())
    if state.poisoned:
        # Nothing was done for it meanwhile, not even by the nodes that loaded it.
        missed = _begin_anew(state, Recovered(), now)
        decision.append += missed.append
        decision.execute += missed.execute
        wake(decision, calling.next_duty(state.calls))
    return decision


# --- what people ask


def described(state: ProgramState, definition: str, status: str) -> Description:
    """What there is to say of either kind."""
    return Description(
        state.key,
        definition,
        status,
        turns=state.turns,
        created_at=state.created_at,
        scheduled=state.calls.scheduled,
        running=sum(call.out for _, call in state.calls.tasks()) + state.calls.children,
        succeeded=state.calls.succeeded,
        failed=state.calls.failed,
        warnings=state.warnings,
        held=state.held,
    )


# --- jobs


def _complete_job(state: ProgramState, message: CompleteJob, now: float) -> Decision:
    return jobs.complete(state.caller, state.calls, state.deliveries, message, now)


def _settle_job(state: ProgramState, message: SettleJob, now: float) -> Decision:
    decision = jobs.settle(state.caller, state.calls, state.deliveries, message, now)
    is_last = jobs.uncertain(state.calls) == [message.call]
    if is_last and decision.append and state.held is not None and state.held.why == "uncertain":
        decision.append.append(Released())
        decision.activate = True
        wake(decision, state.timer)
    return decision


def _list_jobs(state: ProgramState, message: ListJobs, now: float) -> Decision:
    return Decision(reply=state.absent or OpenJobs(calling.open_jobs(state.key, state.calls)))


def restrain(state: ProgramState, decision: Decision) -> None:
    """What is held does not run user code, unless this decision lets it go; what is poisoned runs nothing.

    It may be let go and held again at once, for a job of which nobody knows what became. What a poisoned one would
    dispatch is noted as if it had been, and lost: its release begins that anew.
    """
    changes = [type(record) for record in decision.append if type(record) in (Held, Released)]
    decision.activate = decision.activate and changes[-1:] == [Released]
    if state.poisoned and Released not in changes:
        decision.execute = []
        decision.append = [record for record in decision.append if type(record) is not Held]


DECIDE: Final[dict[type, Decide]] = {
    Answer: _answer,
    AttemptEnded: _attempt_ended,
    AttemptProgressed: _attempt_progressed,
    Recovered: _recovered,
    Hold: _hold,
    Release: release,
    CompleteJob: _complete_job,
    SettleJob: _settle_job,
    ListJobs: _list_jobs,
}
