"""A proxy before etcd that can be told to answer nonsense."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from typing import Any

import requests
from urllib3.exceptions import HTTPError

LIST = "list"
"""The question for all keys of a cluster; other questions are named by their paths."""


class Liar:
    """`answers`: what is said instead of etcd's own answer, in turn and again and again, by the question's name."""

    def __init__(self, etcd: str, port: int) -> None:
        self.etcd = etcd
        self.url = f"http://127.0.0.1:{port}"
        self.told = 0
        self._lies: dict[str, Iterator[str]] = {}
        self._left: dict[str, int] = {}

    def lie(self, question: str, *answers: str, times: int = 1_000_000) -> None:
        self._lies[question], self._left[question] = cycle(answers), times

    def be_honest(self) -> None:
        self._left.clear()

    def answer(self, question: str) -> str | None:
        if self._left.get(question, 0) <= 0:
            return None
        self._left[question] -= 1
        self.told += 1
        return next(self._lies[question])


def _handler(liar: list[Liar]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            path = self.path.removeprefix("/v3")
            lie = liar[0].answer(LIST if path == "/kv/range" and b"range_end" in body else path)
            self.send_response(200)
            self.end_headers()
            if lie is not None:
                self.wfile.write(lie.encode())
                return
            answer = requests.post(liar[0].etcd + self.path, data=body, stream=True, timeout=60)
            with answer, suppress(OSError, HTTPError):  # one of the two has gone
                for chunk in answer.raw.stream(65_536):
                    self.wfile.write(chunk)
                    self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    return Handler


@contextmanager
def liar(etcd: str) -> Generator[Liar]:
    made: list[Liar] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    server.daemon_threads = True
    made.append(Liar(etcd, server.server_address[1]))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made[0]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
