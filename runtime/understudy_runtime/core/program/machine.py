"""How a message comes to a decision, and a record into the state: the same way for runs and for actors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec

from understudy_runtime.core import leases as leasing
from understudy_runtime.core.messages import Activated, AnyMessage, Decision, Refused
from understudy_runtime.core.program.apply import Apply
from understudy_runtime.core.program.decide import Decide, restrain
from understudy_runtime.core.program.state import ProgramState
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.leases import LeaseRequested

S = TypeVar("S", bound=ProgramState)


class ProgramMachine(Generic[S]):
    """The part of `Machine` that both kinds share. `decides` and `applies` say what a kind does with what."""

    def __init__(self, state: type[S], decides: Mapping[type, Decide], applies: Mapping[type, Apply]) -> None:
        self._decides = decides
        self._applies = applies
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(state).decode

    def decide(self, state: S, message: AnyMessage, now: float) -> Decision:
        decide = self._decides.get(type(message))
        if decide is None:
            return Decision(reply=self.not_for_it(state))
        decision = decide(state, message, now)
        if state.held is not None:
            restrain(state, decision)
        if decision.activate and type(message) is not Activated:
            decision = self.before_user_code(state, message, decision)
        if state.leases.held or (type(message) is Activated and leasing.any_requested(decision.append)):
            leasing.give_back(state.key, state.caller.execution, state.leases, decision)
        return decision

    def not_for_it(self, state: S) -> Refused:
        """What is answered to messages that this kind does not take."""
        raise NotImplementedError

    def before_user_code(self, state: S, message: AnyMessage, decision: Decision) -> Decision:
        """The decision, which is to activate the program, as the kind wants it."""
        return decision

    def apply(self, state: S, record: AnyRecord, at: float, seq: int) -> None:
        if seq != state.last_seq:
            state.last_seq = seq
            state.turns += 1
            state.created_at = state.created_at or at
        self._applies[type(record)](state, record, at)
        if state.leases.held or state.leases.under or type(record) is LeaseRequested:
            self.apply_to_leases(state, record)

    def apply_to_leases(self, state: S, record: AnyRecord) -> None:
        leasing.apply(state.leases, state.caller.execution, record)

    def encode(self, state: S) -> bytes:
        return self._encode(state)

    def decode(self, data: bytes) -> S:
        return self._decode(data)
