"""A one-way channel into an event loop that costs one wakeup per batch, not per item.

Any thread may put; the loop's own thread takes what there is together, up to a bound, so that others have their turn on
the loop, too. While a wakeup is on its way, putting is an append to a deque and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MOST_AT_ONCE: Final = 256
"""Items taken before the loop gets a breath."""


class Handover(Generic[T]):
    """Hands what is put to `take`, on `loop`, in order. What is put after the loop was closed is dropped."""

    def __init__(self, loop: asyncio.AbstractEventLoop, take: Callable[[list[T]], None]) -> None:
        self._loop = loop
        self._take = take
        self._items: deque[T] = deque()
        self._wake_since: float | None = None

    def put(self, item: T) -> None:
        self._items.append(item)
        if self._wake_since is None:
            self.wake()

    def extend(self, items: Iterable[T]) -> None:
        self._items.extend(items)
        if self._wake_since is None:
            self.wake()

    def wake(self) -> None:
        # Two threads may both come here; the second wakeup then finds nothing, which does no harm.
        self._wake_since = time.monotonic()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._run)

    @property
    def waiting(self) -> int:
        return len(self._items)

    def lag_s(self) -> float:
        """Seconds for which the loop has not answered a wakeup; 0 if none is on its way."""
        since = self._wake_since
        return 0.0 if since is None else time.monotonic() - since

    def _run(self) -> None:
        # Cleared before the items are taken: one put later finds no wakeup pending and sends its own.
        self._wake_since = None
        items = self._items
        batch = [items.popleft() for _ in range(min(len(items), MOST_AT_ONCE))]
        if items:
            self._wake_since = time.monotonic()
            self._loop.call_soon(self._run)
        if batch:
            self._take(batch)
