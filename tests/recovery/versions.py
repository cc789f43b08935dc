"""One journal under many versions of CPython: what one version began and was killed in, every other one goes on with.

    python -m tests.recovery.versions begin FOLDER
    python -m tests.recovery.versions end FOLDER

`begin` begins a run of every shape in a store of this version's own, and is killed in the midst of them. Then it goes
on with the store that all versions share, and is killed there, too. `end` brings every store in the folder to its end,
each from a copy, and replays all of its runs strictly. `.ci/run` calls `begin` under each version, oldest first, and
then `end` under each. A run may come to another result than elsewhere, for what ends first is chance. It must never be
held, and what it did must be what it does when replayed.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import understudy
from tests.corpus import SHAPES
from tests.execution.program.random_programs import WITH_GROUPS, WITHOUT_GROUPS, random_program
from understudy import App, Client, Retry, RunFailed, RunHandle
from understudy_runtime.node.testing import differences

PROGRAMS = 20
SHARED = "all-versions"
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
END_S = 120.0

app = App("versions")


@app.task(retry=Retry(attempts=1))
async def step(name: str) -> str:
    await asyncio.sleep(0.1 + random.random() * 0.4)
    if name.endswith("!"):
        raise ValueError(name)
    return name


@app.workflow
async def shaped(name: str) -> list[str]:
    if name in SHAPES:
        return await SHAPES[name](step)
    kinds, seed = name.split()
    return await random_program(int(seed), WITH_GROUPS if kinds == "groups" else WITHOUT_GROUPS)(step)


def names() -> list[str]:
    return [*SHAPES, *(f"{kinds} {seed}" for seed in range(PROGRAMS) for kinds in ("groups", "others"))]


async def begin(path: Path, seconds: float) -> None:
    """Start all runs that are not there yet, let them work for so long, and die."""
    async with understudy.embedded(app, store=f"sqlite:///{path}") as client:
        for name in names():
            await client.start(shaped, name, id=name.replace(" ", "-"))
        await asyncio.sleep(seconds)
        os._exit(9)


async def end(path: Path) -> list[str]:
    """What is wrong with the runs of this store under this version."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(path.parent, Path(folder) / "copy") / path.name
        async with understudy.embedded(app, store=f"sqlite:///{copy}") as client, asyncio.timeout(END_S):
            runs = [client.handle(name.replace(" ", "-"), shaped) for name in names()]
            return [fault for fault in await asyncio.gather(*(_fault(client, run) for run in runs)) if fault]


async def _fault(client: Client, run: RunHandle[list[str]]) -> str:
    try:
        await run.result()
    except RunFailed:
        pass
    except understudy.UnderstudyError as error:
        return f"{run.run_id}: {error}"
    diff = differences([app], await run.history())
    return f"{run.run_id}: {diff}" if diff else ""


def begin_all(folder: Path) -> None:
    for name, seconds in ((HERE, 1.0), (SHARED, 0.5)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        if os.fork() == 0:
            asyncio.run(begin(folder / name / "state.db", seconds))
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 9


async def end_all(stores: list[Path]) -> bool:
    """Whether every run of every store came to its end."""
    faults = await asyncio.gather(*map(end, stores))
    for store, found in zip(stores, faults, strict=True):
        print(f"{HERE} goes on with {store.parent.name}: {len(names())} runs, {len(found)} at fault", *found, sep="\n")
    return not any(faults)


if __name__ == "__main__":
    _, what, where = sys.argv
    if what == "begin":
        begin_all(Path(where))
    else:
        sys.exit(not asyncio.run(end_all(sorted(Path(where).glob("*/state.db")))))
