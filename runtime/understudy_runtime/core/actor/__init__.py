"""The machine of user-defined actors: durable fields, and handlers that run one at a time.

    idle ──Deliver──► a handler in flight ──Replied, StateSet──► idle, or what comes next
     │ ▲                │   ▲
    reminder due        ▼   │ CallAnswered, TaskSucceeded, Fired        (a handler may await calls)

While a handler is in flight, messages wait in `queue`, durable from the moment they are accepted. The new state is
journalled when the handler has ended, and so are the reminders that it set or forgot; a handler that raises leaves both
as they were. A reloaded actor starts from its last state and, if a handler was in flight, replays the journal from
that delivery on.

A reminder is a message of the actor to itself, delivered when it is due and no handler is in flight. Nothing waits for
it in the queue, so that forgetting it is certain; it and the queue take turns, so that neither starves the other. A
repeated one keeps to its interval from when it was set: however many times passed, it comes once for all of them.

A handler may hold leases, as a workflow does (`core.leases`); however it ends, they end with it.

An actor whose stored state does not fit its class is held (`diverged`): it refuses its clients, saying what to deploy,
keeps what other actors send, and goes on when code that fits has been deployed.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from understudy_runtime.core import leases as leasing
from understudy_runtime.core.actor.apply import APPLY
from understudy_runtime.core.actor.commands import MAX_ROUNDS
from understudy_runtime.core.actor.decide import DECIDE, definition_of, not_for_actors
from understudy_runtime.core.actor.duties import next_duty
from understudy_runtime.core.actor.state import MAX_REMINDERS, ActorState, Kept, Reminder
from understudy_runtime.core.messages import (
    Activated,
    ActorFacts,
    AnyMessage,
    Decision,
    Release,
    ReplayFrom,
    SettleJob,
)
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.deliveries import Replied
from understudy_runtime.core.records.leases import LeaseRequested

__all__ = ["MAX_REMINDERS", "MAX_ROUNDS", "ActorMachine", "ActorState", "Kept", "Reminder"]


class ActorMachine:
    """`Machine` for user-defined actors; see the module docstring."""

    def initial(self, key: str) -> ActorState:
        return ActorState(key)

    def decide(self, state: ActorState, message: AnyMessage, now: float) -> Decision:
        decision = DECIDE.get(type(message), not_for_actors)(state, message, now)
        if state.held is not None:
            decision.activate = decision.activate and type(message) in (Release, SettleJob)
        if state.leases.held or (type(message) is Activated and leasing.any_requested(decision.append)):
            leasing.give_back(state.key, state.in_flight, state.leases, decision)
        return decision

    def apply(self, state: ActorState, record: AnyRecord, at: float, seq: int) -> None:
        if seq != state.last_seq:
            state.last_seq = seq
            state.turns += 1
            state.created_at = state.created_at or at
        APPLY[type(record)](state, record, at)
        if state.leases.held or state.leases.under or type(record) is LeaseRequested:
            leasing.apply(state.leases, state.in_flight, record)
            if type(record) is Replied:
                leasing.handler_over(state.leases)

    def next_duty(self, state: ActorState) -> float | None:
        return next_duty(state)

    def facts(self, state: ActorState) -> ActorFacts:
        is_open = state.held is not None or state.calls.under_way or state.leases.busy
        return ActorFacts(definition_of(state), "held" if state.held else "active", 1, "", is_open)

    def replay_from(self, state: ActorState) -> ReplayFrom | None:
        return ReplayFrom(state.began_seq, delivery=state.in_flight) if state.in_flight else None

    def value(self, state: ActorState) -> Raw:
        return Raw(_encode(Kept(state.value, state.version, tuple(state.reminders))))

    def encode(self, state: ActorState) -> bytes:
        return _encode(state)

    def decode(self, data: bytes) -> ActorState:
        return _decode(data)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ActorState).decode
