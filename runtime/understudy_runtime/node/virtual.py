"""Virtual time: a clock that moves only when told to, and the rule by which a test's node tells it.

Time passes while somebody awaits the end of a run and nothing else is going on: no message, no commit, no attempt.
Then it jumps to the next timer. So three days take milliseconds, and a message that a test sends beforehand is never
overtaken. Attempts of tasks run in real time.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from random import Random
from typing import Final

from understudy_runtime.actors.engine import Engine
from understudy_runtime.node.clocks import time_ordered_id

START: Final = 1_767_225_600.0
"""2026-01-01T00:00:00Z"""
BREATH_S: Final = 0.0005


class VirtualClock:
    """Implements `Clock`; used on the engine's loop, but for `now` and `new_id`."""

    def __init__(self, start: float = START) -> None:
        self._now = start
        self._count = itertools.count()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._random = Random(0)

    def now(self) -> float:
        return self._now

    def new_id(self) -> str:
        return time_ordered_id(self._now, self._random.randbytes(10))

    def call_at(self, at: float, callback: Callable[[], None]) -> Callable[[], None]:
        entry = (at, next(self._count), callback)
        heapq.heappush(self._heap, entry)
        return lambda: self._take_back(entry)

    def _take_back(self, entry: tuple[float, int, Callable[[], None]]) -> None:
        if entry in self._heap:
            self._heap.remove(entry)
            heapq.heapify(self._heap)

    def next(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def advance_to(self, at: float) -> None:
        """Move the time, and call back all that is due by then."""
        self._now = max(self._now, at)
        while self._heap and self._heap[0][0] <= self._now:
            heapq.heappop(self._heap)[2]()


class TimeKeeper:
    """Moves the clock of one engine. Used on the engine's loop."""

    def __init__(self, clock: VirtualClock, engine: Engine, polling: Callable[[], bool]) -> None:
        self._clock = clock
        self._engine = engine
        self._polling = polling
        self._waiting: set[int] = set()
        self._count = itertools.count()
        self._skipping: asyncio.Task[None] | None = None

    def somebody_waits(self, key: str) -> Callable[[], None]:
        """Let time pass until this run has ended or is held, and no further; the result takes that back."""
        number = next(self._count)
        self._waiting.add(number)
        forget = self._engine.watch(key, lambda _: self._waiting.discard(number))
        if self._skipping is None:
            self._skipping = asyncio.get_running_loop().create_task(self._skip())

        def nobody_waits() -> None:
            self._waiting.discard(number)
            forget()

        return nobody_waits

    async def advance(self, seconds: float) -> None:
        """Let that much time pass, every timer at its time."""
        until = self._clock.now() + seconds
        while True:
            await self._settled()
            at = self._clock.next()
            if at is None or at > until:
                break
            self._clock.advance_to(at)
        self._clock.advance_to(until)

    async def _skip(self) -> None:
        while self._waiting:
            await self._settled()
            at = self._clock.next()
            if self._waiting and at is not None:
                self._clock.advance_to(at)
            else:
                await asyncio.sleep(BREATH_S)
        self._skipping = None

    async def _settled(self) -> None:
        """Returns when nothing is going on, and nothing came up while the loop went round once more."""
        await asyncio.sleep(0)
        while self._polling() or not self._engine.idle:  # noqa: ASYNC110 - attempts and commits end in real time; nobody announces idleness
            await asyncio.sleep(BREATH_S)
