"""The work loop: one thread with one asyncio loop for all coroutines of user code.

The engine's loop hands attempts over in batches and takes their ends back the same way: those of one iteration of
the work loop together. An attempt costs one asyncio task and no lock, future or log line. Nothing user code does
ends the thread: a SystemExit that escapes into the loop fails whoever awaits it, and the loop goes on.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import sysconfig
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from types import FrameType
from typing import Any, Final

import msgspec

from understudy_runtime.core.messages import Token
from understudy_runtime.execution.attempt import Attempt, watch
from understudy_runtime.execution.failures import decode_call, encode_result
from understudy_runtime.execution.handover import Handover
from understudy_runtime.execution.lane import Lane

UNWIND_S: Final = 10.0
"""How long a task that timed out may go on cleaning up before it is reported all the same."""
LEAST_GRACE_S: Final = 0.2
"""What an idle loop may take to end, even when user code has used up the grace."""
LEFTOVERS_S: Final = 1.0
"""How long what user code left behind on the loop may take to end when the loop is closed."""

_LIBRARIES: Final = ("<frozen ", *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class Blocked(msgspec.Struct, frozen=True):
    """The work loop has not answered for `lag_s`, because `task` is at `where` (file:line in function) of user code."""

    lag_s: float
    task: str
    where: str
    token: Token | None = None


class WorkLoop:
    """A `Runner` of `async def` tasks."""

    def __init__(self, slots: int, outbox: Handover[Attempt]) -> None:
        self._lane = Lane(slots, self.begin)
        self._loop = new_loop()
        self._inbox: Handover[Attempt] = Handover(self._loop, self._take)
        self._outbox = outbox
        self._settled: list[Attempt] = []
        self._unbegun = 0
        self._running: set[Attempt] = set()
        self._engine = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._main, name="understudy-work", daemon=True)
        self._thread.start()

    # --- on the engine's loop

    def start(self, attempts: list[Attempt]) -> None:
        self._lane.start(attempts)

    def cancel(self, attempt: Attempt) -> None:
        self._inbox.put(attempt)

    def left(self, attempt: Attempt) -> None:
        self._lane.left()

    def fill(self) -> None:
        self._lane.fill()

    @property
    def waiting(self) -> int:
        """Attempts handed over that the loop has not begun with, and those that have ended and are not handed back."""
        return self._inbox.waiting + self._unbegun + len(self._settled)

    def blocked(self, threshold_s: float) -> Blocked | None:
        """Who keeps the work loop from answering for longer than that, if anyone does.

        Meant to be called regularly: a call on a quiet loop sends the probe that the next call looks at.
        """
        lag_s = self._inbox.lag_s()
        if lag_s < threshold_s:
            if not lag_s:
                self._inbox.wake()
            return None
        attempt = self._current_attempt()
        if attempt is None:
            return Blocked(lag_s, "", self._current_line())
        return Blocked(lag_s, attempt.definition.name, self._current_line(), attempt.dispatch.token)

    def run_coroutine(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run what a function in another thread gave, in the context of that thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def close(self, grace_s: float) -> None:
        """End the loop. A thread that user code blocks for longer is left behind (it is a daemon)."""
        self._closing = True
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(grace_s, LEAST_GRACE_S)):
                await self._ended.wait()

    def begin(self, attempts: list[Attempt]) -> None:
        """Run these now: whoever calls this has slots of its own."""
        self._inbox.extend(attempts)

    def _current_attempt(self) -> Attempt | None:
        current = asyncio.current_task(self._loop)
        return next((attempt for attempt in list(self._running) if attempt.task is current), None)

    def _current_line(self) -> str:
        """The innermost one that is the user's own, if there is one: what a library does there says less."""
        innermost: FrameType | None = sys._current_frames().get(self._thread.ident or 0)
        frame = innermost
        while frame is not None and frame.f_code.co_filename.startswith(_LIBRARIES):
            frame = frame.f_back
        frame = frame or innermost
        return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}" if frame is not None else ""

    # --- on the work loop

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._closing:
            # Asyncio lets SystemExit and KeyboardInterrupt of any task end the loop; here they are that task's affair.
            with suppress(SystemExit, KeyboardInterrupt):
                self._loop.run_forever()
        with suppress(BaseException):
            self._loop.run_until_complete(end_leftovers())
        self._loop.close()
        with suppress(RuntimeError):
            self._engine.call_soon_threadsafe(self._ended.set)

    def _take(self, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            if attempt.finished:
                continue
            if attempt.task is None:
                self._running.add(attempt)
                self._unbegun += 1
                attempt.task = self._loop.create_task(self._run(attempt), context=attempt.context())
            elif attempt.began_at is not None:
                attempt.task.cancel()
            # Else its task has not entered `_run` yet, which looks for the cause itself: a coroutine cancelled
            # before its first step never runs, and the attempt would never be reported.

    async def _run(self, attempt: Attempt) -> None:
        attempt.begin()
        self._unbegun -= 1
        try:
            if attempt.cause is not None:
                raise asyncio.CancelledError
            watch(self._loop, attempt, self._time_out)
            definition = attempt.definition
            args, kwargs = decode_call(definition, attempt.dispatch.args)
            attempt.result = encode_result(definition, await definition.fn(*args, **kwargs))
        except BaseException as error:
            attempt.fail(error)
        self._running.discard(attempt)
        attempt.settle()
        attempt.task = None  # its context leads back here, and circles are left to the collector
        if not self._settled:
            self._loop.call_soon(self._flush)
        self._settled.append(attempt)

    def _flush(self) -> None:
        settled, self._settled = self._settled, []
        self._outbox.extend(settled)

    def _time_out(self, attempt: Attempt) -> None:
        assert attempt.task is not None
        attempt.task.cancel()
        attempt.timer = self._loop.call_later(UNWIND_S, _give_up, attempt)


def _give_up(attempt: Attempt) -> None:
    attempt.overdue = True
    attempt.announce(attempt)


def new_loop() -> asyncio.AbstractEventLoop:
    """A uvloop loop where uvloop is installed, else asyncio's own."""
    try:
        loop: asyncio.AbstractEventLoop = importlib.import_module("uvloop").new_event_loop()
    except ImportError:
        return asyncio.new_event_loop()
    return loop


async def end_leftovers() -> None:
    """Cancel the tasks that user code left behind on this loop, and close its async generators."""
    leftovers = asyncio.all_tasks() - {asyncio.current_task()}
    for task in leftovers:
        task.cancel()
    if leftovers:
        await asyncio.wait(leftovers, timeout=LEFTOVERS_S)
    await asyncio.get_running_loop().shutdown_asyncgens()
