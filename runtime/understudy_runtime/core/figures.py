"""Figures that cost an addition to keep: counters are plain integers of whoever counts, distributions are these.

One thread adds, any thread reads; a reader may see the last observation half counted, never a broken figure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """How often a value was at most each of `bounds` (ascending), and the sum of all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """Per bound, the values above the bound before it; the last one is for those above all bounds."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
