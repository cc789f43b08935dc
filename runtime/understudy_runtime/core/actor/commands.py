"""What an actor does with what its handler asks for, and what comes after the handler."""

from __future__ import annotations

from typing import Final

from understudy_runtime.core import calls as calling
from understudy_runtime.core import chains
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core import leases as leasing
from understudy_runtime.core.actor.apply import apply_reminder
from understudy_runtime.core.actor.duties import earliest_reminder, next_message, wake
from understudy_runtime.core.actor.state import ActorState, Reminder
from understudy_runtime.core.calls import AskCall, ChildCall, OpenCall, TaskCall
from understudy_runtime.core.keys import namespace_of, run_key
from understudy_runtime.core.kinds import Sender
from understudy_runtime.core.messages import Activated, Cancel, Decision, Deliver, Send, Start
from understudy_runtime.core.records.actors import ReminderForgotten, ReminderSet
from understudy_runtime.core.records.calls import AskScheduled, CallCancelled, ChildScheduled, TaskScheduled
from understudy_runtime.core.records.deliveries import Replied
from understudy_runtime.core.records.leases import LeaseRequested, OperationScheduled
from understudy_runtime.core.records.programs import Held, TimerSet

MAX_ROUNDS: Final = 64
"""Messages handled in one turn; the rest are due at once."""


def activated(state: ActorState, message: Activated, now: float) -> Decision:
    if message.held is not None:
        return Decision(append=[Held(message.held.why, message.held.detail)])
    decision = Decision(append=message.commands)
    for command in tuple(message.commands):
        match command:
            case TaskScheduled(options=options):
                decision.execute.append(calling.first_dispatch(state.caller, command))
                if options.deadline_s is not None:
                    wake(decision, now + options.deadline_s)
            case ChildScheduled():
                decision.send.append(_child(state, command))
            case AskScheduled():
                decision.send.append(_ask(state, command))
            case LeaseRequested():
                decision.send.append(leasing.acquire(state.key, state.in_flight, command))
            case OperationScheduled():
                decision.send.append(leasing.invoke(state.caller, state.leases, command))
            case CallCancelled(call=number):
                _give_up(state, decision, number)
            case TimerSet(at=at) if at is not None:
                wake(decision, at)
            case Replied(delivery=delivery, result=result, failure=failure):
                delivering.settle(state.deliveries, decision, delivery, None if failure else result, failure)
                _leave_nothing_open(state, decision)
                _go_on(state, decision, message, now)
            case _:
                pass
    return decision


def _go_on(state: ActorState, decision: Decision, message: Activated, now: float) -> None:
    """The handler has ended: take what is next, in this turn if there have not been too many."""
    reminders = _reminders_after(state, message)
    due = next_message(state, reminders, now, reminded=state.reminded)
    if due is None:
        wake(decision, earliest_reminder(reminders))
    elif message.round >= MAX_ROUNDS:
        wake(decision, now)
    else:
        decision.append.append(due)
        decision.activate = True


def _reminders_after(state: ActorState, message: Activated) -> dict[str, Reminder]:
    changes = [each for each in message.commands if isinstance(each, ReminderSet | ReminderForgotten)]
    if not changes:
        return state.reminders
    reminders = dict(state.reminders)
    for change in changes:
        apply_reminder(reminders, change)
    return reminders


def _ask(state: ActorState, command: AskScheduled) -> Send:
    sender = Sender(state.key, state.in_flight, command.call)
    chain = _waiting(state) if command.ask else ()
    return Send(command.to, Deliver(command.handler, command.args, command.ask, sender, chain=chain))


def _child(state: ActorState, command: ChildScheduled) -> Send:
    parent = Sender(state.key, state.in_flight, command.call) if command.wait else None
    key = f"{state.key}:{state.in_flight}:{command.call}"
    start = Start(
        command.workflow,
        command.input,
        command.digest,
        deadline_s=command.deadline_s,
        parent=parent,
        idempotency_key=key,
        chain=_waiting(state) if command.wait else (),
    )
    return Send(run_key(namespace_of(state.key), command.run_id), start)


def _waiting(state: ActorState) -> tuple[Sender, ...]:
    return chains.waiting_for(state.deliveries.open.get(state.in_flight))


def _give_up(state: ActorState, decision: Decision, number: int) -> None:
    call = state.calls.open.get(number)
    if call is not None:
        _let_go(state, decision, number, call)
        return
    # Asked for and given up within one activation: a task never starts, a child is cancelled by a second message.
    decision.execute = [dispatch for dispatch in decision.execute if dispatch.token.call != number]
    decision.append = decision.append + leasing.never_began(state.in_flight, decision.append, number)
    decision.append += calling.never_began(state.in_flight, decision.append, number)
    for record in decision.append:
        if type(record) is ChildScheduled and record.call == number and record.wait:
            _let_go(state, decision, number, ChildCall(record.run_id))


def _leave_nothing_open(state: ActorState, decision: Decision) -> None:
    """What the handler still awaits ends with it."""
    given_up = {record.call for record in decision.append if type(record) is CallCancelled}
    for number, call in state.calls.open.items():
        if number not in given_up:
            _let_go(state, decision, number, call)
    decision.append = decision.append + leasing.never_began(state.in_flight, decision.append)
    decision.append += calling.never_began(state.in_flight, decision.append)
    decision.execute = []


def _let_go(state: ActorState, decision: Decision, number: int, call: OpenCall) -> None:
    match call:
        case TaskCall():
            calling.let_go(decision, state.caller, number, call)
        case ChildCall(run_id=run_id):
            cancel = Cancel("the actor that started it no longer awaits it")
            decision.send.append(Send(run_key(namespace_of(state.key), run_id), cancel))
        case AskCall():
            pass
