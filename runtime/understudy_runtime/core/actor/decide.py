"""What an actor does with messages, beside what every program does: one function a message."""

from __future__ import annotations

from typing import Final

import msgspec

from understudy_runtime.core import chains
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.actor.commands import activated
from understudy_runtime.core.actor.duties import next_message
from understudy_runtime.core.actor.state import ActorState
from understudy_runtime.core.keys import ACTOR_PREFIX, kind_of
from understudy_runtime.core.messages import (
    Activated,
    Decision,
    Deliver,
    Describe,
    Refused,
    Release,
    TimerDue,
)
from understudy_runtime.core.program import decide as program
from understudy_runtime.core.program.decide import Decide, described, due
from understudy_runtime.core.records.deliveries import Delivered, HandlerQueued


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
    return delivering.taken(deliveries, message, kind)


def _unfit(state: ActorState, message: Deliver) -> Refused | None:
    """Clients of an actor that nobody can serve are told so; what other actors send waits in the queue."""
    if state.held is None or state.held.why != "diverged" or message.sender is not None:
        return None
    return Refused("BadInput", f"{state.key} is held ({state.held.why}): {state.held.detail}")


def _timer_due(state: ActorState, message: TimerDue, now: float) -> Decision:
    decision = due(state, now)
    if not (state.in_flight or state.held or decision.append):
        following = next_message(state, state.reminders, now, reminded=state.reminded)
        return Decision() if following is None else Decision(append=[following], activate=True)
    return decision


def _release(state: ActorState, message: Release, now: float) -> Decision:
    """A handler that is in flight goes on; else the queue does, at once.

    It activates in any case, because that needs the program: code that still does not fit is found out here.
    """
    decision = program.release(state, message, now)
    if decision.append and not state.in_flight and (state.queue or state.reminders):
        decision.timer = now
    return decision


def _describe(state: ActorState, message: Describe, now: float) -> Decision:
    if (absent := state.absent) is not None:
        return Decision(reply=absent)
    description = msgspec.structs.replace(
        described(state, definition_of(state), "held" if state.held else "active"),
        result=state.value,
        version=state.version,
        queued=len(state.queue),
        reminders={name: reminder.at for name, reminder in state.reminders.items()},
    )
    return Decision(reply=description)


DECIDE: Final[dict[type, Decide]] = program.DECIDE | {
    Deliver: _deliver,
    TimerDue: _timer_due,
    Release: _release,
    Describe: _describe,
    Activated: activated,
}
