"""What an actor does when its handler ends, and what comes after it; the other commands are every program's."""

from __future__ import annotations

from typing import Final

from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.actor.apply import apply_reminder
from understudy_runtime.core.actor.duties import earliest_reminder, next_message
from understudy_runtime.core.actor.state import ActorState, Reminder
from understudy_runtime.core.messages import Activated, Decision
from understudy_runtime.core.program.commands import ACT, Act, Asking, act, wake
from understudy_runtime.core.program.leaving import leave_nothing_open
from understudy_runtime.core.records.actors import ReminderForgotten, ReminderSet
from understudy_runtime.core.records.deliveries import Replied


def activated(state: ActorState, message: Activated, now: float) -> Decision:
    return act(state, message, now, _ACT)


def _replied(asking: Asking[ActorState], command: Replied) -> None:
    """The handler has ended: take what is next, in this turn if there have not been too many."""
    state, decision, now = asking.state, asking.decision, asking.now
    result = None if command.failure is not None else command.result
    delivering.settle(state.deliveries, decision, command.delivery, result, command.failure)
    leave_nothing_open(state, decision)
    reminders = _reminders_after(state, asking.message)
    due = next_message(state, reminders, now, reminded=state.reminded)
    if due is None:
        wake(decision, earliest_reminder(reminders))
    elif asking.is_last:
        asking.wake(now)
    else:
        decision.append.append(due)
        decision.activate = True


def _reminders_after(state: ActorState, message: Activated) -> dict[str, Reminder]:
    changes = [each for each in message.commands if isinstance(each, ReminderSet | ReminderForgotten)]
    if not changes:
        return state.reminders
    reminders = dict(state.reminders)
    for change in changes:
        apply_reminder(reminders, change)
    return reminders


_ACT: Final[dict[type, Act]] = ACT | {Replied: _replied}
