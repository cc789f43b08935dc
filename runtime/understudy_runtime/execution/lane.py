"""The slots of one kind of task, and who waits for one: first come, first served."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from understudy_runtime.execution.attempt import Attempt


class Lane:
    """Bounds what runs. What waits is bounded by what runs have open, and by nothing here."""

    def __init__(self, slots: int, begin: Callable[[list[Attempt]], None]) -> None:
        self._free = slots
        self._begin = begin
        self._waiting: deque[Attempt] = deque()

    def start(self, attempts: list[Attempt]) -> None:
        self._waiting.extend(attempts)
        self.fill()

    def left(self) -> None:
        self._free += 1

    def fill(self) -> None:
        batch: list[Attempt] = []
        while self._free and self._waiting:
            attempt = self._waiting.popleft()
            if not attempt.finished:  # else it was cancelled while it waited
                attempt.placed = True
                self._free -= 1
                batch.append(attempt)
        if batch:
            self._begin(batch)
