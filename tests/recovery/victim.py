"""The process that `test_kill.py` kills: it starts runs, tells an actor, and waits for all results.

Started again with the same folder it goes on. Whatever it does that outsiders could see is appended to a file, a line
at a time: attempts to `effects`, and what was acknowledged to `acknowledged`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path

import understudy
from understudy import Actor, App, Retry, handler, readonly, task_info

RUNS = 60
CHAIN = 12
FAN = 4

app = App("victim")


def append(file: str, line: str) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


def effect(name: str) -> None:
    info = task_info()
    append("effects", json.dumps([info.key, info.attempt, info.dispatch, name, time.time()]))


@app.task
async def step(name: str) -> str:
    effect(name)
    await asyncio.sleep(random.random() * 0.02)
    return name


@app.task
def blocking(name: str) -> str:
    effect(name)
    time.sleep(random.random() * 0.02)
    return name


@app.task(retry=Retry(attempts=3, first=0.01))
async def flaky(name: str) -> str:
    effect(name)
    if task_info().attempt < 3:
        raise OSError(name)
    return name


@app.actor
class Tally(Actor):
    told: list[str] = []

    @handler
    def add(self, name: str) -> int:
        self.told.append(name)
        return len(self.told)

    @readonly
    def all(self) -> list[str]:
        return self.told


@app.workflow
async def child(name: str) -> str:
    return await step(f"{name} child")


@app.workflow
async def busy(number: int) -> list[str]:
    seen = [await step(f"{number} step {n}") for n in range(CHAIN)]
    seen += await asyncio.gather(*[blocking(f"{number} fan {n}") for n in range(FAN)])
    await asyncio.sleep(0.02)
    seen.append(await flaky(f"{number} flaky"))
    seen.append(await child(f"{number}"))
    await Tally.at("runs").ask(Tally.add, f"{number}")
    return seen


def expected(number: int) -> list[str]:
    steps = [f"{number} step {n}" for n in range(CHAIN)]
    return [*steps, *(f"{number} fan {n}" for n in range(FAN)), f"{number} flaky", f"{number} child"]


async def main() -> None:
    append("lives", "")
    life = Path("lives").stat().st_size  # noqa: ASYNC240 - it is a script
    async with understudy.embedded(app, store="sqlite:///state.db") as client:
        print("ready", flush=True)
        for number in range(RUNS):
            await client.start(busy, number, id=f"run {number}")
            append("acknowledged", json.dumps(["started", f"run {number}"]))
            told = f"{life} {number}"
            await client.tell(Tally.at("told"), Tally.add, told)
            append("acknowledged", json.dumps(["told", told]))
        results = await asyncio.gather(*[client.handle(f"run {number}", busy).result() for number in range(RUNS)])
        told_by = {name: await client.ask(Tally.at(name), Tally.all) for name in ("told", "runs")}
        append("results", json.dumps({"results": results, **told_by}))


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    asyncio.run(main())
