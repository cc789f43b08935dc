"""What an actor takes note of: one function a record. Recovery runs only this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from understudy_runtime.core import calls as calling
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.actor.state import ActorState, Reminder
from understudy_runtime.core.calls import AskCall
from understudy_runtime.core.deliveries import Remembered
from understudy_runtime.core.leases import name_of
from understudy_runtime.core.messages import Hold
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.actors import ReminderForgotten, ReminderSet, StateSet
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
from understudy_runtime.core.records.deliveries import Delivered, HandlerQueued, Replied
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


def _delivered(state: ActorState, record: Delivered, at: float) -> None:
    if state.queue and state.queue[0].delivery == record.delivery:
        del state.queue[0]
    else:
        delivering.apply_received(state.deliveries, record, at)
    if record.reminder:
        _reminded(state.reminders, record)
    state.in_flight, state.began_seq, state.calls = (
        record.delivery,
        state.last_seq,
        calling.afresh(state.calls, record.delivery),
    )
    state.reminded = bool(record.reminder)


def _reminded(reminders: dict[str, Reminder], record: Delivered) -> None:
    reminder = reminders[record.reminder]
    if record.again_at is None:
        del reminders[record.reminder]
    else:
        reminders[record.reminder] = Reminder(reminder.handler, reminder.args, record.again_at, reminder.every_s)


def _queued(state: ActorState, record: HandlerQueued, at: float) -> None:
    delivering.apply_received(state.deliveries, record, at)
    state.queue.append(record)


def _replied(state: ActorState, record: Replied, at: float) -> None:
    delivering.apply_replied(state.deliveries, record)
    state.in_flight, state.timer = 0, None
    calling.apply_closed(state.calls)


def _state_set(state: ActorState, record: StateSet, at: float) -> None:
    state.value, state.version = record.state, record.version


def _reminder_set(state: ActorState, record: ReminderSet, at: float) -> None:
    apply_reminder(state.reminders, record)


def _reminder_forgotten(state: ActorState, record: ReminderForgotten, at: float) -> None:
    apply_reminder(state.reminders, record)


def apply_reminder(reminders: dict[str, Reminder], record: ReminderSet | ReminderForgotten) -> None:
    reminders.pop(record.id, None)
    if isinstance(record, ReminderSet):
        reminders[record.id] = Reminder(record.handler, record.args, record.at, record.every_s)


def _scheduled(state: ActorState, record: TaskScheduled, at: float) -> None:
    calling.apply_scheduled(state.calls, record, at)


def _child(state: ActorState, record: ChildScheduled, at: float) -> None:
    calling.apply_child(state.calls, record)


def _ask(state: ActorState, record: AskScheduled, at: float) -> None:
    calling.apply_ask(state.calls, record)


def _lease(state: ActorState, record: LeaseRequested, at: float) -> None:
    state.calls.open[record.call] = AskCall(record.to)


def _operation(state: ActorState, record: OperationScheduled, at: float) -> None:
    state.calls.open[record.call] = AskCall(state.leases.held[name_of(state.in_flight, record.lease)].to)


def _outcome(state: ActorState, record: TaskSucceeded | TaskGaveUp | CallAnswered, at: float) -> None:
    calling.apply_outcome(state.calls, record)


def _note(state: ActorState, record: AnyRecord, at: float) -> None:
    calling.apply_note(state.calls, record)


def _call_cancelled(state: ActorState, record: CallCancelled, at: float) -> None:
    calling.apply_cancelled(state.calls, record.call)


def _timer(state: ActorState, record: TimerSet, at: float) -> None:
    state.timer = record.at


def _fired(state: ActorState, record: Fired, at: float) -> None:
    state.timer = None


def _held(state: ActorState, record: Held, at: float) -> None:
    state.held = Hold(record.why, record.detail)


def _released(state: ActorState, record: Released, at: float) -> None:
    state.held = None


def _warned(state: ActorState, record: Warned, at: float) -> None:
    state.warnings += 1


def _told(state: ActorState, record: JobTold, at: float) -> None:
    delivering.remember(state.deliveries, record.idempotency_key, Remembered(at))


def _nothing(state: ActorState, record: AnyRecord, at: float) -> None:
    """Kept in the journal for people and for replay."""


APPLY: Final[dict[type, Callable[[ActorState, Any, float], None]]] = {
    Delivered: _delivered,
    HandlerQueued: _queued,
    Replied: _replied,
    StateSet: _state_set,
    ReminderSet: _reminder_set,
    ReminderForgotten: _reminder_forgotten,
    TaskScheduled: _scheduled,
    ChildScheduled: _child,
    AskScheduled: _ask,
    LeaseRequested: _lease,
    OperationScheduled: _operation,
    LeaseEnded: _nothing,
    LeaseReturned: _nothing,
    AttemptLeft: _nothing,
    TaskSucceeded: _outcome,
    TaskReused: _outcome,
    TaskGaveUp: _outcome,
    CallAnswered: _outcome,
    CallCancelled: _call_cancelled,
    AttemptFailed: _note,
    AttemptDispatched: _note,
    ProgressNoted: _note,
    LateResult: _note,
    JobSubmitted: _note,
    JobSought: _note,
    JobSeekDelayed: _note,
    JobUncertain: _note,
    JobOver: _note,
    JobTold: _told,
    JobStopping: _note,
    JobStopFound: _note,
    JobStopDelayed: _note,
    JobStopped: _note,
    TimerSet: _timer,
    Fired: _fired,
    Held: _held,
    Released: _released,
    Warned: _warned,
    Patched: _nothing,
}
