"""Tasks with `isolate="process"`: a pool of child processes, started on demand, kept warm, replaced when they die.

A child works on one attempt at a time. Short tasks are sent ahead of need, so that a child goes on while the
node is busy; what waits behind a task that turns out to be long is recalled. A child is killed to cancel or
time out the attempt it works on. Of the attempts a dead child had, the first may have run and is reported
(`lost` if nobody wanted its end); the others certainly did not begin and go to another child.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import Final

from understudy_runtime.core.kinds import Failure
from understudy_runtime.execution.attempt import Attempt, watch
from understudy_runtime.execution.child_process import ChildProcess
from understudy_runtime.execution.wire import (
    Beat,
    Began,
    Done,
    FrameTooLarge,
    FromChild,
    LogStyle,
    Recall,
    Recalled,
    Run,
)

AHEAD_S: Final = 0.05
"""A child is sent at most so much work ahead of need, by what the task took so far, and it is recalled after that."""
AHEAD_MAX: Final = 16
LOAD_TIMEOUT_S: Final = 60.0
"""How long a child may take to start and to import the task's module; the task's own timeout counts from then."""
LEAST_GRACE_S: Final = 1.0
"""How long killed children may take to be gone when the executor is closed."""


class Processes:
    """A `Runner` of tasks in child processes."""

    def __init__(self, size: int, logs: LogStyle | None = None) -> None:
        self._size = size
        self._logs = logs
        self._loop = asyncio.get_running_loop()
        self._children: list[ChildProcess] = []
        self._waiting: deque[Attempt] = deque()
        self._child_of: dict[Attempt, ChildProcess] = {}
        self._took_s: dict[str, float] = {}
        self._sweeping = False
        self._closing = False
        self._fewer = asyncio.Event()

    # --- the runner

    def start(self, attempts: list[Attempt]) -> None:
        self._waiting.extend(attempts)
        self.fill()

    def cancel(self, attempt: Attempt) -> None:
        """Kill the child that works on it, or take it back from where it has not begun."""
        child = self._child_of.get(attempt)
        if child is None:
            return
        if child.jobs[0][1] is attempt:
            child.kill()
        else:
            self._recall(child)

    def left(self, attempt: Attempt) -> None:
        """Children are given work as soon as they say that they are done."""

    def fill(self) -> None:
        while self._waiting:
            if self._waiting[0].finished:  # cancelled while it waited
                self._waiting.popleft()
                continue
            child = self._free_child(self._waiting[0])
            if child is None:
                return
            self._give(child, self._waiting.popleft())

    async def close(self, grace_s: float) -> None:
        self._closing = True
        self._waiting.clear()
        for child in list(self._children):
            child.kill()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(grace_s, LEAST_GRACE_S)):
                while self._children:
                    self._fewer.clear()
                    await self._fewer.wait()

    # --- giving work

    def _free_child(self, attempt: Attempt) -> ChildProcess | None:
        """An idle child, else a new one, else the least busy one that may be given this ahead of need."""
        alive = [child for child in self._children if not child.dying]
        least = min(alive, key=lambda child: len(child.jobs), default=None)
        if least is not None and not least.jobs:
            return least
        if len(self._children) < self._size and not self._closing:
            return self._spawn()
        if least is None or least.recalling or len(least.jobs) > self._ahead(least):
            return None
        return least

    def _ahead(self, child: ChildProcess) -> int:
        head = child.jobs[0][1]
        took_s = self._took_s.get(head.definition.name)
        if took_s is None or head.began_at is None or time.monotonic() - head.began_at > AHEAD_S:
            return 0
        return min(AHEAD_MAX, int(AHEAD_S / max(took_s, 1e-6)))

    def _spawn(self) -> ChildProcess:
        child = ChildProcess(self._loop, self._heard, self._gone, self._logs)
        self._children.append(child)
        return child

    def _give(self, child: ChildProcess, attempt: Attempt) -> None:
        child.sent += 1
        try:
            child.send(Run(child.sent, attempt.definition.target, attempt.dispatch))
        except FrameTooLarge as error:
            attempt.begin()
            attempt.failure = Failure("BadInput", f"the arguments are {error}", final=True)
            attempt.finish()
            return
        attempt.placed = True
        self._child_of[attempt] = child
        child.jobs.append((child.sent, attempt))
        if len(child.jobs) == 1:
            self._head(child)
        elif not self._sweeping:
            self._sweeping = True
            self._loop.call_later(AHEAD_S, self._sweep)

    def _head(self, child: ChildProcess) -> None:
        """The child turns to its next attempt, if it has one."""
        if not child.jobs:
            return
        attempt = child.jobs[0][1]
        if attempt.cause is not None:
            child.kill()
        elif attempt.definition.target in child.loaded:
            self._begin(attempt)
        elif attempt.timer is None:
            attempt.timer = self._loop.call_later(LOAD_TIMEOUT_S, self._stop_loading, attempt)

    def _begin(self, attempt: Attempt) -> None:
        if attempt.timer is not None:
            attempt.timer.cancel()
        attempt.begin()
        watch(self._loop, attempt, self.cancel)

    def _stop_loading(self, attempt: Attempt) -> None:
        path, name = attempt.definition.target
        message = f"a child process did not load {path}:{name} within {LOAD_TIMEOUT_S:g} s"
        attempt.cause = Failure("TaskTimedOut", message, kind="timeout")
        self.cancel(attempt)

    # --- taking it back

    def _sweep(self) -> None:
        """Recall what waits behind a task that takes longer than was thought."""
        ahead = [child for child in self._children if len(child.jobs) > 1 and not child.dying]
        for child in ahead:
            if not self._ahead(child):
                self._recall(child)
        self._sweeping = bool(ahead)
        if ahead:
            self._loop.call_later(AHEAD_S, self._sweep)

    def _recall(self, child: ChildProcess) -> None:
        if not child.recalling:
            child.recalling = True
            child.send(Recall())

    def _put_back(self, attempts: list[Attempt]) -> None:
        for attempt in reversed(attempts):
            del self._child_of[attempt]
            attempt.put_back()
            if attempt.cause is not None:
                attempt.failure = attempt.cause
                attempt.finish()
            else:
                self._waiting.appendleft(attempt)

    # --- what children say

    def _heard(self, child: ChildProcess, messages: list[FromChild]) -> None:
        for message in messages:
            match message:
                case Began():
                    attempt = child.jobs[0][1]
                    child.loaded.add(attempt.definition.target)
                    self._begin(attempt)
                case Beat():
                    child.jobs[0][1].note(message.progress)
                case Done():
                    self._done(child, message)
                case Recalled():
                    self._recalled(child, set(message.numbers))
        self.fill()

    def _done(self, child: ChildProcess, done: Done) -> None:
        attempt = child.jobs.popleft()[1]
        del self._child_of[attempt]
        if attempt.began_at is None:  # its module could not be loaded
            attempt.begin()
        self._learn(attempt.definition.name, done.took_s)
        if done.progress is not None:
            attempt.progress = done.progress
        attempt.result, attempt.failure = done.result, done.failure
        attempt.finish()
        if not child.dying:
            self._head(child)

    def _learn(self, task: str, took_s: float) -> None:
        self._took_s[task] = 0.8 * self._took_s.get(task, took_s) + 0.2 * took_s

    def _recalled(self, child: ChildProcess, numbers: set[int]) -> None:
        """What has begun before it could be recalled stays; even the first may come back, if all were just sent."""
        child.recalling = False
        back = [attempt for number, attempt in child.jobs if number in numbers]
        child.jobs = deque(job for job in child.jobs if job[0] not in numbers)
        self._put_back(back)
        if child.jobs:
            head = child.jobs[0][1]
            if head.cause is not None or head.began_at is None:
                self._head(child)

    def _gone(self, child: ChildProcess) -> None:
        self._children.remove(child)
        self._fewer.set()
        if child.jobs:
            first = child.jobs.popleft()[1]
            del self._child_of[first]
            self._lose(first, child)
            self._put_back([attempt for _, attempt in child.jobs])
        if not self._closing:
            self.fill()

    def _lose(self, attempt: Attempt, child: ChildProcess) -> None:
        if attempt.began_at is None:
            attempt.begin()
        message = f"the process it ran in {child.how_it_ended()}"
        attempt.failure = attempt.cause or Failure("ProcessLost", message, kind="lost")
        attempt.finish()
