"""Figures: what a workload reports of one repeat, and their medians over repeats."""

from __future__ import annotations

import re
import resource
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One variant of a workload. `rate` is in `unit`; `rss_mb` is the peak of the measuring process so far.

    `p50_ms` and `p99_ms` are of whatever the workload says it waits for. `more` is what only this workload has.
    """

    variant: str
    rate: float
    unit: str
    p50_ms: float
    p99_ms: float
    rss_mb: float
    runs: int
    more: dict[str, float] = {}


def figures(
    variant: str, *, done: int, unit: str, seconds: float, latencies_ms: Sequence[float], runs: int, **more: float
) -> Figures:
    """`done` things in `seconds`, each of which took one of `latencies_ms`."""
    return Figures(
        variant=variant,
        rate=done / seconds,
        unit=unit,
        p50_ms=percentile(latencies_ms, 0.50),
        p99_ms=percentile(latencies_ms, 0.99),
        rss_mb=peak_rss_mb(),
        runs=runs,
        more=more,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; not a number if there are none."""
    if not values:
        return float("nan")
    return sorted(values)[max(0, -int(-len(values) * share // 1) - 1)]


def medians(repeats: Sequence[Figures]) -> Figures:
    """Every number replaced by its median over the repeats of one variant."""
    first = repeats[0]

    median = statistics.median
    return msgspec.structs.replace(
        first,
        rate=median(figures.rate for figures in repeats),
        p50_ms=median(figures.p50_ms for figures in repeats),
        p99_ms=median(figures.p99_ms for figures in repeats),
        rss_mb=median(figures.rss_mb for figures in repeats),
        more={name: median(figures.more[name] for figures in repeats) for name in first.more},
    )


def peak_rss_mb() -> float:
    """The most memory this process has had at once."""
    return _memory_mb("VmHWM")


def rss_mb() -> float:
    """The memory this process has now; its peak where the system does not tell."""
    return _memory_mb("VmRSS")


def _memory_mb(field: str) -> float:
    # The peak that getrusage gives is handed down from the parent process on Linux.
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(rf"{field}:\s+(\d+) kB", status.read_text())):
        return int(found[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)
