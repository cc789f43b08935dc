"""What runs and actors alike do with what user code asks for: one function a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from understudy_runtime.core import calls as calling
from understudy_runtime.core import leases as leasing
from understudy_runtime.core.calls import Caller
from understudy_runtime.core.keys import namespace_of, run_key
from understudy_runtime.core.kinds import Sender
from understudy_runtime.core.messages import Activated, Decision, Deliver, Send, Start
from understudy_runtime.core.program.leaving import give_up
from understudy_runtime.core.program.state import ProgramState
from understudy_runtime.core.records.calls import AskScheduled, CallCancelled, ChildScheduled, TaskScheduled
from understudy_runtime.core.records.leases import LeaseRequested, OperationScheduled
from understudy_runtime.core.records.programs import Held, TimerSet

MAX_ROUNDS: Final = 64
"""Activations in one turn. What would activate once more (the next message, a reused result, the next execution) waits
for the next turn."""

S = TypeVar("S", bound=ProgramState)


class Asking(msgspec.Struct, Generic[S]):
    """One activation's commands on their way into a decision.

    `build` is of the code that asks, for its children. `fresh` counts the calls of this activation, for runs that reuse
    results.
    """

    state: S
    caller: Caller
    message: Activated
    decision: Decision
    now: float
    build: str
    fresh: dict[str, int] = {}

    @property
    def is_last(self) -> bool:
        return self.message.round >= MAX_ROUNDS

    def wake(self, at: float) -> None:
        wake(self.decision, at)


Act = Callable[[Any, Any], None]


def wake(decision: Decision, at: float | None) -> None:
    if at is not None:
        decision.timer = at if decision.timer is None else min(decision.timer, at)


def act(state: ProgramState, message: Activated, now: float, acts: Mapping[type, Act], build: str = "") -> Decision:
    if message.held is not None:
        return Decision(append=[Held(message.held.why, message.held.detail)])
    decision = Decision(append=message.commands)
    asking = Asking(state, state.caller, message, decision, now, build)
    for command in tuple(message.commands):
        do = acts.get(type(command))
        if do is not None:
            do(asking, command)
    return decision


def schedule_task(asking: Asking[Any], command: TaskScheduled) -> None:
    asking.decision.execute.append(calling.first_dispatch(asking.caller, command))
    if command.options.deadline_s is not None:
        asking.wake(asking.now + command.options.deadline_s)


def _schedule_child(asking: Asking[Any], command: ChildScheduled) -> None:
    caller = asking.caller
    start = Start(
        command.workflow,
        command.input,
        command.digest,
        asking.build,
        deadline_s=command.deadline_s,
        parent=_sender(asking, command.call) if command.wait else None,
        idempotency_key=calling.idempotency_key(caller, command.call),
        chain=asking.state.waiting(command.delivery) if command.wait else (),
    )
    asking.decision.send.append(Send(run_key(namespace_of(caller.key), command.run_id), start))


def _schedule_ask(asking: Asking[Any], command: AskScheduled) -> None:
    chain = asking.state.waiting(command.delivery) if command.ask else ()
    sender = _sender(asking, command.call)
    asking.decision.send.append(
        Send(command.to, Deliver(command.handler, command.args, command.ask, sender, chain=chain))
    )


def _sender(asking: Asking[Any], call: int) -> Sender:
    return Sender(asking.caller.key, asking.caller.execution, call)


def _request_lease(asking: Asking[Any], command: LeaseRequested) -> None:
    asking.decision.send.append(leasing.acquire(asking.caller.key, asking.caller.execution, command))


def _schedule_operation(asking: Asking[Any], command: OperationScheduled) -> None:
    asking.decision.send.append(leasing.invoke(asking.caller, asking.state.leases, command))


def cancel_call(asking: Asking[Any], command: CallCancelled) -> None:
    give_up(asking.state, asking.decision, command.call)


def _set_timer(asking: Asking[Any], command: TimerSet) -> None:
    wake(asking.decision, command.at)


ACT: Final[dict[type, Act]] = {
    TaskScheduled: schedule_task,
    ChildScheduled: _schedule_child,
    AskScheduled: _schedule_ask,
    LeaseRequested: _request_lease,
    OperationScheduled: _schedule_operation,
    CallCancelled: cancel_call,
    TimerSet: _set_timer,
}
