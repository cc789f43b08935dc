"""The child program: runs tasks one after the other in a process of its own, for as long as its node lives.

A thread of its own reads the socket to the node, so that the end of the stream ends the process even in mid-task,
together with whatever the task has started (the child leads its own process group). While a task holds the
interpreter lock in C code that thread cannot run; on Linux the kernel then ends the process, a second later.

The child imports nothing of the engine, so that it starts fast.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
import socket
import sys
import threading
import time
from contextvars import Context
from pathlib import Path
from queue import Empty, SimpleQueue
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from msgspec import Raw

from understudy.context import TaskInfo, attempt_hosts, current_attempt
from understudy.definitions import TaskDefinition
from understudy.errors import BadRequest
from understudy.target import load_task
from understudy_runtime.core.kinds import NULL, Failure
from understudy_runtime.execution import helpers
from understudy_runtime.execution.context import encode_progress, info_of
from understudy_runtime.execution.failures import decode_call, encode_result, failure_of
from understudy_runtime.execution.wire import (
    Beat,
    Began,
    Done,
    Frames,
    FrameTooLarge,
    FromChild,
    Hello,
    Recall,
    Recalled,
    Run,
    frame,
    to_child,
)

if TYPE_CHECKING:
    from understudy_runtime.execution.child_logs import ChildLogs

BEAT_EVERY_S: Final = 0.2
"""Heartbeats in a tight loop are sent at most this often, and three times within the heartbeat timeout."""
_READ_BYTES: Final = 1 << 18
_PR_SET_PDEATHSIG: Final = 1
_LOGS: Final = "understudy_runtime.execution.child_logs"


class Link:
    """The child's side of the socket. Two threads send: whoever runs tasks, and the reader that answers recalls."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self.logs: ChildLogs | None = None
        self.runs: SimpleQueue[Run] = SimpleQueue()

    @property
    def has_attempts(self) -> bool:
        """There is nothing else in this process."""
        return True

    def send(self, message: FromChild) -> None:
        data = frame(message)
        with self._sending:
            self._connection.sendall(data)

    def read(self) -> None:
        """Take in what the node says until it says no more; then end this process."""
        frames = Frames()
        try:
            while data := self._connection.recv(_READ_BYTES):
                for body in frames.feed(data):
                    self._take(to_child.decode(body))
        finally:  # also where the node died with something unsaid, and the read raises
            die()

    def _take(self, message: Hello | Run | Recall) -> None:
        match message:
            case Run():
                self.runs.put(message)
            case Recall():
                self.send(Recalled([run.number for run in self._withdraw()]))
            case Hello():
                adopt(message)
                if message.logs is not None:
                    # Here, because without a node as a service nobody needs it.
                    self.logs = importlib.import_module(_LOGS).install(message.logs)

    def _withdraw(self) -> list[Run]:
        runs: list[Run] = []
        try:
            while True:
                runs.append(self.runs.get_nowait())
        except Empty:
            return runs


class ChildAttempt:
    """The `AttemptContext` of user code in a child."""

    def __init__(self, link: Link, run: Run) -> None:
        self._link = link
        self._run = run
        heartbeat_s = run.dispatch.options.heartbeat_s
        self._every_s = BEAT_EVERY_S if heartbeat_s is None else min(BEAT_EVERY_S, heartbeat_s / 3)
        self._sent_at = 0.0
        self.unsent: Raw | None = None
        self.ended = False

    @property
    def info(self) -> TaskInfo:
        return info_of(self._run.dispatch)

    def heartbeat(self, progress: Any) -> None:
        if self.ended:
            raise BadRequest(f"heartbeat() came after this attempt of {self._run.dispatch.task} had ended")
        data, now = encode_progress(progress), time.monotonic()
        if now - self._sent_at < self._every_s:
            self.unsent = data
            return
        self._sent_at, self.unsent = now, None
        self._link.send(Beat(self._run.number, data))


def main(fd: int, parent: int) -> NoReturn:
    end_with(parent)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # what a task printed survives its death
    connection = socket.socket(fileno=fd)
    connection.set_inheritable(False)
    # A process that a task forks must not keep the socket open when this one is gone.
    os.register_at_fork(after_in_child=connection.close)
    link = Link(connection)
    helpers.install()
    attempt_hosts.add(link)
    threading.Thread(target=link.read, name="understudy-link", daemon=True).start()
    loaded: dict[tuple[str, str], TaskDefinition] = {}
    while True:
        run = link.runs.get()
        attempt = ChildAttempt(link, run)
        done = Context().run(serve, link, attempt, run, loaded)
        attempt.ended = True
        if link.logs is not None:
            link.logs.end()
        try:
            link.send(done)
        except FrameTooLarge as error:
            link.send(Done(run.number, done.took_s, failure=Failure("BadInput", f"the result is {error}", final=True)))


def serve(link: Link, attempt: ChildAttempt, run: Run, loaded: dict[tuple[str, str], TaskDefinition]) -> Done:
    current_attempt.set(attempt)
    if link.logs is not None:
        link.logs.attempt = attempt
    result, failure, started = NULL, None, time.perf_counter()
    try:
        if run.target not in loaded:
            loaded[run.target] = load_task(*run.target)
            if link.logs is not None:
                link.logs.adopt_structlog()
            link.send(Began(run.number))
            started = time.perf_counter()
        limit_memory(run.dispatch.options.memory_mb)
        result = call(loaded[run.target], run.dispatch.args)
    except BaseException as error:
        failure = failure_of(error, loaded.get(run.target), run.dispatch.options)
    return Done(run.number, time.perf_counter() - started, result, failure, attempt.unsent)


def call(definition: TaskDefinition, raw: Raw) -> Raw:
    args, kwargs = decode_call(definition, raw)
    value = definition.fn(*args, **kwargs)
    if isinstance(value, CoroutineType):
        asyncio = importlib.import_module("asyncio")  # here, because most children never need it
        value = asyncio.run(value)
    return encode_result(definition, value)


def limit_memory(memory_mb: int | None) -> None:
    """Let this process grow by at most so much from what it has now; None lifts the limit.

    Counted in address space, which is all the kernel offers; a task that needs more gets a MemoryError.
    """
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    soft = hard if memory_mb is None else address_space_bytes() + memory_mb * 1024 * 1024
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def address_space_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # not Linux
        return 0
    return pages * resource.getpagesize()


def adopt(hello: Hello) -> None:
    """Import what the node would import, and give the task's own subprocesses the environment the node had."""
    sys.path[:] = hello.path
    if hello.pythonpath is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = hello.pythonpath


def end_with(parent: int) -> None:
    """Where the kernel can, have it end this process one second after its node, should `Link.read` not get to it.

    The kernel's signal runs C's `alarm` with its own number, 1, as the seconds: that needs no interpreter lock,
    and leaves the reader the time to end what the task has started too, which the kernel would not.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.signal(int(signal.SIGHUP), ctypes.cast(libc.alarm, ctypes.c_void_p))
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGHUP))
    if os.getppid() != parent:  # it died before that
        die()


def die() -> NoReturn:
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
