"""The process that `test_kill_jobs.py` kills: runs that submit jobs to an outside system, which outlives all of them.

The system's books are files that lines are appended to: `submitted`, `polled`, `cancelled`. A job ends by itself after
the time that its handle says, or never. Calls take a while before and after they have their effect. Started again with
the same folder, the process goes on.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import understudy
from tests.recovery.victim import append
from understudy import App, Retry, RunCancelled, RunTerminated, TaskFailed, lock
from understudy.jobs import Job, Status, done, pending
from understudy.resource_door import resource_door

RUNS = 24
ENDLESS = 12
LONG_S = 3600.0

app = App("jobs-victim")


def books(file: str) -> list[list[Any]]:
    path = Path(file)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def pause() -> None:
    await asyncio.sleep(random.random() * 0.02)


class Blind(Job[str, str]):
    """Nobody can ask for what was submitted."""

    async def submit(self, idempotency_key: str, name: str, seconds: float) -> str:
        await pause()
        if name.endswith("late") and idempotency_key.endswith(":1"):
            seconds = LONG_S
        handle = f"{name}/{uuid4().hex}/{time.time() + seconds}"
        append("submitted", json.dumps([idempotency_key, handle, time.time()]))
        await pause()
        return handle

    async def poll(self, handle: str) -> Status[str]:
        append("polled", json.dumps([handle, time.time()]))
        await pause()
        name, _, ends_at = handle.split("/")
        return done(name) if time.time() >= float(ends_at) else pending()

    async def cancel(self, handle: str) -> None:
        await pause()
        append("cancelled", json.dumps([handle, time.time()]))
        await pause()


class Found(Blind):
    async def find(self, idempotency_key: str) -> str | None:
        await pause()
        return next((handle for key, handle, _ in books("submitted") if key == idempotency_key), None)


blind = app.job(every="20ms")(Blind)
found = app.job(every="20ms")(Found)
late = app.job(name="Late", every="20ms", timeout="500ms", call_timeout="1s", retry=Retry(attempts=2, first="1ms"))(
    Found
)


@app.task
async def enter(fence: int, name: str) -> None:
    append("entered", json.dumps([fence, name, "in", time.time()]))
    await pause()
    append("entered", json.dumps([fence, name, "out", time.time()]))


@app.workflow
async def computes(number: int) -> list[str]:
    first, second = await asyncio.gather(found(f"{number} a", 0.05), found(f"{number} b", 0.1))
    async with lock("ledger") as held:
        await enter(held.fence, f"{number}")
        third = await found(f"{number} c", 0.0)
    return [first, second, third]


@app.workflow
async def computes_blindly(number: int) -> str:
    try:
        return await blind(f"{number} blind", 0.05)
    except TaskFailed as failed:
        return failed.type


@app.workflow
async def is_late(number: int) -> str:
    return await late(f"{number} late", 0.0)


@app.workflow
async def never_ends(number: int) -> None:
    async with lock(f"endless {number}"):
        await found(f"{number} endless", LONG_S)


async def end_those_that_do_not(client: understudy.Client) -> None:
    """Half of them are cancelled, half terminated, as soon as they may have a job, or before."""
    for number in range(ENDLESS):
        handle = client.handle(f"endless {number}", never_ends)
        if number % 3:
            while not (await handle.jobs() or (await handle.describe()).status != "running"):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.002)  # the node is another thread
        await (handle.cancel() if number % 2 else handle.terminate())
        append("acknowledged", json.dumps(["ended", number]))


async def no_job_of_theirs_is_left() -> None:
    while True:
        endless = {handle for _, handle, _ in books("submitted") if " endless/" in handle}
        if endless <= {handle for handle, _ in books("cancelled")}:
            return
        await asyncio.sleep(0.01)


async def no_lease_is_left(client: understudy.Client) -> None:
    door = resource_door(client.door)
    while True:
        locks = await door.list_resources(kind="lock", limit=1_000)
        if not any(each.held or each.waiting for each in locks):
            return
        await asyncio.sleep(0.01)


async def main() -> None:
    async with understudy.embedded(app, store="sqlite:///state.db") as client:
        print("ready", flush=True)
        runs: list[understudy.RunHandle[Any]] = []
        for number in range(RUNS):
            runs.append(await client.start(computes, number, id=f"found {number}"))
            runs.append(await client.start(computes_blindly, number, id=f"blind {number}"))
            runs.append(await client.start(is_late, number, id=f"late {number}"))
        for number in range(ENDLESS):
            await client.start(never_ends, number, id=f"endless {number}")
        await end_those_that_do_not(client)
        results = await asyncio.gather(*(run.result() for run in runs))
        for number in range(ENDLESS):
            with suppress(RunCancelled, RunTerminated):
                await client.handle(f"endless {number}", never_ends).result()
        await no_job_of_theirs_is_left()
        await no_lease_is_left(client)
        append("results", json.dumps(results))


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    asyncio.run(main())
