"""A way to a node that can be cut: bytes are passed on unread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import TracebackType

BUFFER_BYTES = 65_536


class Proxy:
    """`with Proxy("host:port") as proxy`: listens on `proxy.address` meanwhile."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._ends: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._refusing = False

    def __enter__(self) -> Proxy:
        self._server = socket.create_server(("127.0.0.1", 0))
        host, port = self._server.getsockname()
        self.address = f"{host}:{port}"
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._refusing = True
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in self._ends:
            end.close()

    def cut(self) -> None:
        """End all connections there are."""
        for end in list(self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def closed(self) -> Generator[None, None, None]:
        """Meanwhile there are no connections, and no new ones can be made."""
        self._refusing = True
        self.cut()
        try:
            yield
        finally:
            self._refusing = False

    def _spawn(self, main: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=main, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._server.accept()
                if self._refusing:
                    here.close()
                    continue
                there = socket.create_connection(self._target)
                self._ends |= {here, there}
                self._spawn(self._pass_on, here, there)
                self._spawn(self._pass_on, there, here)

    def _pass_on(self, source: socket.socket, to: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(BUFFER_BYTES):
                to.sendall(data)
        for end in (source, to):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
