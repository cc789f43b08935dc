"""The executor of one node: sends each attempt to where its kind of task runs, and reports its end once.

All state here belongs to the engine's loop. Runners announce attempts about which there is something new; this
module looks at the attempt, not at the announcement, so announcing twice is harmless.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from understudy.context import attempt_hosts
from understudy.definitions import TaskDefinition, TaskKind
from understudy.errors import BadRequest
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import AttemptEnded, AttemptProgressed, Dispatch, Token
from understudy_runtime.core.ports import Clock, Having, Report
from understudy_runtime.execution import helpers
from understudy_runtime.execution.attempt import Attempt, Runner
from understudy_runtime.execution.child_process import is_child
from understudy_runtime.execution.figures import TaskFigures
from understudy_runtime.execution.handover import Handover
from understudy_runtime.execution.processes import Processes
from understudy_runtime.execution.threads import Threads
from understudy_runtime.execution.watching import Watching
from understudy_runtime.execution.wire import LogStyle
from understudy_runtime.execution.work_loop import Blocked, WorkLoop

PROGRESS_EVERY_S: Final = 1.0
"""An attempt's progress is reported at most this often, because every report is made durable."""
MAX_FIGURES: Final = 10_000
"""Tasks of which there are figures; of further ones there are none."""

_CANCELLED: Final = Failure("CancelledError", "the attempt was cancelled", kind="cancelled")
_INTERRUPTED: Final = Failure("CancelledError", "the node is stopping", kind="cancelled")


class Limits(msgspec.Struct, frozen=True):
    """How many attempts of each kind run at once on this node; more wait their turn."""

    coroutines: int = 1_000
    threads: int = 32
    processes: int = os.cpu_count() or 1


class LocalExecutor:
    """The `Executor` port on this machine. Used on the engine's loop only; `open` comes first.

    BadRequest in a child process of a node, where it would start children without end.
    """

    def __init__(
        self,
        tasks: Mapping[str, TaskDefinition],
        clock: Clock,
        *,
        node: str = "",
        limits: Limits | None = None,
        build: str = "",
        logs: LogStyle | None = None,
    ) -> None:
        if is_child():
            raise BadRequest(
                "a node cannot run inside a task's own process; if your script starts one when it is imported, "
                "put that under `if __name__ == '__main__':`"
            )
        self._tasks = tasks
        self._clock = clock
        self._node = node
        self._build = build
        self._limits = limits or Limits()
        self._logs = logs
        self._attempts: dict[Token, Attempt] = {}
        self._watching = Watching(clock, node=node, build=build)
        self._closing = self._closed = False
        self._idle = asyncio.Event()
        self.figures = {name: TaskFigures() for name in tasks}

    def open(self, report: Callable[[list[Report]], None]) -> None:
        """Start the work loop. From now on `report` gets what there is, in batches, and never from within a call."""
        self._report = report
        self._loop = asyncio.get_running_loop()
        helpers.install()
        attempt_hosts.add(self)
        self._outbox: Handover[Attempt] = Handover(self._loop, self._collect)
        self._work = WorkLoop(self._limits.coroutines, self._outbox)
        self._runners: dict[TaskKind, Runner] = {
            "async": self._work,
            "thread": Threads(self._limits.threads, self._work.run_coroutine),
            "process": Processes(self._limits.processes, self._logs),
        }
        self._watching.open(self._work, self._outbox, report)

    def start(self, dispatches: Sequence[Dispatch]) -> None:
        """Run these attempts as soon as there are slots. Nothing is started once the executor drains, but for what
        only this node can do: of a submit that is recorded and not begun nobody could tell whether it was made."""
        if self._closed:
            return
        if self._closing:
            dispatches = [dispatch for dispatch in dispatches if dispatch.local]
        batches: dict[Runner, list[Attempt]] = {}
        watches: list[tuple[Dispatch, TaskDefinition]] = []
        for dispatch in dispatches:
            definition = self._tasks.get(dispatch.task)
            if definition is None:
                self._refuse(dispatch)
                continue
            if dispatch.watch is not None:
                watches.append((dispatch, definition))
                continue
            runner = self._runners[definition.kind]
            attempt = Attempt(dispatch, definition, runner, self._clock, self._outbox.put)
            self._attempts[dispatch.token] = attempt
            if dispatch.options.queue_timeout_s is not None:
                self._loop.call_later(dispatch.options.queue_timeout_s, _end_unbegun, attempt)
            batches.setdefault(runner, []).append(attempt)
        for runner, attempts in batches.items():
            runner.start(attempts)
        if watches:
            self._watching.start(watches)

    def cancel(self, tokens: Sequence[Token]) -> None:
        """Ask attempts to end. Tokens that are not here have been reported already.

        An async task gets CancelledError, a process is killed; a thread cannot be interrupted, so its attempt is
        reported when it ends, by itself or because its next `heartbeat()` raises.
        """
        for token in tokens:
            attempt = self._attempts.get(token)
            if attempt is None:
                self._watching.cancel(token)
            elif attempt.cause is None:
                _end_early(attempt, _CANCELLED)

    def having(self, wanted: Callable[[str], bool]) -> Having:
        having = Having([], [token for token in self._watching if wanted(token.key)])
        for token, attempt in self._attempts.items():
            if wanted(token.key):
                # Of a submit or of a call of a driver nobody could tell later on that it had not begun.
                has_begun = attempt.placed or attempt.dispatch.local
                (having.begun if has_begun else having.unbegun).append(token)
        return having

    def count(self, task: str, failure: Failure | None, seconds: float) -> None:
        """Add an attempt that has ended, here or on another worker, to the figures."""
        figures = self.figures.get(task)
        if figures is None:
            if len(self.figures) >= MAX_FIGURES:
                return
            figures = self.figures[task] = TaskFigures()
        figures.note(failure, seconds)

    def offers(self) -> dict[TaskKind, tuple[frozenset[str], int]]:
        """By kind, the tasks there are and how many run at once."""
        limits = self._limits
        slots: dict[TaskKind, int] = {"async": limits.coroutines, "thread": limits.threads, "process": limits.processes}
        names = {kind: frozenset(n for n, task in self._tasks.items() if task.kind == kind) for kind in slots}
        return {kind: (names[kind], slots[kind]) for kind in slots if names[kind]}

    def blocked(self, threshold_s: float = 0.1) -> Blocked | None:
        """What keeps the work loop from answering for longer than that; to be called regularly."""
        return self._work.blocked(threshold_s)

    @property
    def has_attempts(self) -> bool:
        """May be read from any thread."""
        return bool(self._attempts)

    @property
    def load(self) -> tuple[int, int]:
        """How many attempts run, and how many wait for a slot. May be read from any thread."""
        attempts = list(self._attempts.values())
        running = sum(attempt.placed for attempt in attempts)
        return running, len(attempts) - running

    @property
    def watches(self) -> int:
        """How many things are watched."""
        return len(self._watching)

    @property
    def polling(self) -> bool:
        """Whether anything is being looked at just now. For the engine's loop."""
        return self._watching.polling or self._watching.untold

    @property
    def waiting(self) -> int:
        """Attempts on their way to the work loop, or back to the engine: not those that wait for a slot."""
        return self._work.waiting + self._outbox.waiting

    async def drain(self, grace_s: float) -> None:
        """Start nothing more that others can do, and let what runs end by itself for at most `grace_s`.

        Attempts that had not begun are not reported: the node's next incarnation dispatches them again.
        """
        self._closing = True
        self._watching.close()
        for attempt in list(self._attempts.values()):
            if attempt.cause is None and attempt.began_at is None and not attempt.dispatch.local:
                _end_early(attempt, _INTERRUPTED)
        await self._ended(grace_s)

    async def close(self, grace_s: float) -> None:
        """Start nothing more, cancel what runs, and wait for its clean-up for at most `grace_s`.

        Attempts that this interrupts are not reported: the node's next incarnation dispatches them again.
        """
        self._closing = self._closed = True
        self._watching.close()
        deadline = time.monotonic() + grace_s
        for attempt in list(self._attempts.values()):
            if attempt.cause is None:
                _end_early(attempt, _INTERRUPTED)
        await self._ended(grace_s)
        left_s = max(0.0, deadline - time.monotonic())
        await asyncio.gather(self._watching.end(left_s), *(runner.close(left_s) for runner in self._runners.values()))
        self._report = _ignore

    async def _ended(self, within_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._attempts or self._watching.polling:
                    self._idle.clear()
                    await self._idle.wait()

    # --- what comes back

    def _collect(self, attempts: list[Attempt]) -> None:
        reports: list[Report] = []
        for attempt in attempts:
            attempt.announced = False
            if attempt.finished and attempt.placed and not attempt.left:
                attempt.left = True
                attempt.runner.left(attempt)
            if attempt.reported:
                continue
            if attempt.watched:
                if attempt.finished or attempt.overdue:
                    self._watching.polled(attempt, reports)
                continue
            if attempt.finished or attempt.overdue:
                self._end(attempt, reports)
            else:
                self._progress(attempt, reports)
        for runner in self._runners.values():
            runner.fill()
        self._watching.fill()
        self._idle.set()
        if reports:
            self._report(reports)

    def _end(self, attempt: Attempt, reports: list[Report]) -> None:
        dispatch = attempt.dispatch
        attempt.reported = True
        del self._attempts[dispatch.token]
        if attempt.throttle is not None:
            attempt.throttle.cancel()
        failure = attempt.failure if attempt.finished else attempt.cause
        if failure is not None:
            if attempt.cause is _INTERRUPTED:
                return
            self._flush(attempt, reports)
        ended_at = attempt.ended_at if attempt.finished else self._clock.now()
        self.count(dispatch.task, failure, max(0.0, ended_at - attempt.started_at) if attempt.started_at else 0.0)
        reports.append(
            AttemptEnded(
                dispatch.token, attempt.result, failure, "", self._node, attempt.started_at, ended_at, self._build
            )
        )

    def _progress(self, attempt: Attempt, reports: list[Report]) -> None:
        """Report it now if the last report is long enough ago, else when it will be."""
        if attempt.throttle is None:
            self._flush(attempt, reports)
            attempt.throttle = self._loop.call_later(PROGRESS_EVERY_S, self._unthrottle, attempt)

    def _flush(self, attempt: Attempt, reports: list[Report]) -> None:
        progress = attempt.progress
        if progress is not None and progress is not attempt.reported_progress:
            attempt.reported_progress = progress
            reports.append(AttemptProgressed(attempt.dispatch.token, progress))

    def _unthrottle(self, attempt: Attempt) -> None:
        attempt.throttle = None
        if attempt.progress is not attempt.reported_progress:
            self._collect([attempt])

    def _refuse(self, dispatch: Dispatch) -> None:
        known = ", ".join(sorted(self._tasks)[:20]) or "none"
        message = f"no task named {dispatch.task!r} in this app (it has: {known}); was it renamed or removed?"
        now = self._clock.now()
        failure = Failure("UnknownName", message, final=True)
        ended = AttemptEnded(dispatch.token, failure=failure, node=self._node, started_at=now, ended_at=now)
        reports: list[Report] = [ended]
        self._loop.call_soon(self._report, reports)


def _end_early(attempt: Attempt, cause: Failure) -> None:
    attempt.cause = cause
    if attempt.placed:
        attempt.runner.cancel(attempt)
    else:
        attempt.failure = cause
        attempt.finish()


def _end_unbegun(attempt: Attempt) -> None:
    """Its queue timeout has passed."""
    if attempt.began_at is None and attempt.cause is None and not attempt.finished:
        waited_s = attempt.dispatch.options.queue_timeout_s
        why = f"it waited for a free slot for {waited_s:g} s (its queue timeout)"
        _end_early(attempt, Failure("TaskTimedOut", why, kind="timeout"))


def _ignore(reports: list[Report]) -> None:
    """Whoever listened is gone."""
