"""The process that the recovery workload kills: starts runs, notes each that is acknowledged, and waits for its end."""

from __future__ import annotations

import asyncio
import sys

from benchmarks.app import app, append_line, marks
from benchmarks.driving import in_flight
from understudy import embedded


async def be_killed(url: str, effects: str, acknowledged: str, runs: int, run_steps: int) -> None:
    async with embedded(app, store=url) as client:

        async def start(number: int) -> None:
            run = await client.start(marks, effects, run_steps, id=f"run-{number}")
            append_line(acknowledged, run.run_id)

        await in_flight(runs, runs, start)
        await asyncio.Event().wait()


if __name__ == "__main__":
    url, effects, acknowledged, runs, run_steps = sys.argv[1:]
    asyncio.run(be_killed(url, effects, acknowledged, int(runs), int(run_steps)))
