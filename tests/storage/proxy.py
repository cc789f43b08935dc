"""What can happen to bytes between a store and its server: a proxy that loses them at the worst moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from pathlib import Path

CHUNK = 1 << 16


class Loss(Enum):
    """What becomes of the first message that has the mark in it."""

    BEFORE = "the server never gets it"
    AFTER = "the server does it, and its answer is lost"
    LATE = "the server gets it when the test says so; until then the client believes the connection broken"


class Proxy:
    """Listens on `port` of 127.0.0.1. Once `lose` is called, the next message with the mark meets its fate."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self.port = 0
        self.connections = 0
        self._mark = b""
        self._loss = Loss.BEFORE
        self.lost = asyncio.Event()
        self._release = asyncio.Event()
        self.arrived = asyncio.Event()
        """A message that was late has been answered."""
        self._tasks: set[asyncio.Task[None]] = set()

    def lose(self, mark: bytes, loss: Loss) -> None:
        self._mark, self._loss = mark, loss
        self.lost.clear()

    def release(self) -> None:
        self._release.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server_reader, server_writer = await asyncio.open_unix_connection(str(self._socket))
        answers = asyncio.create_task(copy(server_reader, writer))
        try:
            while data := await reader.read(CHUNK):
                if self._mark and self._mark in data:
                    self._mark = b""
                    await self._meet(data, answers, server_reader, server_writer, writer)
                    break
                server_writer.write(data)
                await server_writer.drain()
        except ConnectionError:
            pass
        finally:
            answers.cancel()
            writer.close()
            server_writer.close()
            self._tasks.discard(task)

    async def _meet(
        self,
        data: bytes,
        answers: asyncio.Task[None],
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
    ) -> None:
        answers.cancel()
        with suppress(asyncio.CancelledError):
            await answers
        if self._loss is Loss.LATE:
            writer.close()
            self.lost.set()
            await self._release.wait()
        if self._loss is not Loss.BEFORE:
            server_writer.write(data)
            await server_reader.read(CHUNK)
            self.arrived.set()
        self.lost.set()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def proxy_to(socket: Path) -> AsyncGenerator[Proxy]:
    proxy = Proxy(socket)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
