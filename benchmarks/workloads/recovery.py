"""Runs whose process is killed with -9 half-way: how long until all are done once the store is opened again.

The killed process is this module run as a program. Every task leaves a mark in a file: `lost` counts runs that were
acknowledged and did not end as they should, `repeated` counts marks that were left more than once, which only
attempts that were running at the kill may do. Latency is from opening the store to a run's result.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.app import app, marks
from benchmarks.driving import in_flight
from benchmarks.measure import Figures, figures
from benchmarks.place import Place
from understudy import Client, UnderstudyError, embedded

POLL_S = 0.002
GIVE_UP_S = 60.0


async def measure(place: Place, *, runs: int = 1_000, run_steps: int = 5) -> list[Figures]:
    effects, acknowledged = place.folder / "marks", place.folder / "acknowledged"
    effects.touch()
    acknowledged.touch()
    await _run_and_kill(place, effects, acknowledged, runs, run_steps)
    ids = acknowledged.read_text().split()
    left = runs * run_steps - len(set(effects.read_text().split()))
    began = time.perf_counter()
    lost = 0

    async def finish(number: int) -> None:
        nonlocal lost
        lost += not await _ends_well(client, ids[number], run_steps)

    async with place.node() as client:
        pace = await in_flight(len(ids), len(ids), finish)
        seconds = time.perf_counter() - began
    found = effects.read_text().split()
    return [
        figures(
            f"{runs} runs",
            done=len(ids),
            unit="runs/s",
            seconds=seconds,
            latencies_ms=pace.latencies_ms,
            runs=runs,
            seconds_to_all_done=seconds,
            lost=lost,
            repeated=len(found) - len(set(found)),
            tasks_left=left,
        )
    ]


async def _run_and_kill(place: Place, effects: Path, acknowledged: Path, runs: int, run_steps: int) -> None:
    """Returns when half of all marks have been left and whoever left them is dead."""
    arguments = [place.url, str(effects), str(acknowledged), str(runs), str(run_steps)]
    victim = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, *arguments)
    try:
        async with asyncio.timeout(GIVE_UP_S):
            while effects.read_bytes().count(b"\n") < runs * run_steps / 2:
                await asyncio.sleep(POLL_S)
    finally:
        victim.kill()
        await victim.wait()


async def _ends_well(client: Client, id: str, run_steps: int) -> bool:
    try:
        return await client.handle(id, marks).result() == run_steps
    except UnderstudyError:
        return False


async def be_killed(url: str, effects: str, acknowledged: str, runs: int, run_steps: int) -> None:
    """Start the runs, note each that is acknowledged, and wait for the end."""
    async with embedded(app, store=url) as client:

        async def start(number: int) -> None:
            run = await client.start(marks, effects, run_steps, id=f"run-{number}")
            log.write(f"{run.run_id}\n")
            log.flush()

        with Path(acknowledged).open("a") as log:
            await in_flight(runs, runs, start)
            await asyncio.Event().wait()


def main(arguments: Sequence[str]) -> None:
    url, effects, acknowledged, runs, run_steps = arguments
    asyncio.run(be_killed(url, effects, acknowledged, int(runs), int(run_steps)))


if __name__ == "__main__":
    main(sys.argv[1:])
