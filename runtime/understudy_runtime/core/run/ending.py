"""How a run ends: everything still open ends with it, and whoever awaits it hears of it."""

from __future__ import annotations

from msgspec import Raw

from understudy_runtime.core import calls as calling
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.calls import AskCall, ChildCall, TaskCall
from understudy_runtime.core.keys import namespace_of, run_key
from understudy_runtime.core.messages import Cancel, Decision, Send
from understudy_runtime.core.records import Ended, Failure
from understudy_runtime.core.run.state import RunState


def end(state: RunState, ended: Ended, decision: Decision) -> Decision:
    """The machine itself ends the run; user code gets no say."""
    decision.append.append(ended)
    decision.activate = False
    return close(state, decision, None, ended.failure)


def close(state: RunState, decision: Decision, result: Raw | None, failure: Failure | None) -> Decision:
    """Everything still open ends with the run, and whoever awaits it hears of it."""
    for number, call in state.calls.open.items():
        let_go(state, decision, number, call)
    delivering.settle_all(
        state.deliveries, decision, Failure("RunEnded", "the run ended before it answered", final=True)
    )
    if state.parent is not None:
        decision.send.append(delivering.answer_to(state.parent, result, failure))
    decision.closed = True
    return decision


def let_go(state: RunState, decision: Decision, number: int, call: calling.OpenCall) -> None:
    match call:
        case TaskCall():
            decision.abandon += calling.abandon(state.caller, number, call)
        case ChildCall(run_id=run_id):
            decision.send.append(
                Send(run_key(namespace_of(state.key), run_id), Cancel("its parent run no longer awaits it"))
            )
        case AskCall():
            pass
