"""What a schedule takes note of: one function a record. Recovery runs only this, and asks no calendar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw

from understudy.scheduling import ScheduledRun
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.deliveries import Remembered
from understudy_runtime.core.records.deliveries import NothingToDo
from understudy_runtime.core.records.schedules import (
    RangeAdvanced,
    RangeBegun,
    RunBuffered,
    RunPassedOver,
    RunScheduled,
    ScheduleAdvanced,
    ScheduleDeleted,
    ScheduledRunEnded,
    SchedulePaused,
    ScheduleResumed,
    ScheduleSet,
)
from understudy_runtime.core.schedule.state import RECENT, Kept, Range, ScheduleState


def _apply_set(state: ScheduleState, record: ScheduleSet, at: float) -> None:
    if state.spec is None:
        state.created_at, state.deleted_at = at, None
    state.spec, state.next, state.note = record.spec, record.next, record.note or state.note
    if record.declared_since is not None:
        state.declared_since = record.declared_since
    _remember(state, record.idempotency_key, None, at)


def _apply_paused(state: ScheduleState, record: SchedulePaused, at: float) -> None:
    state.paused, state.note = True, record.note
    state.passed_over += len(state.buffer)
    state.buffer.clear()
    state.ranges.clear()
    _remember(state, record.idempotency_key, None, at)


def _apply_resumed(state: ScheduleState, record: ScheduleResumed, at: float) -> None:
    state.paused, state.note, state.next = False, record.note, record.next
    _remember(state, record.idempotency_key, None, at)


def _apply_deleted(state: ScheduleState, record: ScheduleDeleted, at: float) -> None:
    """Nothing is left but what a later schedule of this id must know."""
    fresh = ScheduleState(
        state.key, state.last_seq, state.turns, calls=state.calls, deliveries=state.deliveries, deleted_at=at,
        declared_since=state.declared_since,
    )  # fmt: skip
    for name in state.__struct_fields__:
        setattr(state, name, getattr(fresh, name))
    _remember(state, record.idempotency_key, None, at)


def _apply_advanced(state: ScheduleState, record: ScheduleAdvanced, at: float) -> None:
    state.next = record.next
    if record.missed_from is not None:
        state.missed_from, state.missed_to = record.missed_from, record.missed_to


def _apply_range(state: ScheduleState, record: RangeBegun, at: float) -> None:
    state.ranges.append(Range(record.next, record.until, record.overlap, record.why))
    _remember(state, record.idempotency_key, record.count, at)


def _apply_range_advanced(state: ScheduleState, record: RangeAdvanced, at: float) -> None:
    if record.next is None:
        del state.ranges[0]
    else:
        state.ranges[0].next = record.next


def _apply_run(state: ScheduleState, record: RunScheduled, at: float) -> None:
    run = ScheduledRun(record.run_id, record.nominal_at, record.why)
    state.calls = record.call
    state.running[record.call] = run
    state.recent = [run, *state.recent[: RECENT - 1]]
    state.started += 1
    if record.buffered:
        del state.buffer[0]
    _remember(state, record.idempotency_key, record.run_id, at)


def _apply_buffered(state: ScheduleState, record: RunBuffered, at: float) -> None:
    if record.alone:
        state.passed_over += len(state.buffer)
        state.buffer.clear()
    state.buffer.append(Kept(record.nominal_at, record.why))


def _apply_passed_over(state: ScheduleState, record: RunPassedOver, at: float) -> None:
    state.passed_over += 1


def _apply_ended(state: ScheduleState, record: ScheduledRunEnded, at: float) -> None:
    run = state.running.pop(record.call)
    ended = msgspec.structs.replace(run, ended="existed" if record.existed else record.failure or "succeeded")
    state.recent = [ended if each == run else each for each in state.recent]
    state.failed += bool(record.failure)
    state.succeeded += not (record.failure or record.existed)


def _apply_nothing(state: ScheduleState, record: NothingToDo, at: float) -> None:
    _remember(state, record.idempotency_key, None, at)


def _remember(state: ScheduleState, key: str, reply: str | int | None, at: float) -> None:
    if key:
        delivering.remember(state.deliveries, key, Remembered(at, result=Raw(msgspec.json.encode(reply))))


APPLY: Final[dict[type, Callable[[ScheduleState, Any, float], None]]] = {
    ScheduleSet: _apply_set,
    SchedulePaused: _apply_paused,
    ScheduleResumed: _apply_resumed,
    ScheduleDeleted: _apply_deleted,
    ScheduleAdvanced: _apply_advanced,
    RangeBegun: _apply_range,
    RangeAdvanced: _apply_range_advanced,
    RunScheduled: _apply_run,
    RunBuffered: _apply_buffered,
    RunPassedOver: _apply_passed_over,
    ScheduledRunEnded: _apply_ended,
    NothingToDo: _apply_nothing,
}
