"""What a run does with messages, beside what every program does: one function a message."""

from __future__ import annotations

from typing import Final

import msgspec

from understudy_runtime.core import calls as calling
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.keys import id_of
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import (
    Accepted,
    Activated,
    AnyMessage,
    Cancel,
    Decision,
    Deliver,
    Describe,
    Refused,
    RetryRun,
    Start,
    Started,
    Terminate,
    TimerDue,
)
from understudy_runtime.core.program import decide as program
from understudy_runtime.core.program.decide import Decide, described, due
from understudy_runtime.core.records.deliveries import Delivered, NothingToDo
from understudy_runtime.core.records.programs import Cautioned
from understudy_runtime.core.records.runs import CancelRequested, Ended, ExecutionStarted
from understudy_runtime.core.run.commands import activated
from understudy_runtime.core.run.ending import end
from understudy_runtime.core.run.state import CLOSED, RunState

TURNS_WARNING: Final = 10_000
OTHER_ID: Final = 'choose another id, or join it as it is with if_exists="join"'
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
    if message.parent is not None:
        return _join_child(state, message)
    if message.if_exists == "join" or message.idempotency_key in state.deliveries.remembered:
        return _join(state)
    if message.if_exists == "return":
        return _join_same(state, message)
    return _taken(state, message, f" and is {state.status}")


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


def _join(state: RunState) -> Decision:
    return Decision(reply=Started(state.execution, existed=True))


def _join_child(state: RunState, message: Start) -> Decision:
    if message.workflow != state.workflow:
        return _taken(state, message, f", of workflow {state.workflow}")
    return (
        _join(state)
        if message.parent == state.parent
        else _taken(state, message, "; a child run needs an id of its own")
    )


def _join_same(state: RunState, message: Start) -> Decision:
    """What was started with something else is another run, whatever its executions were given since."""
    if message.workflow != state.workflow:
        return _taken(state, message, f", of workflow {state.workflow}; {OTHER_ID}")
    if _has_other_arguments(state, message):
        return _taken(state, message, f", started with other arguments; {OTHER_ID}")
    return _join(state)


def _has_other_arguments(state: RunState, message: Start) -> bool:
    """False if the journal does not tell."""
    first = state.started_with
    if first is None or message.input == first.input:
        return False
    return not message.digest or not first.digest or message.digest != first.digest


def _taken(state: RunState, message: Start, how: str) -> Decision:
    refused = f"run {id_of(state.key)} exists already{how}"
    if message.parent is None:
        return Decision(reply=Refused("AlreadyExists", refused))
    return Decision(send=[delivering.answer_to(message.parent, None, Failure("AlreadyExists", refused, final=True))])


def _retry(state: RunState, message: RetryRun, now: float) -> Decision:
    if message.idempotency_key and message.idempotency_key in state.deliveries.remembered:
        known = state.deliveries.remembered[message.idempotency_key]
        return Decision(reply=Started(known.execution, existed=True))
    if (absent := state.absent) is not None:
        return Decision(reply=absent)
    if state.status not in CLOSED:
        return Decision(
            reply=Refused("BadRequest", f"run {id_of(state.key)} is {state.status}; only an ended run can be retried")
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
    if (absent := state.absent) is not None:
        return Decision(reply=absent)
    if state.status in CLOSED or state.cancel_requested or message.idempotency_key in state.deliveries.remembered:
        return _nothing_to_do(state, message.idempotency_key)
    requested = CancelRequested(message.reason, message.idempotency_key)
    return Decision(append=[requested], activate=True, reply=Accepted())


def _terminate(state: RunState, message: Terminate, now: float) -> Decision:
    if (absent := state.absent) is not None:
        return Decision(reply=absent)
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
        decision = delivering.refuse(message, _has_ended(state, f": {failure.message}"))
    return end(state, Ended("failed", failure), decision)


def _has_ended(state: RunState, how: str) -> Refused:
    return Refused("RunEnded", f"run {id_of(state.key)} has ended{how}")


def _deliver(state: RunState, message: Deliver, now: float) -> Decision:
    if (absent := state.absent) is not None:
        return delivering.refuse(message, absent)
    if (again := delivering.repeated(state.deliveries, message)) is not None:
        return again
    if state.status in CLOSED:
        return delivering.refuse(message, _has_ended(state, f" ({state.status}): it takes no more messages"))
    if (refused := delivering.refusal(state.deliveries)) is not None:
        return delivering.refuse(message, refused)
    return delivering.taken(state.deliveries, message, Delivered)


def _timer_due(state: RunState, message: TimerDue, now: float) -> Decision:
    if state.status in CLOSED or not state.status:
        return calling.stops_due(state.caller, state.calls, now)
    if state.deadline is not None and state.deadline <= now:
        return end(
            state, Ended("timed_out", Failure("RunTimedOut", "the run's deadline passed", kind="timeout")), Decision()
        )
    decision = due(state, now)
    decision.activate = decision.activate or state.continued is not None
    return decision


def _describe(state: RunState, message: Describe, now: float) -> Decision:
    if (absent := state.absent) is not None:
        return Decision(reply=absent)
    description = msgspec.structs.replace(
        described(state, state.workflow, state.status),
        execution=state.execution,
        closed_at=state.closed_at,
        waiting=sum(not call.out for _, call in state.calls.tasks()),
        reused=state.calls.reused,
        result=state.result,
        failure=state.failure,
        input=state.input,
    )
    return Decision(reply=description)


DECIDE: Final[dict[type, Decide]] = program.DECIDE | {
    Start: _start,
    RetryRun: _retry,
    Cancel: _cancel,
    Terminate: _terminate,
    Deliver: _deliver,
    TimerDue: _timer_due,
    Describe: _describe,
    Activated: activated,
}
