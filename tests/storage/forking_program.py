"""A process that opens a store, forks, and closes it, while the child tries to write. It prints what came of it.

    python forking_program.py FILE

It is a program of its own because a fork of a process that has run gRPC, as a test session may have, can hang.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import warnings

from understudy_runtime.core.ports import TurnWrite
from understudy_runtime.storage.sqlite import SqliteStore

KEY = "shop/run/a"


async def commit(store: SqliteStore, seq: int) -> str:
    """What the store says of the commit: nothing, or its error."""
    done: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    store.commit([TurnWrite(KEY, seq, 1.0, b"[]")], done.set_result)
    error = await done
    return "" if error is None else str(error)


def fork(store: SqliteStore, told: socket.socket) -> int:
    """A child that tries to commit to its copy of the store when it is told to, and answers with the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads do not survive a fork: the point of the test
        pid = os.fork()
    if pid == 0:
        try:
            told.recv(1)
            told.send(asyncio.run(commit(store, 2)).encode() or b"it committed")
        finally:
            os._exit(0)
    return pid


async def main(path: str) -> None:
    store = SqliteStore(path)
    await store.open("first", 1.0)
    assert await commit(store, 1) == ""
    here, there = socket.socketpair()
    child = fork(store, there)
    await store.close()
    again = SqliteStore(path)
    await again.open("second", 2.0)
    here.send(b"x")
    refused = here.recv(1000).decode()
    await asyncio.to_thread(os.waitpid, child, 0)
    seqs = [row.seq for row in await again.turns(KEY, 0, 10)]
    await again.close()
    print(json.dumps({"refused": refused, "seqs": seqs}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
