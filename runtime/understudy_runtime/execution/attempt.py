"""One attempt while the executor has it: what was asked, how far it is, how it ended.

It is also the `AttemptContext` that user code sees. Three parties write to it, each its own fields: the engine's
loop (`cause` of a cancellation, what was reported), whoever runs the body (`began`, the outcome), and
the body's thread (`heartbeat`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Raw

from understudy.context import TaskInfo, attempt_hosts, current_attempt
from understudy.definitions import TaskDefinition
from understudy.errors import BadRequest
from understudy_runtime.core.kinds import NULL, Failure
from understudy_runtime.core.messages import Dispatch
from understudy_runtime.core.ports import Clock
from understudy_runtime.execution.context import encode_progress, info_of
from understudy_runtime.execution.failures import failure_of

if TYPE_CHECKING:
    from understudy_runtime.execution.watching import Watched


class Runner(Protocol):
    """A kind of place where attempts run. Called on the engine's loop only."""

    def start(self, attempts: list[Attempt]) -> None:
        """Run them as slots become free, first come first served."""
        ...

    def cancel(self, attempt: Attempt) -> None:
        """Make the body of an attempt whose `cause` was just set end, if that is possible."""
        ...

    def left(self, attempt: Attempt) -> None:
        """The body has ended: its slot is free."""
        ...

    def fill(self) -> None:
        """Use the slots that have become free."""
        ...

    async def close(self, grace_s: float) -> None: ...


class Attempt:
    """`announce(attempt)` tells the executor, from any thread, that there is something new about it."""

    __slots__ = (
        "announce",
        "announced",
        "beat_at",
        "began_at",
        "cause",
        "clock",
        "definition",
        "dispatch",
        "ended_at",
        "failure",
        "finished",
        "left",
        "overdue",
        "placed",
        "progress",
        "reported",
        "reported_progress",
        "result",
        "runner",
        "started_at",
        "task",
        "throttle",
        "timer",
        "watched",
    )

    def __init__(
        self,
        dispatch: Dispatch,
        definition: TaskDefinition,
        runner: Runner,
        clock: Clock,
        announce: Callable[[Attempt], None],
    ) -> None:
        self.dispatch = dispatch
        self.definition = definition
        self.runner = runner
        self.clock = clock
        self.announce = announce
        self.placed = False
        """It has a slot."""
        self.began_at: float | None = None
        """By the monotonic clock; None until the body runs."""
        self.beat_at = 0.0
        self.started_at = 0.0
        self.ended_at = 0.0
        self.cause: Failure | None = None
        """Why it is being ended before its time."""
        self.result: Raw = NULL
        self.failure: Failure | None = None
        self.finished = False
        """The body has ended (or never will begin)."""
        self.overdue = False
        """It is reported before its body has ended."""
        self.left = False
        self.reported = False
        self.progress: Raw | None = dispatch.progress
        self.reported_progress = dispatch.progress
        self.announced = False
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.throttle: asyncio.TimerHandle | None = None
        self.watched: tuple[Watched, ...] = ()
        """What it polls, if it is a poll; see `watching`."""

    # --- what user code sees

    @property
    def info(self) -> TaskInfo:
        return info_of(self.dispatch)

    def heartbeat(self, progress: Any) -> None:
        """Asyncio's CancelledError in an attempt that is to end, so that a thread has a way to learn it.

        BadRequest where nothing would come of it: after the attempt's end, or in a process forked from this one.
        """
        if self.finished:
            raise BadRequest(f"heartbeat() came after this attempt of {self.dispatch.task} had ended")
        if not attempt_hosts:
            raise BadRequest("heartbeat() was called in a process that the task has forked; call it in the task's own")
        if self.cause is not None and self.task is None:
            raise asyncio.CancelledError(self.cause.message)
        self.note(encode_progress(progress))

    # --- for those who run it

    def note(self, progress: Raw) -> None:
        self.beat_at = time.monotonic()
        if progress != self.progress:
            self.progress = progress
            if not self.announced:
                self.announced = True
                self.announce(self)

    def context(self) -> Context:
        """A fresh context for the body, in which `current_attempt` is this one."""
        context = Context()
        context.run(current_attempt.set, self)
        return context

    def begin(self) -> None:
        self.began_at = self.beat_at = time.monotonic()
        self.started_at = self.clock.now()

    def put_back(self) -> None:
        """It has not begun after all, and waits again."""
        self.placed, self.began_at = False, None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def fail(self, error: BaseException) -> None:
        """The body raised. A timeout stands whatever came of it; a cancellation only if that is what came of it."""
        cause = self.cause
        if cause is not None and (cause.kind == "timeout" or isinstance(error, asyncio.CancelledError)):
            self.failure = cause
        else:
            self.failure = failure_of(error, self.definition, self.dispatch.options)

    def finish(self) -> None:
        """The body has ended, and `result` or `failure` says how: tell the executor."""
        self.settle()
        self.announce(self)

    def settle(self) -> None:
        """The same, for a runner that announces many at once."""
        if self.timer is not None:
            self.timer.cancel()
        if self.cause is not None and self.cause.kind == "timeout":
            self.failure = self.cause
        self.ended_at = self.clock.now()
        self.finished = True


# --- timeouts


def watch(loop: asyncio.AbstractEventLoop, attempt: Attempt, expired: Callable[[Attempt], None]) -> None:
    """Call `expired`, with the attempt's `cause` set, on `loop` when it has run or been silent for too long.

    One timer serves both limits: a heartbeat moves nothing, the timer looks when it fires.
    """
    options = attempt.dispatch.options
    if options.timeout_s is not None or options.heartbeat_s is not None:
        _look(loop, attempt, expired)


def _look(loop: asyncio.AbstractEventLoop, attempt: Attempt, expired: Callable[[Attempt], None]) -> None:
    if attempt.finished:
        return
    options, now = attempt.dispatch.options, time.monotonic()
    assert attempt.began_at is not None
    end = None if options.timeout_s is None else attempt.began_at + options.timeout_s
    silent = None if options.heartbeat_s is None else attempt.beat_at + options.heartbeat_s
    if end is not None and now >= end:
        message = f"still running {options.timeout_s:g} s after its start (its timeout)"
    elif silent is not None and now >= silent:
        message = f"no heartbeat for {options.heartbeat_s:g} s"
    else:
        due = min(at for at in (end, silent) if at is not None)
        attempt.timer = loop.call_later(due - now, _look, loop, attempt, expired)
        return
    attempt.cause = Failure("TaskTimedOut", message, kind="timeout")
    expired(attempt)
