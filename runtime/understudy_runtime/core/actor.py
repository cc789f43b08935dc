"""The machine of user-defined actors: durable fields, and handlers that run one at a time.

    idle ──Deliver──► a handler in flight ──Replied, StateSet──► idle, or the next one in the queue
                        │   ▲
                        ▼   │ CallAnswered, TaskSucceeded, Fired        (a handler may await calls)

While a handler is in flight, messages wait in `queue`, durable from the moment they are accepted. The new state is
journalled when the handler has ended; a handler that raises leaves the state as it was. A reloaded actor starts
from its last state and, if a handler was in flight, replays the journal from that delivery on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw

from understudy_runtime.core import calls as calling
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.calls import AskCall, Caller, Calls, ChildCall, OpenCall, TaskCall
from understudy_runtime.core.deliveries import Deliveries
from understudy_runtime.core.keys import ACTOR_PREFIX, kind_of, namespace_of, run_key
from understudy_runtime.core.kinds import MaybeRaw, Sender
from understudy_runtime.core.messages import (
    Accepted,
    Activated,
    ActorFacts,
    Answer,
    AnyMessage,
    AttemptEnded,
    AttemptProgressed,
    Cancel,
    Decision,
    Deliver,
    Describe,
    Description,
    Hold,
    Recovered,
    Refused,
    Release,
    ReplayFrom,
    Send,
    Start,
    TimerDue,
)
from understudy_runtime.core.records import (
    AnyRecord,
    AskScheduled,
    AttemptDispatched,
    AttemptFailed,
    CallAnswered,
    CallCancelled,
    ChildScheduled,
    Delivered,
    Fired,
    HandlerQueued,
    Held,
    LateResult,
    Patched,
    ProgressNoted,
    Released,
    Replied,
    StateSet,
    TaskGaveUp,
    TaskReused,
    TaskScheduled,
    TaskSucceeded,
    TimerSet,
    Warned,
)

MAX_ROUNDS: Final = 64
"""Queued messages handled in one turn; the rest are due at once."""


class ActorState(msgspec.Struct, omit_defaults=True):
    """What the machine knows of an actor. `value` is the JSON of its fields; None: as the class says.

    `in_flight` is the delivery whose handler runs, 0 for none; it numbers the handler's calls, so that an answer
    to an earlier handler's call is refused.
    """

    key: str
    created_at: float = 0.0
    turns: int = 0
    last_seq: int = 0
    value: MaybeRaw = None
    in_flight: int = 0
    began_seq: int = 0
    queue: list[HandlerQueued] = []
    calls: Calls = msgspec.field(default_factory=Calls)
    deliveries: Deliveries = msgspec.field(default_factory=Deliveries)
    timer: float | None = None
    warnings: int = 0
    held: Hold | None = None

    @property
    def caller(self) -> Caller:
        return Caller(self.key, self.in_flight)


class ActorMachine:
    """`Machine` for user-defined actors; see the module docstring."""

    def initial(self, key: str) -> ActorState:
        return ActorState(key)

    def decide(self, state: ActorState, message: AnyMessage, now: float) -> Decision:
        decision = _DECIDE.get(type(message), _not_for_actors)(state, message, now)
        if state.held is not None:
            decision.activate = decision.activate and type(message) is Release
        return decision

    def apply(self, state: ActorState, record: AnyRecord, at: float, seq: int) -> None:
        if seq != state.last_seq:
            state.last_seq = seq
            state.turns += 1
            state.created_at = state.created_at or at
        _APPLY[type(record)](state, record, at)

    def next_duty(self, state: ActorState) -> float | None:
        if state.held is not None:
            return None
        return 0.0 if state.queue and not state.in_flight else _duty(state)

    def facts(self, state: ActorState) -> ActorFacts:
        is_open = state.held is not None or state.calls.under_way
        return ActorFacts(_definition(state), "held" if state.held else "active", 1, "", is_open)

    def replay_from(self, state: ActorState) -> ReplayFrom | None:
        return ReplayFrom(state.began_seq, delivery=state.in_flight) if state.in_flight else None

    def value(self, state: ActorState) -> Raw | None:
        return state.value

    def encode(self, state: ActorState) -> bytes:
        return _encode(state)

    def decode(self, data: bytes) -> ActorState:
        return _decode(data)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ActorState).decode


def _duty(state: ActorState) -> float | None:
    duties = (calling.next_duty(state.calls), state.timer)
    return min((duty for duty in duties if duty is not None), default=None)


def _definition(state: ActorState) -> str:
    return kind_of(state.key).removeprefix(ACTOR_PREFIX)


# --- decide


def _deliver(state: ActorState, message: Deliver, now: float) -> Decision:
    deliveries = state.deliveries
    if (again := delivering.repeated(deliveries, message)) is not None:
        return again
    if (refused := delivering.refusal(deliveries)) is not None:
        return delivering.refuse(message, refused)
    kind = HandlerQueued if state.in_flight or state.queue or state.held else Delivered
    record = kind(deliveries.next, message.handler, message.args, message.ask, message.sender, message.idempotency_key)
    return Decision(append=[record], activate=kind is Delivered, reply=delivering.reply_to(deliveries, message))


def _answer(state: ActorState, message: Answer, now: float) -> Decision:
    if message.execution != state.in_flight or message.call not in state.calls.open:
        return Decision()
    return Decision(append=[CallAnswered(message.call, message.result, message.failure)], activate=True)


def _attempt_ended(state: ActorState, message: AttemptEnded, now: float) -> Decision:
    return calling.attempt_ended(state.caller, state.calls, message, now)


def _attempt_progressed(state: ActorState, message: AttemptProgressed, now: float) -> Decision:
    return calling.attempt_progressed(state.caller, state.calls, message)


def _timer_due(state: ActorState, message: TimerDue, now: float) -> Decision:
    if state.queue and not state.in_flight and state.held is None:
        return Decision(append=[_from_queue(state.queue[0])], activate=True)
    decision = calling.tasks_due(state.caller, state.calls, now)
    if state.timer is not None and state.timer <= now and state.held is None:
        decision.append.append(Fired())
        decision.activate = True
    return decision


def _from_queue(queued: HandlerQueued) -> Delivered:
    return Delivered(queued.delivery, queued.handler, queued.args, queued.ask, queued.sender, queued.idempotency_key)


def _recovered(state: ActorState, message: Recovered, now: float) -> Decision:
    return calling.recovered(state.caller, state.calls)


def _hold(state: ActorState, message: Hold, now: float) -> Decision:
    return Decision() if state.held is not None else Decision(append=[Held(message.why, message.detail)])


def _release(state: ActorState, message: Release, now: float) -> Decision:
    if state.held is None:
        return Decision(reply=Accepted())
    # A handler that is in flight goes on; else the queue does, at once.
    timer = _duty(state) if state.in_flight else now if state.queue else None
    return Decision(append=[Released()], activate=bool(state.in_flight), timer=timer, reply=Accepted())


def _describe(state: ActorState, message: Describe, now: float) -> Decision:
    if not state.turns:
        return Decision(reply=Refused("UnknownName", f"nothing has happened to {state.key} yet"))
    calls = state.calls
    running = sum(call.out for _, call in calls.tasks())
    return Decision(
        reply=Description(
            state.key,
            _definition(state),
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
        )
    )


def _not_for_actors(state: ActorState, message: AnyMessage, now: float) -> Decision:
    return Decision(
        reply=Refused("BadRequest", f"{state.key} is an actor, not a run: it can be told and asked, and described")
    )


def _activated(state: ActorState, message: Activated, now: float) -> Decision:
    if message.held is not None:
        return Decision(append=[Held(message.held.why, message.held.detail)])
    decision = Decision(append=message.commands)
    for command in tuple(message.commands):
        match command:
            case TaskScheduled(options=options):
                decision.execute.append(calling.first_dispatch(state.caller, command))
                if options.deadline_s is not None:
                    _wake(decision, now + options.deadline_s)
            case ChildScheduled():
                decision.send.append(_child(state, command))
            case AskScheduled():
                sender = Sender(state.key, state.in_flight, command.call)
                deliver = Deliver(command.handler, command.args, command.ask, sender)
                decision.send.append(Send(command.to, deliver))
            case CallCancelled(call=number):
                _give_up(state, decision, number)
            case TimerSet(at=at) if at is not None:
                _wake(decision, at)
            case Replied(delivery=delivery, result=result, failure=failure):
                delivering.settle(state.deliveries, decision, delivery, None if failure else result, failure)
                _leave_nothing_open(state, decision)
                _go_on(state, decision, message.round, now)
            case _:
                pass
    return decision


def _go_on(state: ActorState, decision: Decision, round_: int, now: float) -> None:
    """The handler has ended: take the next message of the queue, in this turn if there have not been too many."""
    if not state.queue:
        return
    if round_ >= MAX_ROUNDS:
        _wake(decision, now)
    else:
        decision.append.append(_from_queue(state.queue[0]))
        decision.activate = True


def _wake(decision: Decision, at: float) -> None:
    decision.timer = at if decision.timer is None else min(decision.timer, at)


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
    )
    return Send(run_key(namespace_of(state.key), command.run_id), start)


def _give_up(state: ActorState, decision: Decision, number: int) -> None:
    call = state.calls.open.get(number)
    if call is not None:
        _let_go(state, decision, number, call)
        return
    # Asked for and given up within one activation: a task never starts, a child is cancelled by a second message.
    decision.execute = [dispatch for dispatch in decision.execute if dispatch.token.call != number]
    for record in decision.append:
        if type(record) is ChildScheduled and record.call == number and record.wait:
            _let_go(state, decision, number, ChildCall(record.run_id))


def _leave_nothing_open(state: ActorState, decision: Decision) -> None:
    """What the handler still awaits ends with it."""
    given_up = {record.call for record in decision.append if type(record) is CallCancelled}
    for number, call in state.calls.open.items():
        if number not in given_up:
            _let_go(state, decision, number, call)
    decision.execute = []


def _let_go(state: ActorState, decision: Decision, number: int, call: OpenCall) -> None:
    match call:
        case TaskCall():
            decision.abandon += calling.abandon(state.caller, number, call)
        case ChildCall(run_id=run_id):
            cancel = Cancel("the actor that started it no longer awaits it")
            decision.send.append(Send(run_key(namespace_of(state.key), run_id), cancel))
        case AskCall():
            pass


_DECIDE: Final[dict[type, Callable[[ActorState, Any, float], Decision]]] = {
    Deliver: _deliver,
    Answer: _answer,
    AttemptEnded: _attempt_ended,
    AttemptProgressed: _attempt_progressed,
    TimerDue: _timer_due,
    Recovered: _recovered,
    Hold: _hold,
    Release: _release,
    Describe: _describe,
    Activated: _activated,
}


# --- apply


def _apply_delivered(state: ActorState, record: Delivered, at: float) -> None:
    if state.queue and state.queue[0].delivery == record.delivery:
        del state.queue[0]
    else:
        delivering.apply_received(state.deliveries, record, at)
    state.in_flight, state.began_seq, state.calls = record.delivery, state.last_seq, Calls()


def _apply_queued(state: ActorState, record: HandlerQueued, at: float) -> None:
    delivering.apply_received(state.deliveries, record, at)
    state.queue.append(record)


def _apply_replied(state: ActorState, record: Replied, at: float) -> None:
    delivering.apply_replied(state.deliveries, record)
    state.in_flight, state.timer = 0, None
    state.calls.open.clear()


def _apply_state(state: ActorState, record: StateSet, at: float) -> None:
    state.value = record.state


def _apply_scheduled(state: ActorState, record: TaskScheduled, at: float) -> None:
    calling.apply_scheduled(state.calls, record, at)


def _apply_child(state: ActorState, record: ChildScheduled, at: float) -> None:
    calling.apply_child(state.calls, record)


def _apply_ask(state: ActorState, record: AskScheduled, at: float) -> None:
    calling.apply_ask(state.calls, record)


def _apply_outcome(state: ActorState, record: TaskSucceeded | TaskGaveUp | CallAnswered, at: float) -> None:
    calling.apply_outcome(state.calls, record)


def _apply_note(state: ActorState, record: AnyRecord, at: float) -> None:
    calling.apply_note(state.calls, record)


def _apply_call_cancelled(state: ActorState, record: CallCancelled, at: float) -> None:
    calling.apply_cancelled(state.calls, record.call)


def _apply_timer(state: ActorState, record: TimerSet, at: float) -> None:
    state.timer = record.at


def _apply_fired(state: ActorState, record: Fired, at: float) -> None:
    state.timer = None


def _apply_held(state: ActorState, record: Held, at: float) -> None:
    state.held = Hold(record.why, record.detail)


def _apply_released(state: ActorState, record: Released, at: float) -> None:
    state.held = None


def _apply_warned(state: ActorState, record: Warned, at: float) -> None:
    state.warnings += 1


def _apply_nothing(state: ActorState, record: AnyRecord, at: float) -> None:
    """Kept in the journal for people and for replay."""


_APPLY: Final[dict[type, Callable[[ActorState, Any, float], None]]] = {
    Delivered: _apply_delivered,
    HandlerQueued: _apply_queued,
    Replied: _apply_replied,
    StateSet: _apply_state,
    TaskScheduled: _apply_scheduled,
    ChildScheduled: _apply_child,
    AskScheduled: _apply_ask,
    TaskSucceeded: _apply_outcome,
    TaskReused: _apply_outcome,
    TaskGaveUp: _apply_outcome,
    CallAnswered: _apply_outcome,
    CallCancelled: _apply_call_cancelled,
    AttemptFailed: _apply_note,
    AttemptDispatched: _apply_note,
    ProgressNoted: _apply_note,
    LateResult: _apply_note,
    TimerSet: _apply_timer,
    Fired: _apply_fired,
    Held: _apply_held,
    Released: _apply_released,
    Warned: _apply_warned,
    Patched: _apply_nothing,
}
