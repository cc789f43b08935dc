"""Runs whose process is killed with -9 half-way: how long until all are done once the store is opened again.

Every task leaves a mark in a file: `lost` counts runs that were acknowledged and did not end as they should,
`repeated` counts marks that were left more than once, which only attempts whose end was not yet durable at the kill
may do. Latency is from opening the store to a run's result.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.app import marks
from benchmarks.driving import in_flight
from benchmarks.measure import Figures, figures
from benchmarks.place import Place
from understudy import Client, UnderstudyError

POLL_S = 0.002
GIVE_UP_S = 60.0


async def measure(place: Place, *, runs: int = 1_000, run_steps: int = 5) -> list[Figures]:
    effects, acknowledged = place.folder / "marks", place.folder / "acknowledged"
    run_and_kill(place, effects, acknowledged, runs, run_steps)
    names = lines_of(acknowledged)
    left = runs * run_steps - len(set(lines_of(effects)))
    ended_well: list[bool] = []

    async def finish(number: int) -> None:
        ended_well.append(await ends_well(client, names[number], run_steps))

    began = time.perf_counter()
    async with place.node() as client:
        opening_ms = (time.perf_counter() - began) * 1000
        pace = await in_flight(len(names), len(names), finish)
        seconds = time.perf_counter() - began
    found = lines_of(effects)
    return [
        figures(
            f"{runs} runs",
            done=len(names),
            unit="runs/s",
            seconds=seconds,
            latencies_ms=[opening_ms + ms for ms in pace.latencies_ms],
            runs=runs,
            seconds_to_all_done=seconds,
            lost=ended_well.count(False),
            repeated=len(found) - len(set(found)),
            tasks_left=left,
        )
    ]


def run_and_kill(place: Place, effects: Path, acknowledged: Path, runs: int, run_steps: int) -> None:
    """Returns when half of all marks have been left and whoever left them is dead."""
    arguments = [place.url, str(effects), str(acknowledged), str(runs), str(run_steps)]
    deadline = time.monotonic() + GIVE_UP_S
    with subprocess.Popen([sys.executable, "-m", "benchmarks.victim", *arguments]) as victim:
        try:
            while len(lines_of(effects)) < runs * run_steps / 2:
                if victim.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the process to be killed did not get half-way")
                time.sleep(POLL_S)
        finally:
            victim.kill()


def lines_of(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


async def ends_well(client: Client, run_id: str, run_steps: int) -> bool:
    try:
        return await client.handle(run_id, marks).result() == run_steps
    except UnderstudyError:
        return False
