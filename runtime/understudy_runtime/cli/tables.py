"""Tables for people: by rich at a terminal, elsewhere plain columns that can be cut and grepped."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

from understudy_runtime.cli.output import Output

STYLES: Final = {
    "succeeded": "green",
    "active": "green",
    "failed": "red",
    "timed_out": "red",
    "lost": "red",
    "held": "yellow",
    "blocked": "yellow",
    "uncertain": "yellow",
    "away": "yellow",
    "leaving": "yellow",
    "draining": "yellow",
    "cancelled": "dim",
    "terminated": "dim",
}


def show_table(output: Output, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    output.result(_drawn(names, rows) if output.at_terminal else table(names, rows))


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be."""
    every = [names, *rows]
    widths = [max(len(row[i]) for row in every) for i in range(len(names))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in every
    )


def _drawn(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*names, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        drawn.add_row(*(Text(cell, style=STYLES.get(cell, ""), overflow="fold") for cell in row))
    screen = Console(file=io.StringIO(), force_terminal=True)
    with screen.capture() as captured:
        screen.print(drawn)
    return captured.get().rstrip("\n")
