"""What a run does with commands of its user code, beside what every program does: one function a command."""

from __future__ import annotations

from typing import Final

from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import Activated, Decision
from understudy_runtime.core.program.commands import ACT, MAX_ROUNDS, Act, Asking, act, cancel_call, schedule_task
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.calls import CallCancelled, TaskScheduled
from understudy_runtime.core.records.deliveries import Replied
from understudy_runtime.core.records.runs import (
    Cancelled,
    Completed,
    ContinuedAsNew,
    ExecutionStarted,
    Failed,
    TaskReused,
)
from understudy_runtime.core.run.ending import close, leave_nothing_open
from understudy_runtime.core.run.state import RunState

__all__ = ["MAX_ROUNDS", "activated", "next_execution"]


def activated(state: RunState, message: Activated, now: float) -> Decision:
    return act(state, message, now, _ACT, state.build)


def _task_scheduled(asking: Asking[RunState], command: TaskScheduled) -> None:
    state, decision = asking.state, asking.decision
    reused = state.reusable(command, asking.fresh) if state.reuse else None
    if reused is None:
        schedule_task(asking, command)
    elif asking.is_last:
        asking.wake(asking.now)
    else:
        decision.append.append(TaskReused(command.call, reused))
        decision.activate = True


def _call_cancelled(asking: Asking[RunState], command: CallCancelled) -> None:
    cancel_call(asking, command)
    decision = asking.decision
    if decision.activate:
        decision.append = [r for r in decision.append if not (type(r) is TaskReused and r.call == command.call)]
        decision.activate = any(type(r) is TaskReused for r in decision.append)


def _replied(asking: Asking[RunState], command: Replied) -> None:
    result = None if command.failure is not None else command.result
    delivering.settle(asking.state.deliveries, asking.decision, command.delivery, result, command.failure)


def _completed(asking: Asking[RunState], command: Completed) -> None:
    close(asking.state, asking.decision, command.result, None)


def _failed(asking: Asking[RunState], command: Failed) -> None:
    close(asking.state, asking.decision, None, command.failure)


def _cancelled(asking: Asking[RunState], command: Cancelled) -> None:
    failure = Failure("RunCancelled", "the run was cancelled", kind="cancelled", final=True)
    close(asking.state, asking.decision, None, failure)


def _continued(asking: Asking[RunState], command: ContinuedAsNew) -> None:
    state, decision = asking.state, asking.decision
    leave_nothing_open(state, decision)
    if asking.is_last:
        asking.wake(asking.now)
    else:
        decision.append += next_execution(state, command)
        decision.activate = True


def next_execution(state: RunState, continued: ContinuedAsNew) -> list[AnyRecord]:
    """Its beginning, and the messages that the one before has left to it."""
    started = ExecutionStarted(
        state.workflow,
        continued.input,
        key=state.key,
        execution=state.execution + 1,
        digest=continued.digest,
        build=state.build,
        cause="continued",
    )
    return [started, *continued.deliveries]


_ACT: Final[dict[type, Act]] = ACT | {
    TaskScheduled: _task_scheduled,
    CallCancelled: _call_cancelled,
    Replied: _replied,
    Completed: _completed,
    Failed: _failed,
    Cancelled: _cancelled,
    ContinuedAsNew: _continued,
}
