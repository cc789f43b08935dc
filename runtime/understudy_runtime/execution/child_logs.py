"""What tasks log and print in a child process, one event a line on standard error, as their node's own lines are.

Each names the node, the run, the task and the attempt. A child works on one attempt at a time, so whatever is said in
it meanwhile, from any of its threads, is that attempt's. Lines are written whole, so that those of many processes
do not mix. What is written to the file descriptors past Python (by C code, by a subprocess) stays as it is.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from understudy.context import AttemptContext
from understudy_runtime.execution.wire import LogStyle

_STDERR: Final = 2
MAX_LINE_CHARS: Final = 64_000
"""Longer lines are cut into several."""
_PLAIN: Final = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"})
"""What every log record has: the rest was given as `extra`."""

Event = MutableMapping[str, Any]


class ChildLogs:
    """Set up before user code is imported; code that sets up logging of its own, later, has its way."""

    def __init__(self, style: LogStyle, write: Callable[[bytes], object]) -> None:
        self._style = style
        self._write = write
        self._level = logging.getLevelNamesMapping()[style.level.upper()]
        self.attempt: AttemptContext | None = None
        """What is being worked on."""

    def install(self) -> None:
        sys.stdout = Printed(self, "stdout", sys.stdout)
        sys.stderr = Printed(self, "stderr", sys.stderr)
        logging.root.handlers = [_Handler(self)]
        logging.root.setLevel(self._level)

    def end(self) -> None:
        """The attempt is over."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, Printed):
                stream.finish()
        self.attempt = None

    def adopt_structlog(self) -> None:
        """Where user code has imported it, and left it as it is."""
        if "structlog" not in sys.modules:
            return
        import structlog

        if structlog.is_configured():
            return
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_logger_name,
                structlog.processors.add_log_level,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                self._rendered,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(self._level),
            logger_factory=lambda *names: _Logger(str(names[0]) if names else "", self),
            cache_logger_on_first_use=True,
        )

    def say(self, event: Event) -> None:
        self.put(self.line(event))

    def put(self, line: str) -> None:
        self._write(f"{line}\n".encode("utf-8", "backslashreplace"))

    def line(self, event: Event) -> str:
        now = time.time()
        millis = f"{now % 1:.6f}"[1:]
        when = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}{millis}Z"
        level, said = event.pop("level", "info"), event.pop("event", "")
        rest = {**event}
        if self.attempt is not None:
            info = self.attempt.info
            rest = {**rest, "run": info.run_id, "task": info.task, "attempt": info.attempt}
        rest["node"] = self._style.node
        if self._style.format == "json":
            return json.dumps({"timestamp": when, "level": level, "event": said, **rest}, default=repr)
        error = rest.pop("exception", "")
        logger = rest.pop("logger", "")
        words = " ".join(f"{name}={value!r}" for name, value in sorted(rest.items()))
        return f"{when} [{level:<9}] {said:<30} [{logger}] {words}{f'{chr(10)}{error}' if error else ''}"

    def _rendered(self, logger: object, method: str, event: Event) -> str:
        return self.line(event)


def install(style: LogStyle) -> ChildLogs:
    """From now on what is logged and printed looks like that."""
    logs = ChildLogs(style, write_whole)
    logs.install()
    return logs


class Printed(io.TextIOBase):
    """`sys.stdout` or `sys.stderr` of user code: each line is an event."""

    def __init__(self, logs: ChildLogs, name: str, real: Any) -> None:
        super().__init__()
        self._logs = logs
        self._name = name
        self._real = real
        self._part = ""
        self._lock = threading.RLock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def buffer(self) -> Any:
        """For bytes, which are written as they are."""
        return self._real.buffer

    def fileno(self) -> int:
        return int(self._real.fileno())

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        with self._lock:
            *lines, self._part = (self._part + text).split("\n")
            if len(self._part) > MAX_LINE_CHARS:
                lines, self._part = [*lines, self._part], ""
        for line in lines:
            self._logs.say({"level": "info", "event": line, "logger": self._name})
        return len(text)

    def finish(self) -> None:
        """Say what has no end of line yet, for nobody will add to it."""
        with self._lock:
            part, self._part = self._part, ""
        if part:
            self._logs.say({"level": "info", "event": part, "logger": self._name})


class _Handler(logging.Handler):
    def __init__(self, logs: ChildLogs) -> None:
        super().__init__()
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        try:
            extra = {name: value for name, value in record.__dict__.items() if name not in _PLAIN}
            event = {**extra, "level": record.levelname.lower(), "event": record.getMessage(), "logger": record.name}
            if record.exc_info:
                event["exception"] = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            self._logs.say(event)
        except Exception:
            self.handleError(record)


class _Logger:
    """What structlog's own loggers write to."""

    def __init__(self, name: str, logs: ChildLogs) -> None:
        self.name = name
        self._logs = logs

    def msg(self, line: str) -> None:
        self._logs.put(line)

    log = debug = info = warning = error = critical = exception = fatal = msg


def write_whole(data: bytes) -> None:
    """To standard error, in one piece where the kernel can do that."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(_STDERR, view) :]
    except OSError:
        return
