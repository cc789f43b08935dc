"""What a run does with each command of its user code: one function a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from understudy_runtime.core import calls as calling
from understudy_runtime.core import chains
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core import leases as leasing
from understudy_runtime.core.keys import namespace_of, run_key
from understudy_runtime.core.kinds import Failure, Sender
from understudy_runtime.core.messages import Activated, Decision, Deliver, Send, Start
from understudy_runtime.core.records.calls import AskScheduled, CallCancelled, ChildScheduled, TaskScheduled
from understudy_runtime.core.records.deliveries import Replied
from understudy_runtime.core.records.leases import LeaseRequested, OperationScheduled
from understudy_runtime.core.records.programs import Held, TimerSet
from understudy_runtime.core.records.runs import (
    Cancelled,
    Completed,
    ContinuedAsNew,
    ExecutionStarted,
    Failed,
    TaskReused,
)
from understudy_runtime.core.run.ending import close, leave_nothing_open, let_go
from understudy_runtime.core.run.state import RunState

MAX_ROUNDS: Final = 64
"""Activations in one turn. Beyond that, reused results and the next execution wait for the next turn."""


class Asking(msgspec.Struct):
    """One activation's commands on their way into a decision. `fresh` counts the calls of this activation."""

    state: RunState
    decision: Decision
    now: float
    is_last: bool
    fresh: dict[str, int] = {}

    def wake(self, at: float) -> None:
        timer = self.decision.timer
        self.decision.timer = at if timer is None else min(timer, at)


def activated(state: RunState, message: Activated, now: float) -> Decision:
    if message.held is not None:
        return Decision(append=[Held(message.held.why, message.held.detail)])
    decision = Decision(append=message.commands)
    asking = Asking(state, decision, now, message.round >= MAX_ROUNDS)
    for command in tuple(message.commands):
        act = _COMMAND.get(type(command))
        if act is not None:
            act(asking, command)
    return decision


def _task_scheduled(asking: Asking, command: TaskScheduled) -> None:
    state, decision = asking.state, asking.decision
    reused = state.reusable(command, asking.fresh) if state.reuse else None
    if reused is not None:
        if asking.is_last:
            asking.wake(asking.now)
        else:
            decision.append.append(TaskReused(command.call, reused))
            decision.activate = True
        return
    decision.execute.append(calling.first_dispatch(state.caller, command))
    if command.options.deadline_s is not None:
        asking.wake(asking.now + command.options.deadline_s)


def _child_scheduled(asking: Asking, command: ChildScheduled) -> None:
    state = asking.state
    parent = Sender(state.key, state.execution, command.call) if command.wait else None
    key = f"{state.key}:{state.execution}:{command.call}"
    start = Start(
        command.workflow,
        command.input,
        command.digest,
        state.build,
        deadline_s=command.deadline_s,
        parent=parent,
        idempotency_key=key,
        chain=_waiting(state, command.delivery) if command.wait else (),
    )
    asking.decision.send.append(Send(run_key(namespace_of(state.key), command.run_id), start))


def _ask_scheduled(asking: Asking, command: AskScheduled) -> None:
    sender = Sender(asking.state.key, asking.state.execution, command.call)
    chain = _waiting(asking.state, command.delivery) if command.ask else ()
    deliver = Deliver(command.handler, command.args, command.ask, sender, chain=chain)
    asking.decision.send.append(Send(command.to, deliver))


def _waiting(state: RunState, delivery: int) -> tuple[Sender, ...]:
    """The calls that wait for what this handler asks, or for what the run itself does; see `core.chains`."""
    if delivery:
        return chains.waiting_for(state.deliveries.open.get(delivery))
    return chains.joined(state.chain, state.parent)


def _lease_requested(asking: Asking, command: LeaseRequested) -> None:
    asking.decision.send.append(leasing.acquire(asking.state.key, asking.state.execution, command))


def _operation_scheduled(asking: Asking, command: OperationScheduled) -> None:
    asking.decision.send.append(leasing.invoke(asking.state.caller, asking.state.leases, command))


def _call_cancelled(asking: Asking, command: CallCancelled) -> None:
    decision, number = asking.decision, command.call
    call = asking.state.calls.open.get(number)
    if call is not None:
        let_go(asking.state, decision, number, call)
        return
    # Asked for and given up within one activation: a task never starts, a child is cancelled by a second message.
    decision.execute = [dispatch for dispatch in decision.execute if dispatch.token.call != number]
    decision.append = decision.append + leasing.never_began(asking.state.execution, decision.append, number)
    decision.append += calling.never_began(asking.state.execution, decision.append, number)
    if decision.activate:
        decision.append = [r for r in decision.append if not (type(r) is TaskReused and r.call == number)]
        decision.activate = any(type(r) is TaskReused for r in decision.append)
    for record in decision.append:
        if type(record) is ChildScheduled and record.call == number and record.wait:
            let_go(asking.state, decision, number, calling.ChildCall(record.run_id))


def _replied(asking: Asking, command: Replied) -> None:
    result = None if command.failure is not None else command.result
    delivering.settle(asking.state.deliveries, asking.decision, command.delivery, result, command.failure)


def _timer_set(asking: Asking, command: TimerSet) -> None:
    if command.at is not None:
        asking.wake(command.at)


def _completed(asking: Asking, command: Completed) -> None:
    close(asking.state, asking.decision, command.result, None)


def _failed(asking: Asking, command: Failed) -> None:
    close(asking.state, asking.decision, None, command.failure)


def _cancelled(asking: Asking, command: Cancelled) -> None:
    failure = Failure("RunCancelled", "the run was cancelled", kind="cancelled", final=True)
    close(asking.state, asking.decision, None, failure)


def _continued(asking: Asking, command: ContinuedAsNew) -> None:
    state, decision = asking.state, asking.decision
    leave_nothing_open(state, decision)
    if asking.is_last:
        asking.wake(asking.now)
    else:
        decision.append.append(next_execution(state, command))
        decision.activate = True


def next_execution(state: RunState, continued: ContinuedAsNew) -> ExecutionStarted:
    return ExecutionStarted(
        state.workflow,
        continued.input,
        key=state.key,
        execution=state.execution + 1,
        digest=continued.digest,
        build=state.build,
        cause="continued",
    )


_COMMAND: Final[dict[type, Callable[[Asking, Any], None]]] = {
    TaskScheduled: _task_scheduled,
    ChildScheduled: _child_scheduled,
    AskScheduled: _ask_scheduled,
    LeaseRequested: _lease_requested,
    OperationScheduled: _operation_scheduled,
    CallCancelled: _call_cancelled,
    Replied: _replied,
    TimerSet: _timer_set,
    Completed: _completed,
    Failed: _failed,
    Cancelled: _cancelled,
    ContinuedAsNew: _continued,
}
