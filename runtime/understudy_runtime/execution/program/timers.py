"""The timers of one run: a heap by deadline, ties by creation number.

A cancelled timer stays in the heap until it surfaces or until cancelled ones are the majority, and is
never shown: an `asyncio.timeout` that was left in time must not become a deadline of the run.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any

CANCELLED_AT_LEAST = 64
"""The heap is rebuilt when more than this many timers, and more than half of all, are cancelled."""


class Step(asyncio.Handle):
    """A callback in the ready queue. A cancelled one has no callback."""

    __slots__ = ()
    _callback: Callable[..., object] | None
    _args: Sequence[Any]
    _context: Context

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> None:
        self._callback = callback
        self._args = args
        self._context = context

    def cancel(self) -> None:
        self._callback = None
        self._args = ()

    def cancelled(self) -> bool:
        return self._callback is None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._callback!r}>"


class Timer(asyncio.TimerHandle):
    """A callback with a deadline in seconds. A cancelled one has no callback."""

    __slots__ = ("_timers",)
    _callback: Callable[..., object] | None
    _args: Sequence[Any]
    _context: Context
    _timers: Timers | None

    def __init__(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context, timers: Timers
    ) -> None:
        self._when = when
        self._callback = callback
        self._args = args
        self._context = context
        self._timers = timers

    def cancel(self) -> None:
        self._callback = None
        self._args = ()
        if self._timers is not None:
            self._timers.note_cancelled()
            self._timers = None

    def leave(self) -> Timer:
        """Out of the heap, into the ready queue."""
        self._timers = None
        return self

    def cancelled(self) -> bool:
        return self._callback is None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._when} {self._callback!r}>"


class Timers:
    """All timers of a run that have neither fired nor surfaced as cancelled."""

    __slots__ = ("_cancelled", "_number", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Timer]] = []
        self._number = 0
        self._cancelled = 0

    def add(self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> Timer:
        if math.isnan(when):
            raise ValueError("a timer's deadline is a number of seconds, not NaN")
        timer = Timer(when, callback, args, context, self)
        self._number += 1
        heapq.heappush(self.heap, (when, self._number, timer))
        return timer

    def take_due(self, now: float) -> list[Timer]:
        """The timers with a deadline at or before `now`, earliest first, ties by creation number."""
        due: list[Timer] = []
        deadline = self.earliest()
        while deadline is not None and deadline <= now:
            due.append(heapq.heappop(self.heap)[2].leave())
            deadline = self.earliest()
        return due

    def earliest(self) -> float | None:
        """The earliest finite deadline that has not been cancelled."""
        heap = self.heap
        while heap and heap[0][2].cancelled():
            heapq.heappop(heap)
            self._cancelled -= 1
        return heap[0][0] if heap and heap[0][0] != math.inf else None

    def note_cancelled(self) -> None:
        self._cancelled += 1
        if self._cancelled > CANCELLED_AT_LEAST and self._cancelled * 2 > len(self.heap):
            self.heap = [entry for entry in self.heap if not entry[2].cancelled()]
            heapq.heapify(self.heap)
            self._cancelled = 0
