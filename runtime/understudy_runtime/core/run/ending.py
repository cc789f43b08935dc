"""How a run ends: everything still open ends with it, and whoever awaits it hears of it."""

from __future__ import annotations

from msgspec import Raw

from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import Decision
from understudy_runtime.core.program import leaving
from understudy_runtime.core.records.runs import Ended, TaskReused
from understudy_runtime.core.run.state import RunState


def end(state: RunState, ended: Ended, decision: Decision) -> Decision:
    """The machine itself ends the run; user code gets no say."""
    decision.append.append(ended)
    return close(state, decision, None, ended.failure)


def close(state: RunState, decision: Decision, result: Raw | None, failure: Failure | None) -> Decision:
    """Everything still open ends with the run, and whoever awaits it hears of it."""
    leave_nothing_open(state, decision)
    delivering.settle_all(state.deliveries, decision)
    if state.parent is not None:
        decision.send.append(delivering.answer_to(state.parent, result, failure))
    decision.closed = True
    return decision


def leave_nothing_open(state: RunState, decision: Decision) -> None:
    """As for every program; what is reused is not handed over any more either."""
    decision.append = [record for record in decision.append if type(record) is not TaskReused]
    decision.activate = False
    leaving.leave_nothing_open(state, decision)
