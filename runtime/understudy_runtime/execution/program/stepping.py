"""`Stepper`: the turns of a program's loop, until its `main` and all that it left behind have ended.

Two things end a program although its loop would not end by itself:

* `SystemExit` and `KeyboardInterrupt` of any task or callback leave the loop's turn, as they end an `asyncio.run`.
  `main` is cancelled, so that its clean-up code runs, and the program ends with that error. Once `main` is over its
  outcome stands, whatever what it left behind raises: that is a warning.
* When `main` is over, what it left behind (tasks, async generators) is cancelled and has a bounded time to end in
  (`CLEAN_UP_S`). After that it is cut off, with a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from understudy_runtime.core.records.programs import TimerSet, Warned
from understudy_runtime.execution.program.calls import Calls
from understudy_runtime.execution.program.loop import WorkflowLoop
from understudy_runtime.execution.program.tasks import RunTask

CLEAN_UP_S: Final = 10.0
"""Seconds in which what a workflow (or an actor's handler) left behind must have ended, once that has returned. Time
in which it awaits calls (tasks, runs, asks, leases) does not count."""
CLEAN_UP_WITH_CALLS_S: Final = 3600.0
"""Seconds in which it must have ended, whatever it awaits."""
EXITS_MAX: Final = 64
"""So often a turn may be left by `SystemExit` or `KeyboardInterrupt` before what is left is cut off."""


class Stepper:
    """Steps one loop. `main` is set by whoever starts it; `exited` is what was raised to end all of the program."""

    def __init__(self, loop: WorkflowLoop, calls: Calls) -> None:
        self._loop = loop
        self._calls = calls
        self.main: RunTask[Any] | None = None
        self.exited: BaseException | None = None
        self.timer: float | None = None
        """For when the machine has been asked to wake this program."""
        self._warned = 0
        self._ending_at: float | None = None
        self._cut_off_at: float | None = None
        self._is_cut_off = False

    def turn(self, now: float, deliver: Callable[[], object] | None = None) -> None:
        """One turn of the loop. Stalled, as the loop raises it; nothing else, but faults of ours."""
        for _ in range(EXITS_MAX):
            try:
                self._calls.turn(now, deliver)
            except (SystemExit, KeyboardInterrupt) as error:
                deliver = self._exit(error)
            else:
                return
        self._loop.warn("the program was cut off, because its tasks raised SystemExit or KeyboardInterrupt for ever")
        self._is_cut_off = True

    def _exit(self, error: BaseException) -> Callable[[], object] | None:
        """What is to be done about it in the next turn."""
        main = self.main
        if main is None or main.done() or self.exited is not None:
            return None
        self.exited = error
        return main.cancel

    def is_over(self, now: float) -> bool:
        """Whether all has ended, or is cut off. Called after the turns of an activation."""
        if self._loop.ended or self._is_cut_off:
            return True
        if self.main is None or not self.main.done():
            return False
        if self._cut_off_at is not None and now >= self._cut_off_at:
            left = [task.get_name() for task in self._loop.tasks if not task.done()]
            self._loop.warn(f"clean-up was cut off, because it did not end in time: {', '.join(left)}")
            return True
        self._bound(now)
        return False

    def _bound(self, now: float) -> None:
        if self._ending_at is None:
            self._ending_at = now
        last = self._ending_at + CLEAN_UP_WITH_CALLS_S
        if len(self._calls):
            self._cut_off_at = last
        elif self._cut_off_at is None or self._cut_off_at == last:
            self._cut_off_at = min(last, now + CLEAN_UP_S)

    def note(self, *, over: bool) -> None:
        """Append what the machine is to know after an activation: warnings and, unless it is `over`, the timer."""
        commands, warnings = self._calls.commands, self._loop.warnings
        while self._warned < len(warnings):
            commands.append(Warned(warnings[self._warned]))
            self._warned += 1
        if over:
            return
        deadline = self._loop.next_deadline()
        if self._cut_off_at is not None and (deadline is None or self._cut_off_at < deadline):
            deadline = self._bounded(deadline, self._cut_off_at)
        if deadline != self.timer:
            self.timer = deadline
            self._calls.commands.append(TimerSet(deadline))

    def _bounded(self, deadline: float | None, bound: float) -> float | None:
        """The bound; or, where a journal is repeated that was written before there was one, the deadline without it."""
        if bound == self.timer or self._calls.has_set_timer(bound):
            return bound
        self._cut_off_at = None
        return deadline
