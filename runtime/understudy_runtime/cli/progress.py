"""How a run gets on, on standard error: a live line at a terminal, sparse plain lines elsewhere.

Both show the same four figures of a `RunDescription`: tasks done, running, failed and, where there are any, waiting;
and the time since the command began.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Protocol

from understudy.door import RunDescription
from understudy_runtime.cli.output import note

LIVE_INTERVAL_S: Final = 0.1
PLAIN_INTERVAL_S: Final = 5.0
"""Between two plain lines; they end up in log files, which should stay readable."""


class Progress(Protocol):
    interval_s: float
    """How often `show` is worth calling."""

    def __enter__(self) -> Progress: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...
    def show(self, description: RunDescription) -> None: ...


def progress(title: str) -> Progress:
    return LiveProgress(title) if sys.stderr.isatty() else PlainProgress(title)


class PlainProgress:
    """A line when something has changed since the last one."""

    interval_s = PLAIN_INTERVAL_S

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = time.monotonic()
        self._last = ""

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        return

    def show(self, description: RunDescription) -> None:
        line = figures(description)
        if line != self._last:
            self._last = line
            note(f"{self._title}: {line}, {time.monotonic() - self._began:.1f} s")


class LiveProgress:
    """One line at the bottom of the terminal, with a bar over the tasks scheduled so far."""

    interval_s = LIVE_INTERVAL_S

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        self._console = Console(stderr=True)
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._line = self._bar.add_task(title, total=None, figures="starting")

    def __enter__(self) -> LiveProgress:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.stop()

    def show(self, description: RunDescription) -> None:
        self._bar.update(
            self._line,
            completed=finished(description),
            total=description.scheduled or None,
            figures=figures(description),
        )


def finished(description: RunDescription) -> int:
    return description.succeeded + description.reused + description.failed


def figures(description: RunDescription) -> str:
    done = description.succeeded + description.reused
    reused = f" ({description.reused:,} reused)" if description.reused else ""
    text = f"{done:,} done{reused}, {description.running:,} running, {description.failed:,} failed"
    return f"{text}, {description.waiting:,} waiting" if description.waiting else text
