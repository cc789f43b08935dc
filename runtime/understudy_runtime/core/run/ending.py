"""How a run ends: everything still open ends with it, and whoever awaits it hears of it."""

from __future__ import annotations

from msgspec import Raw

from understudy_runtime.core import calls as calling
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core import leases as leasing
from understudy_runtime.core.calls import AskCall, ChildCall, OpenCall, TaskCall
from understudy_runtime.core.keys import namespace_of, run_key
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import Cancel, Decision, Send
from understudy_runtime.core.records.calls import CallCancelled, ChildScheduled
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
    """Calls end with their execution; those of the decision itself never start, or are cancelled at once."""
    decision.execute = []
    decision.append = [record for record in decision.append if type(record) is not TaskReused]
    decision.append += leasing.never_began(state.execution, decision.append)
    decision.append += calling.never_began(state.execution, decision.append)
    decision.activate = False
    fresh: dict[int, OpenCall] = {}
    given_up: set[int] = set()
    for record in decision.append:
        if type(record) is ChildScheduled and record.wait:
            fresh[record.call] = ChildCall(record.run_id)
        elif type(record) is CallCancelled:
            given_up.add(record.call)
    for number, call in (state.calls.open | fresh).items():
        if number not in given_up:
            let_go(state, decision, number, call)


def let_go(state: RunState, decision: Decision, number: int, call: OpenCall) -> None:
    match call:
        case TaskCall():
            calling.let_go(decision, state.caller, number, call)
            if call.reuse is not None:
                decision.append += leasing.never_began_one(state.leases, state.execution, number)
        case ChildCall(run_id=run_id):
            decision.send.append(
                Send(run_key(namespace_of(state.key), run_id), Cancel("its parent run no longer awaits it"))
            )
        case AskCall():
            pass
