"""What the benchmarks run: the smallest workflows and actors that have each shape."""

from __future__ import annotations

import asyncio
import os

from understudy import (
    Actor,
    App,
    Health,
    Resource,
    ResourceRef,
    handler,
    heartbeat,
    lock,
    now,
    readonly,
    task_info,
    wait_until,
)

app = App("benchmarks")

SPIN_CHUNK = 20_000
"""Passes of the busy loop between two looks at whether it is to end: about a millisecond."""


@app.task
async def double(x: int) -> int:
    return 2 * x


@app.task
async def leave_mark(path: str) -> str:
    """Append this call's idempotency key to a file: an effect that can be counted."""
    key = task_info().key
    append_line(path, key)
    return key


@app.task
def spin() -> None:
    """Pure Python without an end, for as long as somebody awaits it."""
    while True:
        for _ in range(SPIN_CHUNK):
            pass
        heartbeat()


@app.workflow
async def hello(x: int) -> int:
    return await double(x)


@app.workflow
async def chain(steps: int) -> int:
    total = 0
    for step in range(steps):
        total += await double(step)
    return total


@app.workflow
async def fanout(tasks: int) -> int:
    return sum(await asyncio.gather(*(double(x) for x in range(tasks))))


@app.resource(check_every="15s")
class Cluster(Resource[str, str]):
    """Has a life cycle as a real one does, and costs nothing outside."""

    async def create(self, spec: str, fence: int) -> str:
        return f"{spec}-{fence}"

    async def check(self, handle: str) -> Health:
        return "healthy"

    async def destroy(self, handle: str, fence: int) -> None: ...


def cluster(name: str) -> ResourceRef[Cluster]:
    return Cluster.at(name, "small")


@app.workflow
async def take_turns(kind: str, name: str, pairs: int) -> int:
    """Take a lease of a "resource" or a "lock" and give it back, so many times; the last fence."""
    fence = 0
    for _ in range(pairs):
        async with cluster(name).lease() if kind == "resource" else lock(name) as held:
            fence = held.fence
    return fence


@app.workflow
class Holds:
    """Holds a cluster until it is told to let go."""

    def __init__(self) -> None:
        self.over = False

    async def run(self, name: str) -> None:
        async with cluster(name).lease():
            await wait_until(lambda: self.over)

    @handler
    def let_go(self) -> None:
        self.over = True


@app.workflow
async def sleeper(seconds: float) -> tuple[float, float]:
    """When it was due to wake and when it did, in seconds since 1970."""
    due = now().timestamp() + seconds
    await asyncio.sleep(seconds)
    return due, now().timestamp()


@app.workflow
async def marks(path: str, steps: int) -> int:
    return len([await leave_mark(path) for _ in range(steps)])


@app.workflow
async def busy() -> None:
    await spin()


@app.workflow
class PingPong:
    """Answers until it is told to end."""

    def __init__(self) -> None:
        self.pings = 0
        self.ended = False

    async def run(self) -> int:
        await wait_until(lambda: self.ended)
        return self.pings

    @handler
    def ping(self) -> int:
        self.pings += 1
        return self.pings

    @handler
    def end(self) -> None:
        self.ended = True


@app.actor
class Counter(Actor):
    value: int = 0

    @handler
    def add(self, n: int) -> int:
        self.value += n
        return self.value

    @readonly
    def current(self) -> int:
        return self.value


def append_line(path: str, line: str) -> None:
    """In one write, which a kill cannot cut in two."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)
