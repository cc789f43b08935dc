"""/metrics, /livez and /readyz, over plain HTTP: the little of it that probes and Prometheus speak.

A request is a head of bounded size that arrives in bounded time; every answer closes its connection. Runs on
the main thread's loop, so that a node whose engine is stuck can still say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Final, NamedTuple

from understudy.errors import BadRequest
from understudy_runtime.node.addresses import Address

MAX_HEAD_BYTES: Final = 16_384
MAX_CONNECTIONS: Final = 64
TIMEOUT_S: Final = 10.0


class Page(NamedTuple):
    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Pages = Mapping[str, Callable[[], Page]]


class Probes:
    """Serves `pages` by their paths."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._open = 0
        self._server: asyncio.Server | None = None

    async def start(self, address: Address) -> Address:
        """The address it listens at. BadRequest if that cannot be had."""
        try:
            self._server = await asyncio.start_server(
                self._answer, address.host, address.port, limit=MAX_HEAD_BYTES, reuse_address=True
            )
        except OSError as error:
            raise BadRequest(f"cannot listen at {address} for HTTP: {error.strerror or error}") from None
        return Address(address.host, self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= MAX_CONNECTIONS:
                async with asyncio.timeout(TIMEOUT_S):
                    method, page = self._page(await reader.readuntil(b"\r\n\r\n"))
                    writer.write(_response(method, page))
                    await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, OSError):
            pass  # not a request, or nobody who waits for an answer
        finally:
            self._open -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _page(self, head: bytes) -> tuple[str, Page]:
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return "", _error(HTTPStatus.BAD_REQUEST)
        method, path = words[0], words[1].partition("?")[0]
        if method not in ("GET", "HEAD"):
            return method, _error(HTTPStatus.METHOD_NOT_ALLOWED)
        page = self._pages.get(path)
        return method, _error(HTTPStatus.NOT_FOUND) if page is None else page()


def _error(status: HTTPStatus) -> Page:
    return Page(status, f"{status.phrase}\n".encode())


def _response(method: str, page: Page) -> bytes:
    head = (
        f"HTTP/1.1 {page.status.value} {page.status.phrase}\r\n"
        f"Content-Type: {page.content_type}\r\nContent-Length: {len(page.body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == "HEAD" else page.body)
