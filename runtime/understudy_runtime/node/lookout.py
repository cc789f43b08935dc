"""The main thread's eye on the engine's: whether its loop still answers, and whether a node that is to leave does so.

A turn that does not return (a call into C, a lock that nobody opens) stops all runs of a node. In a cluster others take
them over; a node that is alone has only its main thread to say so. It does, in the log and by /livez, and it sees to
it that a node which was asked to leave is gone in bounded time. Ending it then costs no more than a crash does.

What is counted are looks, not seconds: a process that was stopped from outside, or a machine that was asleep, has
missed nothing.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Final, Protocol

import structlog

EVERY_S: Final = 0.5
SILENT_S: Final = 10.0
"""An engine's loop that has not answered for so long is taken for dead."""
LEAVING_S: Final = 60.0
"""A node that was asked to leave may take so long beyond its grace period."""
STACK_CHARS_MAX: Final = 8_000

log = structlog.get_logger("understudy.node")


class Monitored(Protocol):
    @property
    def silent_s(self) -> float: ...


class Lookout:
    """On the main thread's loop. `end` is called, once, with the reason for which the process is not waited for."""

    def __init__(self, monitored: Callable[[], Monitored | None], end: Callable[[str], None]) -> None:
        self._monitored = monitored
        self._end = end
        self.silent_s = 0.0
        """For how long the engine's loop has not answered."""
        self._leaving_s = 0.0
        self._may_take_s: float | None = None
        self._told = False

    def leaving(self, grace_s: float) -> None:
        """The node has been asked to leave."""
        self._may_take_s = grace_s + LEAVING_S

    async def run(self, struck: Callable[[], None]) -> None:
        """Look until cancelled; `struck` is called at each look."""
        while True:
            await asyncio.sleep(EVERY_S)
            struck()
            self.look()

    def look(self) -> None:
        monitored = self._monitored()
        is_silent = monitored is not None and monitored.silent_s > EVERY_S
        self.silent_s = self.silent_s + EVERY_S if is_silent else 0.0
        if self.silent_s < SILENT_S:
            self._told = False
        elif not self._told:
            self._told = True
            log.error("the engine's loop does not answer: no run goes on", silent_s=self.silent_s, stack=stack())
        if self._may_take_s is None:
            return
        self._leaving_s += EVERY_S
        if self.silent_s >= SILENT_S:
            self._end("its engine's loop does not answer")
        elif self._leaving_s >= self._may_take_s:
            self._end(f"it has not left in {self._leaving_s:g} s")


def stack(thread: str = "understudy-engine") -> str:
    """What the thread of that name is at, innermost last."""
    ident = next((each.ident for each in threading.enumerate() if each.name == thread), None)
    frame = None if ident is None else sys._current_frames().get(ident)
    return "".join(traceback.format_stack(frame))[-STACK_CHARS_MAX:] if frame is not None else ""
