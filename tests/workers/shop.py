"""What the workers of these tests run. Tasks speak to the tests through files, which outlive a killed worker."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from understudy import App, task_info

app = App("shop")


@app.task
async def who() -> int:
    return os.getpid()


@app.workflow
async def rounds(count: int) -> list[list[int]]:
    """In each round five tasks at once; who did them."""
    return [list(await asyncio.gather(*(who() for _ in range(5)))) for _ in range(count)]


@app.task
async def holds_on(folder: str) -> list[int]:
    """Until there is a file `go`; leaves a file with the id of the process that runs it."""
    place, info = Path(folder), task_info()
    (place / f"running-{info.attempt}-{info.dispatch}").write_text(str(os.getpid()))
    try:
        while True:
            if (place / "go").exists():
                break
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        (place / f"cancelled-{info.attempt}-{info.dispatch}").touch()
        raise
    return [os.getpid(), info.attempt, info.dispatch]


@app.workflow
async def held_on(folder: str) -> list[int]:
    return await holds_on(folder)


@app.task
async def blocks(folder: str) -> int:
    """Keeps its work loop from answering until there is a file `go`."""
    (Path(folder) / "running").write_text(str(os.getpid()))
    while not (Path(folder) / "go").exists():
        time.sleep(0.01)  # noqa: ASYNC251 - that is the point
    return os.getpid()


@app.workflow
async def blocked(folder: str) -> int:
    return await blocks(folder)


@app.task(labels=["gpu"])
async def trains() -> int:
    return os.getpid()


@app.task(queue="night")
async def counts() -> int:
    return os.getpid()


@app.workflow
async def choosy() -> list[int]:
    return list(await asyncio.gather(trains(), counts()))


@app.task
async def measure(width: int, height: int = 1) -> int:
    raise AssertionError("for workers that are none of ours")


@app.workflow
async def measured(width: int) -> int:
    return await measure(width, height=2)
