"""Logs of a node: one event a line on standard error, pretty for people or JSON for programs.

Whatever logs, ours or user code's, by structlog or by the standard library, comes out alike: with the node, and, in a
task or a workflow, with the run, the task and the attempt. Those are looked up when something is logged, so
tasks that log nothing pay nothing. What workflow code logs while it is replayed was logged before, and is dropped.

Lines are written by a thread of their own: a reader that stalls costs lines (and says how many), never turns.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from select import PIPE_BUF
from typing import Final, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from understudy.context import current_attempt, current_run
from understudy_runtime.execution.wire import LogStyle

MAX_LINES: Final = 10_000
"""Lines that may wait to be written; those that come on top are lost."""
LAST_WORDS_S: Final = 1.0
"""How long the end of the process waits for the reader of its last lines."""

Format = Literal["auto", "pretty", "json"]


class LineWriter:
    """Writes lines to a file descriptor, from a thread of its own."""

    def __init__(self, fd: int, style: LogStyle | None = None) -> None:
        self._fd = fd
        self.style = style
        """How lines look, for other processes that write to the same place."""
        self._lines: deque[str] = deque()
        self._news = threading.Event()
        self._closing = False
        self.lost = 0
        self._thread = threading.Thread(target=self._main, name="understudy-log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """From any thread; never waits."""
        if len(self._lines) >= MAX_LINES:
            self.lost += 1
            return
        self._lines.append(line)
        if not self._news.is_set():
            self._news.set()

    def close(self, timeout_s: float = LAST_WORDS_S) -> None:
        """Write what waits, for as long as that."""
        self._closing = True
        self._news.set()
        self._thread.join(timeout_s)

    def _main(self) -> None:
        said = 0
        while not self._closing or self._lines:
            self._news.wait()
            self._news.clear()
            lines = self._lines
            batch = [lines.popleft() for _ in range(len(lines))]
            if self.lost > said:
                batch.append(f"understudy: {self.lost - said} log lines were lost: standard error is read too slowly")
                said = self.lost
            if not all(self._put(piece) for piece in _pieces(batch)):
                return

    def _put(self, piece: bytes) -> bool:
        """False if nobody will ever read it."""
        data = memoryview(piece)
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:  # whoever shares the descriptor made it so
                time.sleep(0.01)
            except OSError:
                return False
        return True


def _pieces(lines: list[str]) -> Iterator[bytes]:
    """Whole lines, as many at once as a pipe takes in one piece: others write to it, too."""
    piece = b""
    for line in lines:
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        if piece and len(piece) + len(data) > PIPE_BUF:
            yield piece
            piece = b""
        piece += data
    if piece:
        yield piece


def configure(format: Format, level: str, node: str) -> LineWriter:
    """Send all logs of this process to standard error. Code that sets up logging of its own, later, has its way."""
    pretty = sys.stderr.isatty() if format == "auto" else format == "pretty"
    writer = LineWriter(sys.stderr.fileno(), LogStyle("pretty" if pretty else "json", level, node))
    number = logging.getLevelNamesMapping()[level.upper()]
    shared = _shared(node, pretty)
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # the default one shows locals: users' data
        )
        if pretty
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[_no_replays, *shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *names: _Logger(str(names[0]) if names else "", writer),
        cache_logger_on_first_use=True,
    )
    handler = _Handler(writer)
    handler.addFilter(lambda record: not _replaying())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(number)
    return writer


def _shared(node: str, pretty: bool) -> list[Processor]:
    def name_node(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event.setdefault("node", node)
        return event

    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_run,
        name_node,
        structlog.processors.StackInfoRenderer(),
    ]
    return processors if pretty else [*processors, structlog.processors.format_exc_info, _in_order]


def _in_order(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """When, how bad and what come first: lines are read by people, too."""
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


def name_run(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Add the run, task and attempt that this is logged in, if any: a processor that user code may use, too."""
    attempt, run = current_attempt.get(), current_run.get()
    if attempt is not None:
        info = attempt.info
        event.setdefault("run", info.run_id)
        event.setdefault("task", info.task)
        event.setdefault("attempt", info.attempt)
    elif run is not None:
        event.setdefault("run", run.run_id)
    return event


def _no_replays(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if _replaying():
        raise structlog.DropEvent
    return event


def _replaying() -> bool:
    run = current_run.get()
    return run is not None and getattr(run, "replaying", False)


class _Logger:
    """What structlog's own loggers write to."""

    def __init__(self, name: str, writer: LineWriter) -> None:
        self.name = name
        self._writer = writer

    def msg(self, line: str) -> None:
        self._writer.write(line)

    log = debug = info = warning = error = critical = exception = fatal = msg


class _Handler(logging.Handler):
    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(self.format(record))
        except Exception:
            self.handleError(record)
