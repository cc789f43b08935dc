"""What becomes of calls that nobody awaits any more: given up by user code, or left open by an execution that ends."""

from __future__ import annotations

from understudy_runtime.core import calls as calling
from understudy_runtime.core import leases as leasing
from understudy_runtime.core.calls import AskCall, ChildCall, OpenCall, TaskCall
from understudy_runtime.core.keys import namespace_of, run_key
from understudy_runtime.core.messages import Cancel, Decision, Send
from understudy_runtime.core.program.state import ProgramState
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.calls import CallCancelled, ChildScheduled, TaskScheduled


def give_up(state: ProgramState, decision: Decision, number: int) -> None:
    call = state.calls.open.get(number)
    if call is not None:
        let_go(state, decision, number, call)
        return
    # Asked for and given up within one activation: a task never starts, a child is cancelled by a second message.
    decision.execute = [dispatch for dispatch in decision.execute if dispatch.token.call != number]
    decision.append = decision.append + _never_began(state, decision.append, number)
    for record in decision.append:
        if type(record) is ChildScheduled and record.call == number and record.wait:
            let_go(state, decision, number, ChildCall(record.run_id))


def leave_nothing_open(state: ProgramState, decision: Decision) -> None:
    """Calls end with their execution; those of the decision itself never start, or are cancelled at once."""
    decision.execute = []
    decision.append = decision.append + _never_began(state, decision.append)
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


def _never_began(state: ProgramState, commands: list[AnyRecord], number: int | None = None) -> list[AnyRecord]:
    """What to note of the tasks among `commands` (or only of call `number`), mostly none."""
    tasks: list[AnyRecord] = [command for command in commands if type(command) is TaskScheduled]
    if not tasks:
        return []
    execution = state.caller.execution
    return leasing.never_began(execution, tasks, number) + calling.never_began(execution, tasks, number)


def let_go(state: ProgramState, decision: Decision, number: int, call: OpenCall) -> None:
    match call:
        case TaskCall():
            calling.let_go(decision, state.caller, number, call)
            if call.reuse is not None:
                decision.append += leasing.never_began_one(state.leases, state.caller.execution, number)
        case ChildCall(run_id=run_id):
            decision.send.append(Send(run_key(namespace_of(state.key), run_id), Cancel(state.UNAWAITED)))
        case AskCall():
            pass
