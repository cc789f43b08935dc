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

from msgspec import Raw

from understudy_runtime.core import calls as calling
from understudy_runtime.core.messages import ActorFacts, AnyMessage, Decision, Refused, ReplayFrom
from understudy_runtime.core.program.decide import next_duty
from understudy_runtime.core.program.machine import ProgramMachine
from understudy_runtime.core.run.apply import APPLY
from understudy_runtime.core.run.commands import next_execution
from understudy_runtime.core.run.decide import DECIDE, TURNS_WARNING, mind_the_length
from understudy_runtime.core.run.state import CLOSED, RunState

__all__ = ["CLOSED", "RunMachine", "RunState"]


class RunMachine(ProgramMachine[RunState]):
    """`Machine` for runs; see the module docstring."""

    def __init__(self) -> None:
        super().__init__(RunState, DECIDE, APPLY)

    def initial(self, key: str) -> RunState:
        return RunState(key)

    def not_for_it(self, state: RunState) -> Refused:
        return Refused("BadRequest", f"{state.key} is a run: this cannot be done with it")

    def before_user_code(self, state: RunState, message: AnyMessage, decision: Decision) -> Decision:
        if state.status in CLOSED:
            return decision
        if state.continued is not None:
            decision.append[:0] = next_execution(state, state.continued)
        elif state.turns >= TURNS_WARNING:
            return mind_the_length(state, message, decision)
        return decision

    def next_duty(self, state: RunState) -> float | None:
        if state.status in CLOSED or not state.status:
            return calling.next_stop(state.calls)
        if state.continued is not None and state.held is None:
            return 0.0
        at, deadline = next_duty(state), state.deadline
        return at if deadline is None else deadline if at is None else min(at, deadline)

    def facts(self, state: RunState) -> ActorFacts:
        return ActorFacts(
            state.workflow, state.status, state.execution, state.digest, state.must_be_loaded, state.closed_at
        )

    def replay_from(self, state: RunState) -> ReplayFrom | None:
        return ReplayFrom(state.began_seq, execution=state.execution) if state.status else None

    def value(self, state: RunState) -> Raw | None:
        return None
