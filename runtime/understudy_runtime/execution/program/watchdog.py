"""The watchdog: workflow code that keeps one step busy for too long is interrupted.

One thread per node looks, a few times per limit, at the step counter of the loop that is in a turn. A
step seen unchanged for `limit_s` has stalled: its stack is written down, and `Stalled` is posted to the
thread that runs it. The stall counts from that moment, whether the code notices or not: one that
catches `Stalled` gets it again until the turn ends, and a call into C, which cannot be interrupted, ends its
turn when it returns.

What is posted arrives at some later bytecode, so it could arrive in the engine. Therefore posting and
disarming exclude each other by a lock, disarming withdraws what was posted and has not arrived, and
`guard` absorbs what arrives on the way out. The clock is per step: a replay of any length is many short steps.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Protocol, TypeVar

from understudy.errors import Stalled

A = TypeVar("A")

STEP_LIMIT_S = 2.0
"""A step of workflow code, from one await to the next, may take this many seconds."""

LOOKS_PER_LIMIT = 8
"""So that a stall is seen at most an eighth of the limit late."""

STACK_FRAMES_MAX = 40
STACK_CHARS_MAX = 8_000

_post = ctypes.pythonapi.PyThreadState_SetAsyncExc
_post.argtypes = (ctypes.c_ulong, ctypes.py_object)
_withdraw = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)


class Watched(Protocol):
    """What is in a turn: it counts its steps, and ends the turn when `stalled` is set."""

    steps: int
    stalled: str | None


class Watchdog:
    """Guards the turns of one engine thread. `limit_s` is in seconds."""

    def __init__(self, limit_s: float = STEP_LIMIT_S) -> None:
        self._limit_s = limit_s
        self._lock = threading.RLock()
        self._watched: Watched | None = None
        self._thread_id = 0
        self._turns = 0
        self._posted = False
        self._seen: tuple[int, int] | None = None
        self._seen_at = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._look_around, name="understudy-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def guard(self, watched: Watched, turn: Callable[[A], object], argument: A) -> None:
        """Run `turn(argument)` under watch. Raises `Stalled` with the stack, whatever the turn made of its stall."""
        self._thread_id = threading.get_ident()
        self._turns += 1
        try:
            self._run(watched, turn, argument)
        except KeyboardInterrupt:
            raise
        except BaseException:
            if watched.stalled is None:
                raise
        if watched.stalled is not None:
            self._disarm()
            raise Stalled(watched.stalled)

    def _run(self, watched: Watched, turn: Callable[[A], object], argument: A) -> None:
        # Stalled may arrive within the disarming, once for what was pending and once for what was posted while it
        # waited for the lock; each time, disarming starts again, and the last time nothing can be left.
        try:
            try:
                self._watched = watched
                turn(argument)
            finally:
                self._disarm()
        except Stalled:
            try:
                self._disarm()
            except Stalled:
                self._disarm()

    def _disarm(self) -> None:
        # Not `with`: since CPython 3.14 what was posted may arrive between the taking of the lock and the block, which
        # then does not give it back. While it is held nothing can be posted, so the second half is not interrupted.
        try:
            self._lock.acquire()
        finally:
            self._watched = None
            if self._posted:
                _withdraw(self._thread_id, None)
                self._posted = False
            try:  # noqa: SIM105 - once for each turn, and `suppress` costs three calls
                self._lock.release()
            except RuntimeError:
                pass  # a signal's handler raised while this waited for the lock

    def _look_around(self) -> None:
        while not self._stop.wait(self._limit_s / LOOKS_PER_LIMIT):
            self.look(time.monotonic())

    def look(self, now_s: float) -> None:
        """Look once. The thread does so on its own clock; tests bring theirs."""
        watched = self._watched
        step = None if watched is None else (self._turns, watched.steps)
        if watched is None or (step != self._seen and watched.stalled is None):
            self._seen, self._seen_at = step, now_s
        elif now_s - self._seen_at >= self._limit_s:
            self._interrupt(watched, _stack_of(self._thread_id))

    def _interrupt(self, watched: Watched, stack: str) -> None:
        with self._lock:
            is_same_step = self._watched is watched and (self._turns, watched.steps) == self._seen
            if is_same_step or (self._watched is watched and watched.stalled is not None):
                watched.stalled = watched.stalled or stack
                self._posted = True
                _post(self._thread_id, Stalled)


def _stack_of(thread_id: int) -> str:
    """The innermost frames, up to where the turn began."""
    frame = sys._current_frames().get(thread_id)
    frames: list[tuple[FrameType, int]] = []
    while frame is not None and frame.f_code is not Watchdog._run.__code__:
        frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    of_workflow = [each for each in frames if each[0].f_globals.get("__package__") != __package__]
    stack = traceback.StackSummary.extract(iter(of_workflow[STACK_FRAMES_MAX - 1 :: -1]))
    return "".join(stack.format())[-STACK_CHARS_MAX:]
