"""Timers of one node: the earliest duty of each actor, in one heap.

An entry that was superseded stays in the heap until its time comes and is then ignored. Actors whose duty lies
behind the horizon are not kept here: the engine reads those from the store when the horizon moves.
"""

from __future__ import annotations

import heapq


class Timers:
    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._earliest: dict[str, float] = {}

    def set(self, key: str, at: float) -> bool:
        """Wake `key` at `at`, unless it is to be woken earlier already. True if `at` is the new first of all."""
        known = self._earliest.get(key)
        if known is not None and known <= at:
            return False
        self._earliest[key] = at
        heapq.heappush(self._heap, (at, key))
        return self._heap[0][0] == at

    def discard(self, key: str) -> None:
        self._earliest.pop(key, None)

    def next(self) -> float | None:
        """The time of the earliest duty."""
        while self._heap and self._earliest.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float, limit: int) -> list[str]:
        """Up to `limit` actors whose time has come, earliest first; they have no timer any more."""
        due: list[str] = []
        while len(due) < limit and (at := self.next()) is not None and at <= now:
            _, key = heapq.heappop(self._heap)
            del self._earliest[key]
            due.append(key)
        return due

    def __len__(self) -> int:
        return len(self._earliest)
