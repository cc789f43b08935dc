"""When actors have something to do by themselves: timers of this node, and those that the store keeps for it.

Duties up to the horizon are in memory, in one heap with one armed alarm. Those of parked actors behind it stay in the
store and are read when the horizon moves, half a window ahead of its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from understudy_runtime.actors.timers import Timers
from understudy_runtime.core.ports import Clock, Store

FOREVER: Final = float("inf")
DUE_AT_ONCE: Final = 256
"""Actors woken before the engine's loop gets a breath."""

log = structlog.get_logger("understudy.engine")


class Duties:
    """Calls `due` with each actor whose time has come, and `load` with each that must be in memory."""

    def __init__(
        self, clock: Clock, store: Store, window_s: float, due: Callable[[str], None], load: Callable[[str], None]
    ) -> None:
        self._clock = clock
        self._store = store
        self._window_s = window_s
        self._due = due
        self._load = load
        self._timers = Timers()
        self._alarm: Callable[[], None] | None = None
        self._alarm_at = FOREVER
        self._look_again: Callable[[], None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self.horizon = 0.0

    def set(self, key: str, at: float) -> None:
        """Wake `key` at `at` at the latest."""
        if self._timers.set(key, at) and at < self._alarm_at:
            self._arm()

    async def look_ahead(self) -> None:
        """Load what is open or has mail, and take note of the duties up to the new horizon."""
        self.horizon = self._clock.now() + self._window_s
        self.note(await self._store.wakeful(self.horizon))
        if self.horizon != FOREVER:
            self._look_again = self._clock.call_at(self.horizon - self._window_s / 2, self._look_further)

    def note(self, wakeful: Sequence[tuple[str, float | None]]) -> None:
        """Load the actors that the store names without a time, and wake the others in time."""
        for key, at in wakeful:
            if at is None:
                self._load(key)
            else:
                self._timers.set(key, at)
        self._arm()

    def close(self) -> None:
        for stop in (self._alarm, self._look_again):
            if stop is not None:
                stop()
        self._alarm = self._look_again = None
        if self._looking is not None:
            self._looking.cancel()

    def _arm(self) -> None:
        if self._alarm is not None:
            self._alarm()
        at = self._timers.next()
        self._alarm_at = FOREVER if at is None else at
        self._alarm = None if at is None else self._clock.call_at(at, self._time_passed)

    def _time_passed(self) -> None:
        self._alarm, self._alarm_at = None, FOREVER
        for key in self._timers.pop_due(self._clock.now(), DUE_AT_ONCE):
            self._due(key)
        self._arm()

    def _look_further(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(self._look_or_retry())

    async def _look_or_retry(self) -> None:
        try:
            await self.look_ahead()
        except Exception as error:
            log.error("cannot read duties from the store; trying again", exc_info=error)
            self._look_again = self._clock.call_at(self._clock.now() + self._window_s / 8, self._look_further)
