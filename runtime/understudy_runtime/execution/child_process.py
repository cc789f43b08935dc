"""One child process as its node sees it: start it, talk to it, kill it, know that it is gone.

The socket is read and written on the engine's loop without blocking. A child that is gone has been reaped and
everything it said has been heard, so `on_gone` can tell what it had finished.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from understudy_runtime.execution.attempt import Attempt
from understudy_runtime.execution.wire import Frames, FromChild, Hello, LogStyle, ToChild, frame, from_child

REAP_EVERY_S: Final = 0.002
_READ_BYTES: Final = 1 << 18
_STDERR: Final = 2
_PROGRAM: Final = "understudy_runtime.execution.child"


class ChildProcess:
    """`on_messages(child, messages)` for everything it says, in batches; then `on_gone(child)`, once."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_messages: Callable[[ChildProcess, list[FromChild]], None],
        on_gone: Callable[[ChildProcess], None],
        logs: LogStyle | None = None,
    ) -> None:
        self._loop = loop
        self._on_messages = on_messages
        self._on_gone = on_gone
        self._frames = Frames()
        self._unsent = bytearray()
        self._writing = False
        self.dying = False
        self.recalling = False
        self.sent = 0
        self.jobs: deque[tuple[int, Attempt]] = deque()
        """What it was given and has not finished, with their numbers; it works on the first."""
        self.loaded: set[tuple[str, str]] = set()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = spawn(theirs.fileno())
        self._socket.setblocking(False)
        loop.add_reader(self._socket, self._read)
        self.send(Hello(import_path(), os.environ.get("PYTHONPATH"), logs))

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: ToChild) -> None:
        """FrameTooLarge if it is. What the socket does not take now is written when it does."""
        self._unsent += frame(message)
        if not self._writing:
            self._write()

    def kill(self) -> None:
        """End it and all it has started; `on_gone` follows."""
        if not self.dying:
            self.dying = True
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._reap()

    def how_it_ended(self) -> str:
        code = self._process.returncode
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"

    def _write(self) -> None:
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:  # it is dying, which the reading side will notice
            self._unsent.clear()
        if bool(self._unsent) != self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(self._socket, self._write)
            else:
                self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        """Hear what there is; the end of the stream is the end of the child."""
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._hear(data)
        else:
            self._loop.remove_reader(self._socket)
            self.kill()

    def _hear(self, data: bytes) -> None:
        bodies = self._frames.feed(data)
        if bodies:
            self._on_messages(self, [from_child.decode(body) for body in bodies])

    def _reap(self) -> None:
        if self._process.poll() is None:
            self._loop.call_later(REAP_EVERY_S, self._reap)
            return
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        with suppress(OSError), self._socket:
            while data := self._socket.recv(_READ_BYTES):
                self._hear(data)
        self._on_gone(self)


def spawn(fd: int) -> subprocess.Popen[bytes]:
    """Start the child program with that end of a socket pair; what its tasks print goes to our standard error."""
    command = [sys.executable, "-P", "-m", _PROGRAM, str(fd), str(os.getpid())]
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(import_path())},
        stdin=subprocess.DEVNULL,
        stdout=_STDERR,
        pass_fds=(fd,),
        process_group=0,
    )


def import_path() -> list[str]:
    """Our `sys.path`, its empty entry (the current folder) written out."""
    return [entry or str(Path.cwd()) for entry in sys.path]


def is_child() -> bool:
    """Whether this process is one of a node's children."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec is not None and spec.name == _PROGRAM
