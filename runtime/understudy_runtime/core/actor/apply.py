"""What an actor takes note of, beside what every program does: one function a record. Recovery runs only this."""

from __future__ import annotations

from typing import Final

from understudy_runtime.core import calls as calling
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.actor.state import ActorState, Reminder
from understudy_runtime.core.program import apply as program
from understudy_runtime.core.program.apply import Apply
from understudy_runtime.core.records.actors import ReminderForgotten, ReminderSet, StateSet
from understudy_runtime.core.records.deliveries import Delivered, HandlerQueued, Replied


def _delivered(state: ActorState, record: Delivered, at: float) -> None:
    if state.queue and state.queue[0].delivery == record.delivery:
        del state.queue[0]
    else:
        delivering.apply_received(state.deliveries, record, at)
    if record.reminder:
        _reminded(state.reminders, record)
    state.in_flight, state.began_seq, state.reminded = record.delivery, state.last_seq, bool(record.reminder)
    state.calls = calling.afresh(state.calls, record.delivery)


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


APPLY: Final[dict[type, Apply]] = program.APPLY | {
    Delivered: _delivered,
    HandlerQueued: _queued,
    Replied: _replied,
    StateSet: _state_set,
    ReminderSet: _reminder_set,
    ReminderForgotten: _reminder_forgotten,
}
