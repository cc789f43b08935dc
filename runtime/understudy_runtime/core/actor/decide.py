"""What an actor does with each message: one function a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from understudy_runtime.core import calls as calling
from understudy_runtime.core import chains
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core import leases as leasing
from understudy_runtime.core.actor.commands import activated
from understudy_runtime.core.actor.duties import handler_duty, next_message
from understudy_runtime.core.actor.state import ActorState
from understudy_runtime.core.job import deciding as jobs
from understudy_runtime.core.keys import ACTOR_PREFIX, kind_of
from understudy_runtime.core.messages import (
    Accepted,
    Activated,
    Answer,
    AnyMessage,
    AttemptEnded,
    AttemptProgressed,
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
    SettleJob,
    TimerDue,
)
from understudy_runtime.core.records.calls import CallAnswered
from understudy_runtime.core.records.deliveries import Delivered, HandlerQueued
from understudy_runtime.core.records.programs import Fired, Held, Released


def definition_of(state: ActorState) -> str:
    return kind_of(state.key).removeprefix(ACTOR_PREFIX)


def _deliver(state: ActorState, message: Deliver, now: float) -> Decision:
    deliveries = state.deliveries
    if (again := delivering.repeated(deliveries, message)) is not None:
        return again
    if message.sender is not None and message.ask:
        failure = chains.refusal(state.caller, state.calls.open, message.chain, message.sender)
        if failure is not None:
            return Decision(send=[delivering.answer_to(message.sender, None, failure)])
    if (refused := _unfit(state, message) or delivering.refusal(deliveries)) is not None:
        return delivering.refuse(message, refused)
    kind = HandlerQueued if state.in_flight or state.queue or state.held else Delivered
    record = kind(
        deliveries.next,
        message.handler,
        message.args,
        message.ask,
        message.sender,
        message.idempotency_key,
        message.chain,
    )
    return Decision(append=[record], activate=kind is Delivered, reply=delivering.reply_to(deliveries, message))


def _unfit(state: ActorState, message: Deliver) -> Refused | None:
    """Clients of an actor that nobody can serve are told so; what other actors send waits in the queue."""
    if state.held is None or state.held.why != "diverged" or message.sender is not None:
        return None
    return Refused("BadInput", f"{state.key} is held ({state.held.why}): {state.held.detail}")


def _answer(state: ActorState, message: Answer, now: float) -> Decision:
    if message.execution != state.in_flight or message.call not in state.calls.open:
        return Decision(append=leasing.answer_left(state.leases, message))
    return Decision(append=[CallAnswered(message.call, message.result, message.failure)], activate=True)


def _attempt_ended(state: ActorState, message: AttemptEnded, now: float) -> Decision:
    decision = calling.attempt_ended(state.caller, state.calls, message, now)
    if not decision.append:
        decision.append = leasing.attempt_left(state.leases, message)
    return decision


def _attempt_progressed(state: ActorState, message: AttemptProgressed, now: float) -> Decision:
    return calling.attempt_progressed(state.caller, state.calls, message)


def _timer_due(state: ActorState, message: TimerDue, now: float) -> Decision:
    stops = calling.stops_due(state.caller, state.calls, now) if not state.in_flight else Decision()
    if stops.append:
        return stops
    if not state.in_flight:
        due = None if state.held else next_message(state, state.reminders, now, reminded=state.reminded)
        return Decision() if due is None else Decision(append=[due], activate=True)
    decision = calling.tasks_due(state.caller, state.calls, now)
    if state.timer is not None and state.timer <= now and state.held is None:
        decision.append.append(Fired())
        decision.activate = True
    return decision


def _recovered(state: ActorState, message: Recovered, now: float) -> Decision:
    decision = calling.recovered(state.caller, state.calls, now, message.under_way)
    decision.append += leasing.recovered(state.key, state.leases, state.calls, message.under_way)
    return decision


def _hold(state: ActorState, message: Hold, now: float) -> Decision:
    return Decision() if state.held is not None else Decision(append=[Held(message.why, message.detail)])


def _release(state: ActorState, message: Release, now: float) -> Decision:
    """A handler that is in flight goes on; else the queue does, at once.

    It activates in any case, because that needs the program: code that still does not fit is found out here.
    """
    if state.held is None:
        return Decision(reply=Accepted())
    timer = handler_duty(state) if state.in_flight else now if state.queue or state.reminders else None
    decision = Decision(append=[Released()], activate=True, timer=timer, reply=Accepted())
    if state.held.why == "poisoned":
        recovered = _recovered(state, Recovered(), now)
        decision.append += recovered.append
        decision.execute += recovered.execute
    return decision


def _complete_job(state: ActorState, message: CompleteJob, now: float) -> Decision:
    return jobs.complete(state.caller, state.calls, state.deliveries, message, now)


def _settle_job(state: ActorState, message: SettleJob, now: float) -> Decision:
    decision = jobs.settle(state.caller, state.calls, state.deliveries, message, now)
    is_last = jobs.uncertain(state.calls) == [message.call]
    if is_last and decision.append and state.held is not None and state.held.why == "uncertain":
        decision.append.append(Released())
        decision.activate = True
    return decision


def _list_jobs(state: ActorState, message: ListJobs, now: float) -> Decision:
    if not state.turns:
        return Decision(reply=_unknown(state))
    return Decision(reply=OpenJobs(calling.open_jobs(state.key, state.calls)))


def _describe(state: ActorState, message: Describe, now: float) -> Decision:
    if not state.turns:
        return Decision(reply=_unknown(state))
    calls = state.calls
    running = sum(call.out for _, call in calls.tasks())
    return Decision(
        reply=Description(
            state.key,
            definition_of(state),
            "held" if state.held else "active",
            turns=state.turns,
            created_at=state.created_at,
            scheduled=calls.scheduled,
            running=running,
            succeeded=calls.succeeded,
            failed=calls.failed,
            warnings=state.warnings,
            held=state.held,
            result=state.value,
            version=state.version,
            queued=len(state.queue),
            reminders={name: reminder.at for name, reminder in state.reminders.items()},
        )
    )


def _unknown(state: ActorState) -> Refused:
    return Refused("UnknownName", f"nothing has happened to {state.key} yet")


def not_for_actors(state: ActorState, message: AnyMessage, now: float) -> Decision:
    return Decision(
        reply=Refused("BadRequest", f"{state.key} is an actor, not a run: it can be told and asked, and described")
    )


DECIDE: Final[dict[type, Callable[[ActorState, Any, float], Decision]]] = {
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
