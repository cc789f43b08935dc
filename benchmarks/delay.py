"""A way to the database that takes longer: a process that hands each answer on so many milliseconds after it came.

python -m benchmarks.delay HOST PORT MS        HOST may be the folder of a Unix socket; prints the port it listens at
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

CHUNK = 1 << 16


@asynccontextmanager
async def delayed(host: str, port: int, delay_ms: float) -> AsyncGenerator[int]:
    """The port on 127.0.0.1, for as long as the block lasts."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.delay", host, str(port), str(delay_ms), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()


async def serve(host: str, port: int, delay_s: float) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if host.startswith("/"):
            there = await asyncio.open_unix_connection(str(Path(host) / f".s.PGSQL.{port}"))
        else:
            there = await asyncio.open_connection(host, port)
        with suppress(ConnectionError):
            await asyncio.gather(copy(reader, there[1], 0.0), copy(there[0], writer, delay_s))

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """All in its order, each piece `delay_s` after it came; the pieces do not wait for one another."""
    loop = asyncio.get_running_loop()
    while data := await reader.read(CHUNK):
        if delay_s:
            loop.call_later(delay_s, writer.write, data)
        else:
            writer.write(data)
    loop.call_later(delay_s, writer.close)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 1000))
