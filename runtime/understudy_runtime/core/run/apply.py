"""What a run takes note of: one function a record. Recovery runs only this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Raw

from understudy_runtime.core import calls as calling
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.calls import AskCall, TaskCall
from understudy_runtime.core.deliveries import Remembered
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.leases import name_of
from understudy_runtime.core.messages import Hold
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.calls import (
    AskScheduled,
    AttemptDispatched,
    AttemptFailed,
    CallAnswered,
    CallCancelled,
    ChildScheduled,
    LateResult,
    ProgressNoted,
    TaskGaveUp,
    TaskScheduled,
    TaskSucceeded,
)
from understudy_runtime.core.records.deliveries import Delivered, NothingToDo, Replied
from understudy_runtime.core.records.jobs import (
    JobOver,
    JobSeekDelayed,
    JobSought,
    JobStopDelayed,
    JobStopFound,
    JobStopped,
    JobStopping,
    JobSubmitted,
    JobTold,
    JobUncertain,
)
from understudy_runtime.core.records.leases import (
    AttemptLeft,
    LeaseEnded,
    LeaseRequested,
    LeaseReturned,
    OperationScheduled,
)
from understudy_runtime.core.records.programs import Cautioned, Fired, Held, Patched, Released, TimerSet, Warned
from understudy_runtime.core.records.runs import (
    Cancelled,
    CancelRequested,
    Completed,
    ContinuedAsNew,
    Ended,
    ExecutionStarted,
    Failed,
    TaskReused,
)
from understudy_runtime.core.run.state import RunState

Apply = Callable[[RunState, Any, float], None]


def _apply_started(state: RunState, record: ExecutionStarted, at: float) -> None:
    if record.execution == 1:
        state.created_at = at
    if record.parent is not None:
        state.parent, state.chain = record.parent, record.chain
    state.workflow, state.input, state.digest, state.build = record.workflow, record.input, record.digest, record.build
    state.execution, state.status = record.execution, "running"
    state.began_seq, state.turns = state.last_seq, 1
    state.calls, state.timer, state.held = calling.afresh(state.calls, record.execution), None, None
    state.result = state.failure = state.closed_at = None
    state.continued, state.cautioned, state.cancel_requested = None, False, False
    state.reuse = {f"{r.task}:{r.digest}:{r.occurrence}": r for r in record.reuse}
    state.occurrences = {}
    if record.cause != "continued":
        state.deadline_s = record.deadline_s
        state.deadline = None if record.deadline_s is None else at + record.deadline_s
    _remember(state, record, at)


def _remember(
    state: RunState, record: ExecutionStarted | CancelRequested | Released | Ended | NothingToDo | JobTold, at: float
) -> None:
    if record.idempotency_key:
        delivering.remember(state.deliveries, record.idempotency_key, Remembered(at, execution=state.execution))


def _apply_scheduled(state: RunState, record: TaskScheduled, at: float) -> None:
    reuse = None
    if state.reuse:
        fresh: dict[str, int] = {}
        reuse = state.reusable(record, fresh)
        for name, count in fresh.items():
            state.occurrences[name] = state.occurrences.get(name, 0) + count
    calling.apply_scheduled(state.calls, record, at, reuse)


def _apply_child(state: RunState, record: ChildScheduled, at: float) -> None:
    calling.apply_child(state.calls, record)


def _apply_ask(state: RunState, record: AskScheduled, at: float) -> None:
    calling.apply_ask(state.calls, record)


def _apply_lease(state: RunState, record: LeaseRequested, at: float) -> None:
    state.calls.open[record.call] = AskCall(record.to)


def _apply_operation(state: RunState, record: OperationScheduled, at: float) -> None:
    state.calls.open[record.call] = AskCall(state.leases.held[name_of(state.execution, record.lease)].to)


def _apply_outcome(state: RunState, record: TaskSucceeded | TaskReused | TaskGaveUp | CallAnswered, at: float) -> None:
    if type(record) is TaskGaveUp and _is_optional(state, record.call):
        state.warnings += 1
    calling.apply_outcome(state.calls, record)


def _is_optional(state: RunState, number: int) -> bool:
    call = state.calls.open.get(number)
    return type(call) is TaskCall and call.options.optional


def _apply_call_note(state: RunState, record: AnyRecord, at: float) -> None:
    calling.apply_note(state.calls, record)


def _apply_stopped(state: RunState, record: JobStopped, at: float) -> None:
    state.warnings += record.failure is not None
    calling.apply_note(state.calls, record)


def _apply_call_cancelled(state: RunState, record: CallCancelled, at: float) -> None:
    calling.apply_cancelled(state.calls, record.call)


def _apply_delivered(state: RunState, record: Delivered, at: float) -> None:
    delivering.apply_received(state.deliveries, record, at)


def _apply_replied(state: RunState, record: Replied, at: float) -> None:
    delivering.apply_replied(state.deliveries, record)


def _apply_timer(state: RunState, record: TimerSet, at: float) -> None:
    state.timer = record.at


def _apply_fired(state: RunState, record: Fired, at: float) -> None:
    state.timer = None


def _apply_cancel(state: RunState, record: CancelRequested, at: float) -> None:
    state.cancel_requested = True
    _remember(state, record, at)


def _apply_held(state: RunState, record: Held, at: float) -> None:
    state.status, state.held = "held", Hold(record.why, record.detail)


def _apply_released(state: RunState, record: Released, at: float) -> None:
    state.status, state.held = "running", None
    _remember(state, record, at)


def _apply_warning(state: RunState, record: AnyRecord, at: float) -> None:
    state.warnings += 1


def _apply_cautioned(state: RunState, record: Cautioned, at: float) -> None:
    state.warnings += 1
    state.cautioned = True


def _apply_continued(state: RunState, record: ContinuedAsNew, at: float) -> None:
    state.calls = calling.afresh_after(state.calls)
    state.continued, state.timer, state.cancel_requested = record, None, False


def _apply_nothing(state: RunState, record: AnyRecord, at: float) -> None:
    """Kept in the journal for people and for replay."""


def _closes(
    status: str, outcome: Callable[[Any], tuple[Raw | None, Failure | None]]
) -> Callable[[RunState, Any, float], None]:
    def apply(state: RunState, record: Any, at: float) -> None:
        state.status = getattr(record, "status", status)
        state.closed_at, state.timer, state.held, state.continued = at, None, None, None
        state.result, state.failure = outcome(record)
        calling.apply_closed(state.calls)
        delivering.apply_ended(state.deliveries)
        state.reuse = {}

    return apply


_close_by_machine: Final = _closes("", lambda record: (None, record.failure))


def _apply_ended(state: RunState, record: Ended, at: float) -> None:
    _close_by_machine(state, record, at)
    _remember(state, record, at)


APPLY: Final[dict[type, Apply]] = {
    ExecutionStarted: _apply_started,
    TaskScheduled: _apply_scheduled,
    ChildScheduled: _apply_child,
    AskScheduled: _apply_ask,
    LeaseRequested: _apply_lease,
    OperationScheduled: _apply_operation,
    TaskSucceeded: _apply_outcome,
    TaskReused: _apply_outcome,
    TaskGaveUp: _apply_outcome,
    CallAnswered: _apply_outcome,
    CallCancelled: _apply_call_cancelled,
    AttemptFailed: _apply_call_note,
    AttemptDispatched: _apply_call_note,
    ProgressNoted: _apply_call_note,
    LateResult: _apply_call_note,
    JobSubmitted: _apply_call_note,
    JobSought: _apply_call_note,
    JobSeekDelayed: _apply_call_note,
    JobUncertain: _apply_call_note,
    JobOver: _apply_call_note,
    JobTold: _remember,
    JobStopping: _apply_call_note,
    JobStopFound: _apply_call_note,
    JobStopDelayed: _apply_call_note,
    JobStopped: _apply_stopped,
    Delivered: _apply_delivered,
    Replied: _apply_replied,
    TimerSet: _apply_timer,
    Fired: _apply_fired,
    CancelRequested: _apply_cancel,
    Held: _apply_held,
    Released: _apply_released,
    Warned: _apply_warning,
    Cautioned: _apply_cautioned,
    Completed: _closes("succeeded", lambda record: (record.result, None)),
    Failed: _closes("failed", lambda record: (None, record.failure)),
    Cancelled: _closes("cancelled", lambda record: (None, None)),
    Ended: _apply_ended,
    NothingToDo: _remember,
    ContinuedAsNew: _apply_continued,
    Patched: _apply_nothing,
    LeaseEnded: _apply_nothing,
    LeaseReturned: _apply_nothing,
    AttemptLeft: _apply_nothing,
}
