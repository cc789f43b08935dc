"""The census of `examples/census.py` over real files against one plain process doing the same; `speedup` is the ratio.

Both read the same copies, which the system has in its cache; the node has run a small census before. Latency is
from the start of the run to the turn that takes each file in.
"""

from __future__ import annotations

import shutil
import sysconfig
import time
from itertools import cycle, islice
from pathlib import Path

from benchmarks.driving import since_first_turn_ms, turns_of
from benchmarks.measure import Figures, figures
from benchmarks.place import Place
from examples.census import app, census, in_one_process

WARM_UP_FILES = 40


async def measure(place: Place, *, files: int = 1_500) -> list[Figures]:
    folder = copy_sources(place.folder / "sources", files)
    few = copy_sources(place.folder / "few", WARM_UP_FILES)
    plain_s = _time_plain(folder)
    async with place.node(app) as client:
        await client.run(census, str(few))
        began = time.perf_counter()
        await client.run(census, str(folder), id="census")
        seconds = time.perf_counter() - began
        latencies_ms = since_first_turn_ms(await turns_of(client.handle("census")))
    return [
        figures(
            f"{files} files",
            done=files,
            unit="files/s",
            seconds=seconds,
            latencies_ms=latencies_ms,
            runs=1,
            seconds_in_one_process=plain_s,
            speedup=plain_s / seconds,
        )
    ]


def copy_sources(folder: Path, count: int) -> Path:
    """A folder of `count` files of the standard library, evenly chosen; again from the first if it has fewer."""
    folder.mkdir()
    library = sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py"))
    library = [file for file in library if "site-packages" not in file.parts]
    chosen = library[:: max(1, len(library) // count)]
    for number, file in enumerate(islice(cycle(chosen), count)):
        shutil.copyfile(file, folder / f"{number:05}.py")
    return folder


def _time_plain(folder: Path) -> float:
    began = time.perf_counter()
    in_one_process(str(folder))
    return time.perf_counter() - began
