"""What is shared, and what is done elsewhere, in journals that are kept: resources, locks, jobs, reminders, schedules.

Journals of every release are loaded with it for ever: add to it, never change it.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Final

from understudy import (
    Actor,
    App,
    Resource,
    Retry,
    ask,
    continue_as_new,
    forget,
    handler,
    heartbeat,
    lock,
    operation,
    patched,
    readonly,
    remind,
    semaphore,
    wait_until,
)
from understudy.jobs import Job, Status, done, failed, pending

app = App("plant")

ENDED: Final[set[str]] = set()
"""Handles of jobs that have ended, outside."""


POLLED: Final = threading.Event()
"""A job goes on outside, and so its handle is durable."""


class Jam(Exception):
    pass


@app.resource(capacity=2)
class Press(Resource[str, str]):
    async def create(self, spec: str, fence: int) -> str:
        return f"{spec}-{fence}"

    async def destroy(self, handle: str, fence: int) -> None: ...

    @operation(rate="1000/s")
    async def stamp(self, handle: str, text: str, fence: int = 0) -> str:
        return f"{text} by {handle}"


class Cure(Job[str, str]):
    async def submit(self, idempotency_key: str, part: str) -> str:
        return part

    async def poll(self, handle: str) -> Status[str]:
        if handle == "jammed":
            return failed(Jam(handle))
        if handle in ENDED:
            return done(f"{handle} cured")
        if handle == "door":
            POLLED.set()
        return pending()

    async def cancel(self, handle: str) -> None: ...


cure = app.job(every="100ms", timeout="1000d", retry=Retry(attempts=2, first="1ms"), raises=(Jam,))(Cure)


@app.workflow
async def stamped(part: str) -> str:
    """Ends: a lease of a resource that is made, and an operation under it."""
    async with Press.at("hall", "p").lease() as press, semaphore("bench", 3):
        return await press.stamp(part)


@app.workflow
async def jams() -> str:
    try:
        return await cure("jammed")
    except Jam:
        return "jammed"


@app.workflow
class Guarded:
    """Holds a lock until it is told to let it go."""

    def __init__(self) -> None:
        self.word: str | None = None
        self.fence: int | None = None

    async def run(self) -> tuple[str, int]:
        async with lock("gate") as held:
            self.fence = held.fence
            return await wait_until(lambda: self.word), held.fence

    @handler
    async def holding(self) -> int:
        """The fence, once it has the lock."""
        return await wait_until(lambda: self.fence)

    @handler
    def say(self, word: str) -> None:
        self.word = word


@app.workflow
async def curing(part: str) -> str:
    """Its job goes on outside, whatever becomes of the node."""
    return await cure(part)


@app.workflow
async def timed_out() -> str:
    try:
        async with asyncio.timeout(0.01):
            async with lock("gate"):
                return "through"
    except TimeoutError:
        return "shut"


@app.task(optional=True)
def sweep() -> None:
    heartbeat("half")
    raise Jam("dust")


@app.task
def count(n: int) -> int:
    return n + 1


@app.workflow
async def rounds(n: int = 0) -> int:
    """Two executions, a question to an actor, a task that may fail, and a bridge between versions of the code."""
    counted = await count(n)
    if counted < 2:
        continue_as_new(counted)
    await sweep()
    noted = await ask(Foreman.at("bob"), Foreman.note, "round")
    return counted + noted if patched("plus") else counted


@app.workflow
async def gives_up() -> str:
    """Its job is stopped outside."""
    try:
        async with asyncio.timeout(0.2):
            return await cure("slow")
    except TimeoutError:
        return "gave up"


@app.workflow
async def inspected() -> str:
    return "seen"


@app.actor
class Foreman(Actor):
    noted: list[str] = []

    @handler
    def note(self, text: str) -> int:
        self.noted.append(text)
        return len(self.noted)

    @handler
    def later(self, text: str) -> None:
        remind(text, "1000d", Foreman.note, text)

    @handler
    def never(self, text: str) -> None:
        forget(text)

    @readonly
    def all(self) -> list[str]:
        return self.noted
