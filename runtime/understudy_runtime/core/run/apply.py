"""What a run takes note of, beside what every program does: one function a record. Recovery runs only this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Raw

from understudy_runtime.core import calls as calling
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.program import apply as program
from understudy_runtime.core.program.apply import Apply, remember
from understudy_runtime.core.records.calls import TaskScheduled
from understudy_runtime.core.records.deliveries import Delivered, NothingToDo, Replied
from understudy_runtime.core.records.programs import Cautioned, Held, Released
from understudy_runtime.core.records.runs import (
    Cancelled,
    CancelRequested,
    Completed,
    ContinuedAsNew,
    Ended,
    ExecutionStarted,
    Failed,
)
from understudy_runtime.core.run.state import Origin, RunState


def _apply_started(state: RunState, record: ExecutionStarted, at: float) -> None:
    if record.execution > 1:
        # A parent's later execution starts its child anew.
        begun_anew = record.parent is not None
        state.origin = Origin(record.input, record.digest) if begun_anew else state.started_with
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
    remember(state, record, at)


def _apply_scheduled(state: RunState, record: TaskScheduled, at: float) -> None:
    reuse = None
    if state.reuse:
        fresh: dict[str, int] = {}
        reuse = state.reusable(record, fresh)
        for name, count in fresh.items():
            state.occurrences[name] = state.occurrences.get(name, 0) + count
    calling.apply_scheduled(state.calls, record, at, reuse)


def _apply_delivered(state: RunState, record: Delivered, at: float) -> None:
    delivering.apply_received(state.deliveries, record, at)


def _apply_replied(state: RunState, record: Replied, at: float) -> None:
    delivering.apply_replied(state.deliveries, record)


def _apply_cancel(state: RunState, record: CancelRequested, at: float) -> None:
    state.cancel_requested = True
    remember(state, record, at)


def _apply_held(state: RunState, record: Held, at: float) -> None:
    state.status = "held"
    program.held(state, record, at)


def _apply_released(state: RunState, record: Released, at: float) -> None:
    state.status = "running"
    program.released(state, record, at)


def _apply_cautioned(state: RunState, record: Cautioned, at: float) -> None:
    state.cautioned = True
    program.warned(state, record, at)


def _apply_continued(state: RunState, record: ContinuedAsNew, at: float) -> None:
    state.calls = calling.afresh_after(state.calls)
    state.continued, state.timer, state.cancel_requested = record, None, False


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
    remember(state, record, at)


APPLY: Final[dict[type, Apply]] = program.APPLY | {
    ExecutionStarted: _apply_started,
    TaskScheduled: _apply_scheduled,
    Delivered: _apply_delivered,
    Replied: _apply_replied,
    CancelRequested: _apply_cancel,
    Held: _apply_held,
    Released: _apply_released,
    Cautioned: _apply_cautioned,
    Completed: _closes("succeeded", lambda record: (record.result, None)),
    Failed: _closes("failed", lambda record: (None, record.failure)),
    Cancelled: _closes("cancelled", lambda record: (None, None)),
    Ended: _apply_ended,
    NothingToDo: remember,
    ContinuedAsNew: _apply_continued,
}
