"""The app of chaos, with a job and a schedule besides: what runs while a release is brought out."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.chaos.app import app, write
from understudy import scheduled_for
from understudy.jobs import Job, Status, done, pending

JOB_S = 0.5
EVERY_S = 1.0

__all__ = ["app", "outside", "tick"]


def submits() -> list[tuple[str, str]]:
    """Keys and handles, in the outside system's books."""
    books = Path("submits.txt")
    lines = books.read_text().splitlines() if books.exists() else []
    return [(key, handle) for key, _, handle in (line.partition(" ") for line in lines)]


class Outside(Job[str, str]):
    """Goes on for `JOB_S`, in a system that knows nothing of us."""

    async def submit(self, idempotency_key: str, name: str) -> str:
        handle = f"{name} {time.time() + JOB_S}"
        write("submits.txt", idempotency_key, handle)
        return handle

    async def find(self, idempotency_key: str) -> str | None:
        """A submit that a node has recorded, and not begun when it leaves, is one that may have been made."""
        return next((handle for key, handle in submits() if key == idempotency_key), None)

    async def poll(self, handle: str) -> Status[str]:
        name, ends_at = handle.split()
        return done(name) if time.time() > float(ends_at) else pending()


run_outside = app.job(every="200ms")(Outside)


@app.workflow
async def outside(name: str) -> str:
    return await run_outside(name)


@app.task
async def note_tick() -> None:
    at = scheduled_for()
    assert at is not None
    write("ticks.txt", round(at.timestamp()))


@app.schedule(every=EVERY_S, overlap="allow")
@app.workflow
async def tick() -> None:
    await note_tick()
