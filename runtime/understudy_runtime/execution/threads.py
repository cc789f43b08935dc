"""Plain functions: each runs in a daemon thread of a counted pool.

A thread cannot be interrupted. A cancelled attempt ends when its function does, and `heartbeat()` raises in it so that
it can; one that timed out is reported at once, and its thread stays taken until the function returns. The
threads are daemons, so that a function that never returns cannot keep the process from ending.

A function that gives a coroutine (a plain wrapper around an `async def` does) has it run on the work loop, where all
coroutines of user code run; its thread waits for it, and a cancellation reaches it there.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from queue import SimpleQueue
from typing import Any

from understudy_runtime.execution.attempt import Attempt, watch
from understudy_runtime.execution.failures import decode_call, encode_result
from understudy_runtime.execution.lane import Lane

RunCoroutine = Callable[[Coroutine[Any, Any, Any]], Future[Any]]


class Threads:
    """A `Runner` of `def` tasks. Threads are made when they are first needed, and kept."""

    def __init__(self, slots: int, run_coroutine: RunCoroutine) -> None:
        self._run_coroutine = run_coroutine
        self._awaited: dict[Attempt, Future[Any]] = {}
        self._lane = Lane(slots, self._begin)
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Attempt | None] = SimpleQueue()
        self._taken = 0
        self._threads = 0

    def start(self, attempts: list[Attempt]) -> None:
        self._lane.start(attempts)

    def cancel(self, attempt: Attempt) -> None:
        """A coroutine is cancelled; in a plain function its next heartbeat will see the cause."""
        awaited = self._awaited.get(attempt)
        if awaited is not None:
            awaited.cancel()

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
            watch(self._loop, attempt, self._time_out)
            self._jobs.put(attempt)

    def _work(self) -> None:
        while (attempt := self._jobs.get()) is not None:
            attempt.context().run(self._run, attempt)
            attempt.finish()

    def _run(self, attempt: Attempt) -> None:
        try:
            definition = attempt.definition
            args, kwargs = decode_call(definition, attempt.dispatch.args)
            value = definition.fn(*args, **kwargs)
            if isinstance(value, Coroutine):
                value = self._result_of(attempt, value)  # pyright: ignore[reportUnknownArgumentType]
            attempt.result = encode_result(definition, value)
        except BaseException as error:
            attempt.fail(error)

    def _result_of(self, attempt: Attempt, coroutine: Coroutine[Any, Any, Any]) -> Any:
        self._awaited[attempt] = awaited = self._run_coroutine(coroutine)
        try:
            if attempt.cause is not None:
                awaited.cancel()
            return awaited.result()
        except CancelledError as cancelled:
            raise asyncio.CancelledError from cancelled
        finally:
            del self._awaited[attempt]

    def _time_out(self, attempt: Attempt) -> None:
        self.cancel(attempt)
        attempt.overdue = True
        attempt.announce(attempt)
