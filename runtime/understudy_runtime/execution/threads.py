"""Plain functions: each runs in a daemon thread of a counted pool.

A thread cannot be interrupted. A cancelled attempt ends when its function does, and `heartbeat()` raises in it so that
it can; one that timed out is reported at once, and its thread stays taken until the function returns. The
threads are daemons, so that a function that never returns cannot keep the process from ending.
"""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue

from understudy_runtime.execution.attempt import Attempt, watch
from understudy_runtime.execution.failures import decode_call, encode_result
from understudy_runtime.execution.lane import Lane


class Threads:
    """A `Runner` of `def` tasks. Threads are made when they are first needed, and kept."""

    def __init__(self, slots: int) -> None:
        self._lane = Lane(slots, self._begin)
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Attempt | None] = SimpleQueue()
        self._taken = 0
        self._threads = 0

    def start(self, attempts: list[Attempt]) -> None:
        self._lane.start(attempts)

    def cancel(self, attempt: Attempt) -> None:
        """Nothing to do: its next heartbeat will see the cause."""

    def left(self, attempt: Attempt) -> None:
        self._taken -= 1
        self._lane.left()

    def fill(self) -> None:
        self._lane.fill()

    async def close(self, grace_s: float) -> None:
        for _ in range(self._threads):
            self._jobs.put(None)

    def _begin(self, attempts: list[Attempt]) -> None:
        self._taken += len(attempts)
        for _ in range(self._taken - self._threads):
            self._threads += 1
            threading.Thread(target=self._work, name=f"understudy-task-{self._threads}", daemon=True).start()
        for attempt in attempts:
            attempt.begin()
            watch(self._loop, attempt, _time_out)
            self._jobs.put(attempt)

    def _work(self) -> None:
        while (attempt := self._jobs.get()) is not None:
            attempt.context().run(_run, attempt)
            attempt.finish()


def _run(attempt: Attempt) -> None:
    try:
        definition = attempt.definition
        args, kwargs = decode_call(definition, attempt.dispatch.args)
        attempt.result = encode_result(definition, definition.fn(*args, **kwargs))
    except BaseException as error:
        attempt.fail(error)


def _time_out(attempt: Attempt) -> None:
    attempt.overdue = True
    attempt.announce(attempt)
