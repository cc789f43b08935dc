"""The clocks of real nodes, and ids that sort by time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

from understudy_runtime.core.ports import Clock


class SystemClock:
    """Implements `Clock` by the machine's time, on the loop it is made on.

    It follows the machine's clock forward only: when that is set back, this one goes on at the rate of real time, so
    that a sleep takes as long as it says.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._last = (time.time(), time.monotonic())

    def now(self) -> float:
        then, since = self._last
        monotonic = time.monotonic()
        now = max(time.time(), then + (monotonic - since))
        self._last = (now, monotonic)
        return now

    def call_at(self, at: float, callback: Callable[[], None]) -> Callable[[], None]:
        return self._loop.call_later(max(0.0, at - self.now()), callback).cancel

    def new_id(self) -> str:
        return time_ordered_id(self.now(), os.urandom(10))


class SharedClock:
    """The store's time, for nodes that share it: whatever their machines' clocks say or are set to.

    `offset_s` is what to add to monotonic time, as the store tells it again and again; as long as it is None, `machine`
    counts. Where a better estimate would set it back, it stands still for that long.
    """

    def __init__(self, machine: Clock, offset_s: Callable[[], float | None]) -> None:
        self._machine = machine
        self._offset_s = offset_s
        self._last = 0.0

    def now(self) -> float:
        offset_s = self._offset_s()
        now = self._machine.now() if offset_s is None else time.monotonic() + offset_s
        self._last = max(now, self._last)
        return self._last

    def call_at(self, at: float, callback: Callable[[], None]) -> Callable[[], None]:
        return self._machine.call_at(self._machine.now() + max(0.0, at - self.now()), callback)

    def new_id(self) -> str:
        return self._machine.new_id()


def time_ordered_id(now: float, noise: bytes) -> str:
    """12 hexadecimal digits of milliseconds, then 20 of noise."""
    return f"{int(now * 1000):012x}{noise.hex()}"
