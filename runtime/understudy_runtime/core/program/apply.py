"""What runs and actors alike take note of: one function a record. Recovery runs only this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from understudy_runtime.core import calls as calling
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.calls import AskCall
from understudy_runtime.core.deliveries import Remembered
from understudy_runtime.core.leases import name_of
from understudy_runtime.core.messages import Hold
from understudy_runtime.core.program.state import ProgramState
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
from understudy_runtime.core.records.programs import Fired, Held, Patched, Released, TimerSet, Warned
from understudy_runtime.core.records.runs import TaskReused

Apply = Callable[[Any, Any, float], None]


class Keyed(Protocol):
    """A record of something that is done once, whatever is said again."""

    @property
    def idempotency_key(self) -> str: ...


def remember(state: ProgramState, record: Keyed, at: float) -> None:
    if record.idempotency_key:
        what = Remembered(at, execution=state.caller.execution)
        delivering.remember(state.deliveries, record.idempotency_key, what)


# --- calls


def _scheduled(state: ProgramState, record: TaskScheduled, at: float) -> None:
    calling.apply_scheduled(state.calls, record, at)


def _child(state: ProgramState, record: ChildScheduled, at: float) -> None:
    calling.apply_child(state.calls, record)


def _ask(state: ProgramState, record: AskScheduled, at: float) -> None:
    calling.apply_ask(state.calls, record)


def _lease(state: ProgramState, record: LeaseRequested, at: float) -> None:
    state.calls.open[record.call] = AskCall(record.to)


def _operation(state: ProgramState, record: OperationScheduled, at: float) -> None:
    lease = name_of(state.caller.execution, record.lease)
    state.calls.open[record.call] = AskCall(state.leases.held[lease].to)


def _outcome(state: ProgramState, record: TaskSucceeded | TaskReused | CallAnswered, at: float) -> None:
    calling.apply_outcome(state.calls, record)


def _gave_up(state: ProgramState, record: TaskGaveUp, at: float) -> None:
    """A task that is `optional` gives user code a default in place of a failure, so somebody should hear of it."""
    call = state.calls.task(record.call)
    if call is not None and call.options.optional:
        state.warnings += 1
    calling.apply_outcome(state.calls, record)


def _cancelled(state: ProgramState, record: CallCancelled, at: float) -> None:
    calling.apply_cancelled(state.calls, record.call)


def _call_note(state: ProgramState, record: AnyRecord, at: float) -> None:
    calling.apply_note(state.calls, record)


def _job_stopped(state: ProgramState, record: JobStopped, at: float) -> None:
    """With a failure, the job may go on for ever."""
    state.warnings += record.failure is not None
    calling.apply_note(state.calls, record)


# --- the program itself


def _timer(state: ProgramState, record: TimerSet, at: float) -> None:
    state.timer = record.at


def _fired(state: ProgramState, record: Fired, at: float) -> None:
    state.timer = None


def held(state: ProgramState, record: Held, at: float) -> None:
    state.held = Hold(record.why, record.detail)


def released(state: ProgramState, record: Released, at: float) -> None:
    state.held = None
    remember(state, record, at)


def warned(state: ProgramState, record: AnyRecord, at: float) -> None:
    state.warnings += 1


def _nothing(state: ProgramState, record: AnyRecord, at: float) -> None:
    """Kept in the journal for people, for replay, and for `core.leases`."""


APPLY: Final[dict[type, Apply]] = {
    TaskScheduled: _scheduled,
    ChildScheduled: _child,
    AskScheduled: _ask,
    LeaseRequested: _lease,
    OperationScheduled: _operation,
    TaskSucceeded: _outcome,
    TaskReused: _outcome,
    TaskGaveUp: _gave_up,
    CallAnswered: _outcome,
    CallCancelled: _cancelled,
    AttemptFailed: _call_note,
    AttemptDispatched: _call_note,
    ProgressNoted: _call_note,
    LateResult: _call_note,
    JobSubmitted: _call_note,
    JobSought: _call_note,
    JobSeekDelayed: _call_note,
    JobUncertain: _call_note,
    JobOver: _call_note,
    JobTold: remember,
    JobStopping: _call_note,
    JobStopFound: _call_note,
    JobStopDelayed: _call_note,
    JobStopped: _job_stopped,
    TimerSet: _timer,
    Fired: _fired,
    Held: held,
    Released: released,
    Warned: warned,
    Patched: _nothing,
    LeaseEnded: _nothing,
    LeaseReturned: _nothing,
    AttemptLeft: _nothing,
}
