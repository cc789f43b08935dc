"""Figures for programs (one JSON object a line) and for people (a table)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Figures


class Line(msgspec.Struct, frozen=True):
    """The medians of one variant. `limits` are the rates of the raw parts, if they were measured in the same run."""

    workload: str
    store: str
    repeats: int
    figures: Figures
    limits: dict[str, float] = {}
    via: str = "embedded"


def as_json(line: Line) -> str:
    """`of_...` are ratios to the limits; what there is no number for is null."""
    figures = line.figures
    values: dict[str, str | float] = {
        "workload": line.workload,
        "variant": figures.variant,
        "store": line.store,
        "via": line.via,
        "rate": figures.rate,
        "unit": figures.unit,
        "p50_ms": figures.p50_ms,
        "p99_ms": figures.p99_ms,
        "rss_mb": figures.rss_mb,
        "runs": figures.runs,
        "repeats": line.repeats,
        **figures.more,
        **ratios(line),
    }
    return json.dumps({name: _rounded(value) for name, value in values.items()})


def ratios(line: Line) -> dict[str, float]:
    return {f"of_{name}": line.figures.rate / rate for name, rate in line.limits.items()}


def _rounded(value: str | float) -> str | float | None:
    if isinstance(value, str):
        return value
    return round(value, 3) if math.isfinite(value) else None


def table(lines: Sequence[Line], console: Console) -> None:
    shown = Table(box=None)
    for heading in ("workload", "variant", "store", "via"):
        shown.add_column(heading, no_wrap=True)
    for heading in ("rate", "p50 ms", "p99 ms", "rss MB"):
        shown.add_column(heading, no_wrap=True, justify="right")
    shown.add_column("also")
    for line in lines:
        shown.add_row(*_row(line))
    console.print(shown)


def _row(line: Line) -> tuple[str, ...]:
    figures = line.figures
    return (
        line.workload,
        figures.variant,
        line.store,
        line.via,
        f"{figures.rate:,.0f} {figures.unit}",
        f"{figures.p50_ms:,.2f}",
        f"{figures.p99_ms:,.2f}",
        f"{figures.rss_mb:,.0f}",
        "\n".join(f"{name} {value:,.3g}" for name, value in {**figures.more, **ratios(line)}.items()),
    )
