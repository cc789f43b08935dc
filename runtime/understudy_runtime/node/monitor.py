"""How soon the node's two loops answer: looked at twenty times a second, on the engine's loop.

The engine's lag is that of this module's own timer. The work loop is probed through the executor; it is the pool that
acts on its being blocked, and logs it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

import structlog

from understudy_runtime.core.figures import Histogram
from understudy_runtime.execution.work_loop import Blocked

EVERY_S: Final = 0.05
LAG_BOUNDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
LATE_S: Final = 1.0
"""A lag worth a line in the log."""
BLOCKED_S: Final = 1.0
"""How long the work loop may keep silent before it counts as blocked."""

log = structlog.get_logger("understudy.node")


class Probed(Protocol):
    def blocked(self, threshold_s: float) -> Blocked | None: ...


class Turning(Protocol):
    """The engine, which takes turns in slices for as long as there are `ready` ones."""

    slices: int

    @property
    def ready(self) -> int: ...


class Monitor:
    """Made on the engine's loop; its figures may be read from any thread."""

    def __init__(self, executor: Probed, engine: Turning) -> None:
        self._executor = executor
        self._engine = engine
        self._slices = engine.slices
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self.lag = Histogram(LAG_BOUNDS)
        self.blocked: Blocked | None = None
        self.seen_at = time.monotonic()
        """When the engine's loop last answered, and there was no turn that it should have taken meanwhile."""
        self._due = self._loop.time() + EVERY_S
        self._timer = self._loop.call_at(self._due, self._look)

    @property
    def silent_s(self) -> float:
        """Seconds for which the engine's loop has not answered, if that is longer than it should be."""
        return 0.0 if self._closed else max(0.0, time.monotonic() - self.seen_at - EVERY_S)

    def close(self) -> None:
        self._closed = True
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if not self._engine.ready or self._engine.slices != self._slices:
            self.seen_at = time.monotonic()
        self._slices = self._engine.slices
        lag_s = max(0.0, now - self._due)
        self.lag.observe(lag_s)
        if lag_s > LATE_S:
            log.warning("the engine's loop was late", lag_s=round(lag_s, 3))
        self.blocked = self._executor.blocked(BLOCKED_S)
        self._due = now + EVERY_S
        self._timer = self._loop.call_at(self._due, self._look)
