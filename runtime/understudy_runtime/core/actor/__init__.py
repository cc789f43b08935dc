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
from understudy_runtime.core.actor.decide import DECIDE, definition_of
from understudy_runtime.core.actor.duties import next_duty
from understudy_runtime.core.actor.state import MAX_REMINDERS, ActorState, Kept, Reminder
from understudy_runtime.core.messages import ActorFacts, Refused, ReplayFrom
from understudy_runtime.core.program.commands import MAX_ROUNDS
from understudy_runtime.core.program.machine import ProgramMachine
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.deliveries import Replied

__all__ = ["MAX_REMINDERS", "MAX_ROUNDS", "ActorMachine", "ActorState", "Kept", "Reminder"]


class ActorMachine(ProgramMachine[ActorState]):
    """`Machine` for user-defined actors; see the module docstring."""

    def __init__(self) -> None:
        super().__init__(ActorState, DECIDE, APPLY)

    def initial(self, key: str) -> ActorState:
        return ActorState(key)

    def not_for_it(self, state: ActorState) -> Refused:
        return Refused("BadRequest", f"{state.key} is an actor, not a run: it can be told and asked, and described")

    def apply_to_leases(self, state: ActorState, record: AnyRecord) -> None:
        super().apply_to_leases(state, record)
        if type(record) is Replied:
            leasing.handler_over(state.leases)

    def next_duty(self, state: ActorState) -> float | None:
        return next_duty(state)

    def facts(self, state: ActorState) -> ActorFacts:
        return ActorFacts(definition_of(state), "held" if state.held else "active", 1, "", state.must_be_loaded)

    def replay_from(self, state: ActorState) -> ReplayFrom | None:
        return ReplayFrom(state.began_seq, delivery=state.in_flight) if state.in_flight else None

    def value(self, state: ActorState) -> Raw:
        return Raw(_encode(Kept(state.value, state.version, tuple(state.reminders))))


_encode = msgspec.json.Encoder().encode
