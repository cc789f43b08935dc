"""A wire between two parts of a cluster that a test can cut and mend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

CHUNK = 2**16


class Relay:
    """Leads to `to`, host:port or a socket's file, which may be set later. While it is cut, what is said goes nowhere
    and nobody is told so, as on a network that has lost its way."""

    def __init__(self, to: str | Path = "") -> None:
        self.to = to
        self.port = 0
        self._whole = asyncio.Event()
        self._whole.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        """Connections of before are gone: too much of them is missing."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self._whole.set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._whole.wait()
            if isinstance(self.to, Path):
                far_reader, far_writer = await asyncio.open_unix_connection(str(self.to))
            else:
                host, _, port = self.to.rpartition(":")
                far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except (OSError, asyncio.CancelledError):  # the test is over
            writer.close()
            return
        self._writers.add(far_writer)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.ensure_future(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                await self._whole.wait()
                sink.write(data)
                await sink.drain()
        sink.close()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def relay(to: str | Path = "") -> AsyncGenerator[Relay]:
    made = Relay(to)
    server = await asyncio.start_server(made.connected, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
