"""What a schedule does with each message: one function a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from understudy.scheduling import ScheduleDescription, ScheduleSpec
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.deliveries import Remembered
from understudy_runtime.core.keys import id_of
from understudy_runtime.core.messages import (
    Accepted,
    Answer,
    AnyMessage,
    BackfillBegun,
    BackfillSchedule,
    Decision,
    DeleteSchedule,
    Deliver,
    Describe,
    PauseSchedule,
    Recovered,
    Refused,
    Reply,
    ResumeSchedule,
    SetSchedule,
    TimerDue,
    Triggered,
    TriggerSchedule,
)
from understudy_runtime.core.ports import Calendar
from understudy_runtime.core.records.deliveries import NothingToDo
from understudy_runtime.core.records.schedules import (
    RangeBegun,
    ScheduleAdvanced,
    ScheduleDeleted,
    ScheduledRunEnded,
    SchedulePaused,
    ScheduleResumed,
    ScheduleSet,
)
from understudy_runtime.core.schedule.starting import Plan
from understudy_runtime.core.schedule.state import MAX_RANGES, MAX_RUNNING, Range, ScheduleState
from understudy_runtime.core.schedule.times import (
    TICK_S,
    due_at,
    next_time,
    next_within,
    previous_time,
    up_to,
)

T = TypeVar("T")

ON_TIME_S: Final = 60.0
"""A run that starts so late, jitter apart, is still on time; a nominal time further back was missed."""
MAX_CATCH_UP: Final = 1_000
"""Nominal times made up for after an outage, the newest; older ones stay missed."""
MAX_BACKFILL: Final = 1_000
"""Nominal times in one backfill."""


def _set(state: ScheduleState, message: SetSchedule, now: float, calendar: Calendar) -> Decision:
    old, spec, key = state.spec, message.spec, message.idempotency_key
    since = None if message.declared is None else message.declared.since
    if key in state.deliveries.remembered or not _is_news(state, message):
        return _nothing_to_do(state, key)
    if old is None:
        next_at = next_within(calendar, spec, now)
        decision = Decision(append=[ScheduleSet(spec, next_at, key, message.note, since)], reply=Accepted())
        if message.paused:
            decision.append.append(SchedulePaused(message.note))
        return _waking(decision, state, spec, None if message.paused else next_at)
    if message.if_exists == "error":
        why = f"schedule {id_of(state.key)} exists already and is another one; update it, or choose another id"
        return Decision(reply=Refused("AlreadyExists", why))
    # Nominal times that have passed unnoticed must not be lost to a change of something else.
    next_at = state.next if old.timing == spec.timing else next_within(calendar, spec, now)
    decision = Decision(append=[ScheduleSet(spec, next_at, key, message.note, since)], reply=Accepted())
    return _waking(decision, state, spec, None if state.paused else next_at)


def _is_news(state: ScheduleState, message: SetSchedule) -> bool:
    """What is the same is news all the same if a node declares it that nobody knew to have it: who has the say is to be
    known before code comes along that has it otherwise."""
    declared, last = message.declared, state.declared_since
    if declared is None:
        return state.spec != message.spec
    return last is None or (last != declared.since and (last < declared.since or last not in declared.living))


def _pause(state: ScheduleState, message: PauseSchedule, now: float, calendar: Calendar) -> Decision:
    if state.spec is None:
        return _unknown(state)
    key = message.idempotency_key
    if (state.paused and message.note == state.note) or key in state.deliveries.remembered:
        return _nothing_to_do(state, key)
    return Decision(append=[SchedulePaused(message.note, key)], reply=Accepted())


def _resume(state: ScheduleState, message: ResumeSchedule, now: float, calendar: Calendar) -> Decision:
    if state.spec is None:
        return _unknown(state)
    if not state.paused or message.idempotency_key in state.deliveries.remembered:
        return _nothing_to_do(state, message.idempotency_key)
    next_at = next_within(calendar, state.spec, now)
    resumed = ScheduleResumed(next_at, message.note, message.idempotency_key)
    decision = Decision(append=[resumed], reply=Accepted())
    return _waking(decision, state, state.spec, next_at)


def _trigger(state: ScheduleState, message: TriggerSchedule, now: float, calendar: Calendar) -> Decision:
    if (known := state.deliveries.remembered.get(message.idempotency_key)) is not None:
        return _again(known, str, Triggered)
    if state.spec is None:
        return _unknown(state)
    if len(state.running) >= MAX_RUNNING:
        return Decision(
            reply=Refused("Overloaded", f"{MAX_RUNNING} runs of schedule {id_of(state.key)} have not ended yet")
        )
    decision = Decision()
    plan = Plan(state, state.spec, calendar, decision)
    decision.reply = Triggered(plan.trigger(round(now, 3), message.idempotency_key))
    return decision


def _backfill(state: ScheduleState, message: BackfillSchedule, now: float, calendar: Calendar) -> Decision:
    spec = state.spec
    if (known := state.deliveries.remembered.get(message.idempotency_key)) is not None:
        return _again(known, int, BackfillBegun)
    if spec is None:
        return _unknown(state)
    if len(state.ranges) >= MAX_RANGES:
        return Decision(reply=Refused("Overloaded", f"{MAX_RANGES} backfills are under way; wait for one to end"))
    first = at = up_to(message.until, next_time(calendar, spec, message.since - TICK_S))
    count = 0
    while at is not None and count <= MAX_BACKFILL:
        count += 1
        at = up_to(message.until, next_time(calendar, spec, at))
    if count > MAX_BACKFILL:
        return Decision(
            reply=Refused("BadRequest", f"more than {MAX_BACKFILL} nominal times lie there; give a shorter range")
        )
    if first is None:
        return Decision(reply=BackfillBegun(0))
    begun = RangeBegun(first, message.until, message.overlap, "backfill", message.idempotency_key, count)
    return Decision(append=[begun], timer=now, reply=BackfillBegun(count))


def _delete(state: ScheduleState, message: DeleteSchedule, now: float, calendar: Calendar) -> Decision:
    if message.idempotency_key in state.deliveries.remembered:
        return Decision(reply=Accepted())
    if state.spec is None:
        return _unknown(state)
    return Decision(append=[ScheduleDeleted(message.idempotency_key)], reply=Accepted())


def _answer(state: ScheduleState, message: Answer, now: float, calendar: Calendar) -> Decision:
    if state.spec is None or message.call not in state.running:
        return _rearmed(Decision(), state)
    failure = message.failure
    existed = failure is not None and failure.final and failure.type == "AlreadyExists"
    ended = ScheduledRunEnded(message.call, "" if failure is None or existed else failure.type or "error", existed)
    decision = Decision(append=[ended])
    plan = Plan(state, state.spec, calendar, decision)
    del plan.running[message.call]
    plan.go_on()
    return _rearmed(_come_back(decision, plan, now), state)


def _timer_due(state: ScheduleState, message: TimerDue, now: float, calendar: Calendar) -> Decision:
    decision = Decision()
    if state.spec is None:
        return decision
    plan = Plan(state, state.spec, calendar, decision)
    late = None if state.paused else _late(state, state.spec, now, calendar)
    if late is not None:
        decision.append.append(late)
        _catch_up(plan, late, now)
    plan.go_on()
    if not state.paused:
        _on_time(plan, state.next if late is None else late.next, now)
    return decision


def go_on(state: ScheduleState, calendar: Calendar) -> Decision:
    """With what has been decided on, and with no nominal time that has not."""
    decision = Decision()
    if state.spec is not None:
        Plan(state, state.spec, calendar, decision).go_on()
    return decision


def _late(state: ScheduleState, spec: ScheduleSpec, now: float, calendar: Calendar) -> ScheduleAdvanced | None:
    """The nominal times that were missed while no node ran; None if there are none."""
    limit = now - spec.jitter_s - ON_TIME_S
    if state.next is None or state.next >= limit:
        return None
    last = previous_time(calendar, spec, limit if spec.ends_at is None else min(limit, spec.ends_at + TICK_S))
    last = state.next if last is None else max(last, state.next)
    return ScheduleAdvanced(next_within(calendar, spec, last), state.next, last)


def _catch_up(plan: Plan, late: ScheduleAdvanced, now: float) -> None:
    """Begin a range over those of the missed nominal times that the policy wants made up for."""
    spec, first, last = plan.spec, late.missed_from, late.missed_to
    if first is None or last is None or spec.catch_up == "skip":
        return
    if spec.catch_up == "one":
        if late.next is not None and due_at(plan.state.key, spec, late.next) <= now:
            return  # another one is on time, and will do for those that were missed
        first = last
    else:
        first = _newest(plan.calendar, spec, first, last)
    begun = RangeBegun(first, last, spec.overlap, "catch_up")
    plan.decision.append.append(begun)
    plan.begin(Range(begun.next, begun.until, begun.overlap, begun.why))


def _newest(calendar: Calendar, spec: ScheduleSpec, first: float, last: float) -> float:
    """The earliest of the newest `MAX_CATCH_UP` nominal times from `first` to `last`."""
    at = last
    for _ in range(MAX_CATCH_UP - 1):
        before = previous_time(calendar, spec, at)
        if before is None or before < first:
            break
        at = before
    return at


def _on_time(plan: Plan, next_at: float | None, now: float) -> None:
    """Decide on every nominal time that is due."""
    state, spec, at = plan.state, plan.spec, next_at
    while at is not None and not plan.full and due_at(state.key, spec, at) <= now:
        plan.take(at, "schedule", spec.overlap)
        at = next_within(plan.calendar, spec, at)
    if at != next_at:
        plan.decision.append.append(ScheduleAdvanced(at))


def _describe(state: ScheduleState, message: Describe, now: float, calendar: Calendar) -> Decision:
    spec = state.spec
    if spec is None:
        return _unknown(state)
    next_at = None if state.paused else state.next
    return Decision(
        reply=ScheduleDescription(
            id_of(state.key),
            spec,
            "paused" if state.paused else "active",
            state.note,
            state.created_at,
            next_at,
            None if next_at is None else due_at(state.key, spec, next_at),
            tuple(state.running.values()),
            len(state.buffer),
            len(state.ranges),
            state.started,
            state.succeeded,
            state.failed,
            state.passed_over,
            state.missed_from,
            state.missed_to,
            tuple(state.recent),
        )
    )


def _recovered(state: ScheduleState, message: Recovered, now: float, calendar: Calendar) -> Decision:
    """Nothing of a schedule goes on outside of it but runs, which answer when they end."""
    return Decision()


def _deliver(state: ScheduleState, message: Deliver, now: float, calendar: Calendar) -> Decision:
    return _rearmed(delivering.refuse(message, _NOT_FOR_SCHEDULES), state)


def not_for_schedules(state: ScheduleState, message: AnyMessage, now: float, calendar: Calendar) -> Decision:
    return Decision(reply=_NOT_FOR_SCHEDULES)


_NOT_FOR_SCHEDULES: Final = Refused("BadRequest", "that is a schedule, neither a run nor an actor")


def _unknown(state: ScheduleState) -> Decision:
    return Decision(reply=Refused("UnknownName", f"there is no schedule {id_of(state.key)}"))


def _nothing_to_do(state: ScheduleState, idempotency_key: str) -> Decision:
    """Remembered all the same: sent again, the message must not undo what others have changed meanwhile."""
    is_news = bool(idempotency_key) and idempotency_key not in state.deliveries.remembered
    return Decision(append=[NothingToDo(idempotency_key)] if is_news else [], reply=Accepted())


def _again(known: Remembered, kind: type[T], answer: Callable[[T], Reply]) -> Decision:
    """The answer that the same message got before."""
    try:
        return Decision(reply=answer(msgspec.json.decode(known.result or b"null", type=kind)))
    except msgspec.ValidationError:
        why = "the idempotency_key was that of another kind of request; make up a new one for each request"
        return Decision(reply=Refused("BadRequest", why))


def _waking(decision: Decision, state: ScheduleState, spec: ScheduleSpec, next_at: float | None) -> Decision:
    if next_at is not None:
        decision.timer = due_at(state.key, spec, next_at)
    return decision


def _rearmed(decision: Decision, state: ScheduleState) -> Decision:
    """A node that starts may load a schedule for the sake of its mail, and then knows its next duty only from here."""
    if decision.timer is None and state.spec is not None and state.next is not None and not state.paused:
        decision.timer = due_at(state.key, state.spec, state.next)
    return decision


def _come_back(decision: Decision, plan: Plan, now: float) -> Decision:
    """A range that could go on, had there not been so many in this turn, is due at once."""
    if plan.ranges and not plan.ranges[0].waits(plan.busy):
        decision.timer = now
    return decision


DECIDE: Final[dict[type, Callable[[ScheduleState, Any, float, Calendar], Decision]]] = {
    SetSchedule: _set,
    PauseSchedule: _pause,
    ResumeSchedule: _resume,
    TriggerSchedule: _trigger,
    BackfillSchedule: _backfill,
    DeleteSchedule: _delete,
    Answer: _answer,
    TimerDue: _timer_due,
    Recovered: _recovered,
    Describe: _describe,
    Deliver: _deliver,
}
