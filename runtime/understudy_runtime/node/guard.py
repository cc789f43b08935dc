"""A node has a guard, which ends it when it is wedged: see `guarding`, which is what the guard runs.

Code that does not return and does not let go of the interpreter (a pattern that backtracks for ever, a driver that
waits) stops every thread of its process, and no thread of ours can interrupt it. The session ends, and others go on
with the shards; but the process would stay, with connections, attempts and memory that nobody gets back.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, Protocol

import structlog

from understudy_runtime.node import guarding

SESSIONS: Final = 3
LEAST_S: Final = 10.0

log = structlog.get_logger("understudy.node")


def bound_s(session_s: float) -> float:
    """How long a node of such sessions may be wedged: others have had its shards for most of that."""
    return max(LEAST_S, SESSIONS * session_s)


class Beat(Protocol):
    """That of a loop: `struck` is called, on it, whenever it comes round."""

    struck: Callable[[], None]


class Guard:
    """Made and used by the process that is to be guarded, until `close`."""

    def __init__(self, bound_s: float, *, alone: bool = False) -> None:
        command = [sys.executable, "-I", "-S", guarding.__file__, str(bound_s), *(["alone"] if alone else [])]
        # A session of its own: what a terminal sends to all is not for it.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        assert self._process.stdin is not None
        self._input = self._process.stdin
        os.set_blocking(self._input.fileno(), False)
        self._gone = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def beat(self) -> None:
        """The node makes progress."""
        try:
            os.write(self._input.fileno(), guarding.BEAT)
        except BlockingIOError:
            pass  # it has enough to read
        except OSError:
            if not self._gone:
                log.warning("the guard of this node is gone: if the node is wedged, nothing will end it")
            self._gone = True

    @contextmanager
    def told_of_signals(self) -> Generator[None]:
        """While the block lasts, the guard hears of signals, however wedged this process is."""
        before = signal.set_wakeup_fd(self._input.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)

    def close(self) -> None:
        self._input.close()
        self._process.wait()


@contextmanager
def guarded_alone(bound_s: float) -> Generator[Callable[[], None]]:
    """A guard for a node that is in no cluster; gives what is to be called while its main thread's loop comes round."""
    guard = Guard(bound_s, alone=True)
    try:
        with guard.told_of_signals():
            yield guard.beat
    finally:
        guard.close()


@contextmanager
def guarded(beat: Beat, bound_s: float) -> Generator[None]:
    """While the block lasts, the process is ended if the loop that `beat` was made on does not come round."""
    guard = Guard(bound_s)
    beat.struck = guard.beat
    try:
        yield
    finally:
        beat.struck = lambda: None
        guard.close()
