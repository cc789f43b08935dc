"""The machine of schedules: an actor that starts runs at nominal times, and hears of their end.

    (absent) ──SetSchedule──► active ──PauseSchedule──► paused      TimerDue, at `next` and its jitter: one nominal
        ▲                       │  ▲                      │          time after the other is decided on (starting.py)
        └─────DeleteSchedule────┴──┴────ResumeSchedule────┘          Answer: a run of the schedule has ended

The journal is authoritative for which nominal times have been decided on: `next` is the first that has not. A run's id
is made of its nominal time and its start is a durable message of the deciding turn, so that whatever fails, each
nominal time has at most one run. While no node runs, nominal times pass; the first turn after that finds `next` in the
past and goes by the catch-up policy. A paused schedule lets them pass for good: a backfill makes up for them.

Between nominal times a schedule is a row with a time to wake up at, and need not be in memory.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from understudy_runtime.core.messages import ActorFacts, AnyMessage, Decision, ReplayFrom, TimerDue
from understudy_runtime.core.ports import Calendar
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.schedule.apply import APPLY
from understudy_runtime.core.schedule.decide import DECIDE, go_on, not_for_schedules
from understudy_runtime.core.schedule.state import ScheduleState
from understudy_runtime.core.schedule.times import due_at

__all__ = ["ScheduleMachine", "ScheduleState"]


class ScheduleMachine:
    """`Machine` for schedules; see the module docstring.

    Of a node that does not mind them they are `resting`: no nominal time is decided on, so that the next node finds in
    the past what was due meanwhile. What was decided on before, or asked for by a person, goes on as all runs do.
    """

    def __init__(self, calendar: Calendar, *, resting: bool = False) -> None:
        self._calendar = calendar
        self._resting = resting

    def initial(self, key: str) -> ScheduleState:
        return ScheduleState(key)

    def decide(self, state: ScheduleState, message: AnyMessage, now: float) -> Decision:
        if self._resting and type(message) is TimerDue:
            return go_on(state, self._calendar)
        return DECIDE.get(type(message), not_for_schedules)(state, message, now, self._calendar)

    def apply(self, state: ScheduleState, record: AnyRecord, at: float, seq: int) -> None:
        if seq != state.last_seq:
            state.last_seq = seq
            state.turns += 1
        APPLY[type(record)](state, record, at)

    def next_duty(self, state: ScheduleState) -> float | None:
        if state.spec is None:
            return None
        busy = bool(state.running)
        if (state.ranges and not state.ranges[0].waits(busy)) or (state.buffer and not busy):
            return 0.0
        return None if state.paused or state.next is None else due_at(state.key, state.spec, state.next)

    def facts(self, state: ScheduleState) -> ActorFacts:
        if state.spec is None:
            return ActorFacts("", "deleted" if state.turns else "", 1, "", False, state.deleted_at)
        return ActorFacts(state.spec.workflow, "paused" if state.paused else "active", 1, "", False)

    def replay_from(self, state: ScheduleState) -> ReplayFrom | None:
        return None

    def value(self, state: ScheduleState) -> Raw | None:
        return None

    def encode(self, state: ScheduleState) -> bytes:
        return _encode(state)

    def decode(self, data: bytes) -> ScheduleState:
        return _decode(data)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ScheduleState).decode
