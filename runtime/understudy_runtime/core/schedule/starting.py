"""How a nominal time becomes a run: the overlap policies, what is kept for later, and ranges that are made up for.

    a nominal time ──► RunScheduled    nothing is in its way, or whatever is may stay
                  ├──► RunBuffered     it starts when the runs in its way have ended, of themselves or told to
                  └──► RunPassedOver   it never starts

A run is started by a durable `Start`, which leaves with the turn that records it: there is no moment at which one of
the two is true without the other. Its end comes back as an `Answer` to the `Sender` that the start names.
"""

from __future__ import annotations

from typing import Final

import msgspec

from understudy.scheduling import Overlap, ScheduledRun, ScheduleSpec, scheduled_run_id
from understudy_runtime.core.keys import id_of, namespace_of, run_key
from understudy_runtime.core.kinds import Sender
from understudy_runtime.core.messages import Cancel, Decision, Send, Start, Terminate
from understudy_runtime.core.ports import Calendar
from understudy_runtime.core.records.schedules import RangeAdvanced, RunBuffered, RunPassedOver, RunScheduled, Why
from understudy_runtime.core.schedule.state import MAX_BUFFERED, MAX_RUNNING, Kept, Range, ScheduleState
from understudy_runtime.core.schedule.times import next_time, up_to

MAX_PER_TURN: Final = 64
"""Nominal times decided on in one turn; the rest are due at once."""
_MAX_KEPT: Final[dict[Overlap, int]] = {"buffer": MAX_BUFFERED, "buffer_one": 1}


class Plan:
    """The starts of one turn on their way into a decision, and how the schedule will stand after them."""

    def __init__(self, state: ScheduleState, spec: ScheduleSpec, calendar: Calendar, decision: Decision) -> None:
        self.state = state
        self.spec = spec
        self.calendar = calendar
        self.decision = decision
        self.running: dict[int, ScheduledRun] = dict(state.running)
        self.kept: list[Kept] = list(state.buffer)
        self.ranges: list[Range] = list(state.ranges)
        self.call = state.calls
        self.taken = 0

    @property
    def busy(self) -> bool:
        return bool(self.running)

    @property
    def full(self) -> bool:
        return self.taken >= MAX_PER_TURN

    def begin(self, range_: Range) -> None:
        self.ranges.append(range_)

    # --- one nominal time

    def take(self, nominal: float, why: Why, overlap: Overlap) -> None:
        self.taken += 1
        in_the_way = self.busy or (overlap in _MAX_KEPT and bool(self.kept))
        if overlap == "allow" or not in_the_way:
            self._start_or_pass_over(nominal, why)
        elif len(self.kept) < _MAX_KEPT.get(overlap, 0):
            self._keep(nominal, why)
        elif overlap in ("cancel", "terminate"):
            self._end_all(overlap)
            self.kept.clear()
            self._keep(nominal, why, alone=True)
        else:
            self._pass_over(nominal, why)

    def trigger(self, now: float, idempotency_key: str) -> str:
        """Start one now; its run id."""
        return self._start(now, "trigger", idempotency_key=idempotency_key)

    def _start_or_pass_over(self, nominal: float, why: Why) -> None:
        if len(self.running) < MAX_RUNNING:
            self._start(nominal, why)
        else:
            self._pass_over(nominal, why)

    def _start(self, nominal: float, why: Why, *, buffered: bool = False, idempotency_key: str = "") -> str:
        self.call += 1
        key, spec, call = self.state.key, self.spec, self.call
        run_id = scheduled_run_id(id_of(key), nominal, call if why == "trigger" else 0)
        start = Start(
            spec.workflow,
            spec.input,
            spec.digest,
            spec.build,
            deadline_s=spec.deadline_s,
            parent=Sender(key, 1, call),
            idempotency_key=f"{key}:{call}",
        )
        self.running[call] = ScheduledRun(run_id, nominal, why)
        self.decision.append.append(RunScheduled(call, run_id, nominal, why, buffered, idempotency_key))
        self.decision.send.append(Send(run_key(namespace_of(key), run_id), start))
        return run_id

    def _keep(self, nominal: float, why: Why, *, alone: bool = False) -> None:
        self.kept.append(Kept(nominal, why))
        self.decision.append.append(RunBuffered(nominal, why, alone))

    def _pass_over(self, nominal: float, why: Why) -> None:
        self.decision.append.append(RunPassedOver(nominal, why))

    def _end_all(self, how: Overlap) -> None:
        reason = "the schedule's next run is due"
        namespace = namespace_of(self.state.key)
        for run in self.running.values():
            message = Cancel(reason) if how == "cancel" else Terminate(reason)
            self.decision.send.append(Send(run_key(namespace, run.run_id), message))

    # --- what waits

    def go_on(self) -> None:
        """Ranges as far as they may go now, then the first of those kept if nothing is in its way."""
        while self.ranges and not self.full and not self.ranges[0].waits(self.busy):
            self._advance(self.ranges[0])
        if self.kept and not self.busy:
            kept = self.kept.pop(0)
            self._start(kept.nominal_at, kept.why, buffered=True)

    def _advance(self, range_: Range) -> None:
        at: float | None = range_.next
        while at is not None and not self.full and not range_.waits(self.busy):
            self.take(at, range_.why, range_.overlap if range_.overlap != "buffer" else "allow")
            at = up_to(range_.until, next_time(self.calendar, self.spec, at))
        self.decision.append.append(RangeAdvanced(at))
        if at is None:
            del self.ranges[0]
        else:
            self.ranges[0] = msgspec.structs.replace(range_, next=at)
