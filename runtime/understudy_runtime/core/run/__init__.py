"""The run machine: one workflow run, from its start over any number of executions to its end.

    (absent) ──Start──► running ──► succeeded | failed | cancelled | terminated | timed_out ──RetryRun──► running
                         │   ▲
                  Hold   ▼   │ Release
                         held          takes in everything, hands nothing to user code

User code is behind the `Program` port: an input record says `activate`, and the program's commands come back
as `Activated` within the same turn. The machine decides retries, timeouts, cancellation and ends; what
user code may do it learns only from commands.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from understudy_runtime.core import calls as calling
from understudy_runtime.core import leases as leasing
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
from understudy_runtime.core.records.leases import LeaseRequested
from understudy_runtime.core.run.apply import APPLY
from understudy_runtime.core.run.commands import next_execution
from understudy_runtime.core.run.decide import DECIDE, TURNS_WARNING, mind_the_length
from understudy_runtime.core.run.state import CLOSED, RunState

__all__ = ["CLOSED", "RunMachine", "RunState"]


class RunMachine:
    """`Machine` for runs; see the module docstring."""

    def initial(self, key: str) -> RunState:
        return RunState(key)

    def decide(self, state: RunState, message: AnyMessage, now: float) -> Decision:
        decision = DECIDE[type(message)](state, message, now)
        if state.held is not None:
            decision.activate = decision.activate and type(message) in (Release, SettleJob)
        elif decision.activate and type(message) is not Activated and state.status not in CLOSED:
            if state.continued is not None:
                decision.append.insert(0, next_execution(state, state.continued))
            elif state.turns >= TURNS_WARNING:
                decision = mind_the_length(state, message, decision)
        if state.leases.held or (type(message) is Activated and leasing.any_requested(decision.append)):
            leasing.give_back(state.key, state.execution, state.leases, decision)
        return decision

    def apply(self, state: RunState, record: AnyRecord, at: float, seq: int) -> None:
        if seq != state.last_seq:
            state.last_seq = seq
            state.turns += 1
        APPLY[type(record)](state, record, at)
        if state.leases.held or state.leases.under or type(record) is LeaseRequested:
            leasing.apply(state.leases, state.execution, record)

    def next_duty(self, state: RunState) -> float | None:
        if state.status in CLOSED or not state.status:
            return calling.next_stop(state.calls)
        if state.continued is not None:
            return 0.0
        if state.held is not None and state.held.why == "poisoned":
            return state.deadline
        duties = [state.deadline, calling.next_duty(state.calls), None if state.held else state.timer]
        return min((duty for duty in duties if duty is not None), default=None)

    def facts(self, state: RunState) -> ActorFacts:
        is_open = state.closed_at is None and (state.held is not None or state.calls.under_way)
        is_open = is_open or state.leases.busy or bool(state.calls.stopping)
        return ActorFacts(
            state.workflow,
            state.status,
            state.execution,
            state.digest,
            is_open,
            state.closed_at,
        )

    def replay_from(self, state: RunState) -> ReplayFrom | None:
        return ReplayFrom(state.began_seq, execution=state.execution) if state.status else None

    def value(self, state: RunState) -> Raw | None:
        return None

    def encode(self, state: RunState) -> bytes:
        return _encode(state)

    def decode(self, data: bytes) -> RunState:
        return _decode(data)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RunState).decode
