"""A connection pooler in transaction mode, as PgBouncer is one: each transaction runs on another server connection.

It goes out of its way to be so: the server that was used longest ago is next. Its clients get a process id that it made
up, and settings that it does not know are refused, or ignored.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

KNOWN: Final = frozenset({"user", "database", "client_encoding", "application_name"})
SSL_REQUEST: Final = 80877103
CANCEL_REQUEST: Final = 80877102
MADE_UP: Final = 123456789


def packed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


async def message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Kind and the whole of it."""
    head = await reader.readexactly(5)
    [size] = struct.unpack("!i", head[1:])
    return head[:1], head + await reader.readexactly(size - 4)


class Server:
    """One connection to the real server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.greeting = b""

    async def start(self) -> None:
        body = struct.pack("!i", 196608) + b"user\0postgres\0database\0postgres\0client_encoding\0UTF8\0\0"
        self.writer.write(struct.pack("!i", len(body) + 4) + body)
        while True:
            kind, whole = await message(self.reader)
            if kind == b"S":
                self.greeting += whole
            if kind == b"Z":
                return


class Pooler:
    def __init__(self, socket: Path, *, ignores_settings: bool) -> None:
        self._socket = socket
        self._ignores_settings = ignores_settings
        self._free: asyncio.Queue[Server] = asyncio.Queue()
        self._greeting = b""
        self.transactions = 0
        self.port = 0

    async def start(self, size: int) -> None:
        for _ in range(size):
            server = Server(*await asyncio.open_unix_connection(str(self._socket)))
            await server.start()
            self._greeting = server.greeting
            self._free.put_nowait(server)

    async def close(self) -> None:
        while not self._free.empty():
            self._free.get_nowait().writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await self._greet(reader, writer):
                await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server: Server | None = None
        answering: asyncio.Task[None] | None = None
        while (asked := await message(reader))[0] != b"X":
            if answering is None or answering.done():
                server = await self._free.get()
                self.transactions += 1
                answering = asyncio.create_task(self._answer(server, writer))
            assert server is not None
            server.writer.write(asked[1])

    async def _answer(self, server: Server, writer: asyncio.StreamWriter) -> None:
        """Until the transaction is over; then the server is the next one's."""
        whole, kind = b"", b""
        while (kind, whole[-1:]) != (b"Z", b"I"):
            kind, whole = await message(server.reader)
            writer.write(whole)
        self._free.put_nowait(server)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        while True:
            size, code = struct.unpack("!ii", await reader.readexactly(8))
            rest = (await reader.readexactly(size - 8)).rstrip(b"\0").split(b"\0")
            if code == CANCEL_REQUEST:
                return False
            if code != SSL_REQUEST:
                break
            writer.write(b"N")
        unknown = {name.decode() for name in rest[::2]} - KNOWN
        if unknown and not self._ignores_settings:
            told = f"SFATAL\0C08P01\0Munsupported startup parameter: {min(unknown)}\0\0"
            writer.write(packed(b"E", told.encode()))
            return False
        ready = packed(b"K", struct.pack("!ii", MADE_UP, 0)) + packed(b"Z", b"I")
        writer.write(packed(b"R", struct.pack("!i", 0)) + self._greeting + ready)
        return True


@asynccontextmanager
async def pooler_to(socket: Path, *, ignores_settings: bool) -> AsyncGenerator[Pooler]:
    pooler = Pooler(socket, ignores_settings=ignores_settings)
    await pooler.start(3)
    server = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    pooler.port = server.sockets[0].getsockname()[1]
    try:
        yield pooler
    finally:
        server.close()
        await server.wait_closed()
        await pooler.close()
