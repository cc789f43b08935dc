"""A process that commits batches as fast as it can, and says so once each is durable. Made to be killed.

    python committing_program.py FILE

Batch n is turn n of each actor, with a row, a message and a blob that bear the number; "n" on stdout acknowledges it.
Sizes vary, so that some commits are one statement, some many, and some make a checkpoint.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from understudy_runtime.core.ports import ActorRow, Blob, InboxRow, TurnWrite
from understudy_runtime.storage.sqlite import SqliteStore

ACTORS = [f"shop/run/{n:03}" for n in range(150)]
TOLD = "shop/run/told"


def turns_of(n: int) -> Sequence[TurnWrite]:
    turns = [TurnWrite(key, n, float(n), b"%d:" % n + b"x" * (n * 97 % 400)) for key in ACTORS]
    if n % 3:
        first = turns[0]
        first.row = ActorRow(first.key, "run", "checkout", "running", n, "", "", 1.0, float(n), None, None)
        first.snapshot = b"%d" % n
        first.sent = [InboxRow(TOLD, first.key, n, b"")]
        first.blobs = [Blob(f"digest-{n}", b"y" * 5000)]
    return turns


async def commit_for_ever(path: Path) -> None:
    store = SqliteStore(path)
    await store.open("node-a", 1000.0)
    n = len(await store.turns(ACTORS[0], 0, 1_000_000))
    while True:
        n += 1
        done: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        store.commit(turns_of(n), done.set_result)
        error = await done
        if error is not None:
            raise error
        print(n, flush=True)


if __name__ == "__main__":
    asyncio.run(commit_for_ever(Path(sys.argv[1])))
