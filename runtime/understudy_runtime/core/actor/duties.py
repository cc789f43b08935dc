"""What an actor does by itself, and when: calls and timers of the handler in flight, else the queue and reminders."""

from __future__ import annotations

import math

from understudy_runtime.core.actor.state import ActorState, Reminder
from understudy_runtime.core.program import decide as program
from understudy_runtime.core.records.deliveries import Delivered, HandlerQueued


def next_duty(state: ActorState) -> float | None:
    at = program.next_duty(state)
    if state.in_flight or state.held is not None:
        return at
    own = 0.0 if state.queue else earliest_reminder(state.reminders)
    return min((duty for duty in (own, at) if duty is not None), default=None)


def earliest_reminder(reminders: dict[str, Reminder]) -> float | None:
    return min((reminder.at for reminder in reminders.values()), default=None)


def next_message(state: ActorState, reminders: dict[str, Reminder], now: float, *, reminded: bool) -> Delivered | None:
    """What is handled next, if anything is due. After a reminder (`reminded`) the queue goes first, else reminders."""
    if state.queue and (reminded or not _any_due(reminders, now)):
        return _from_queue(state.queue[0])
    return _reminder_due(state, reminders, now)


def _any_due(reminders: dict[str, Reminder], now: float) -> bool:
    earliest = earliest_reminder(reminders)
    return earliest is not None and earliest <= now


def _reminder_due(state: ActorState, reminders: dict[str, Reminder], now: float) -> Delivered | None:
    """The one that has been due for longest; of those, the one first set."""
    if not _any_due(reminders, now):
        return None
    name, reminder = min(reminders.items(), key=lambda item: item[1].at)
    again_at = None if reminder.every_s is None else _after(reminder.at, reminder.every_s, now)
    return Delivered(
        state.deliveries.next, reminder.handler, reminder.args, ask=False, reminder=name, again_at=again_at
    )


def _after(at: float, every_s: float, now: float) -> float:
    """The first time after `now` of those that are a whole number of intervals after `at`."""
    return at + every_s * (math.floor((now - at) / every_s) + 1)


def _from_queue(queued: HandlerQueued) -> Delivered:
    return Delivered(
        queued.delivery,
        queued.handler,
        queued.args,
        queued.ask,
        queued.sender,
        queued.idempotency_key,
        queued.chain,
    )
