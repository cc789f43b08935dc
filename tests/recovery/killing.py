"""Lives of a real process over one folder, each of which may be cut short by `kill -9`."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

PATIENCE_S = 60.0


def kill_and_finish(program: ModuleType, folder: Path, *, kills: int, seed: int, within_s: float) -> None:
    """Kill it so many times, mostly early, and then let it come to its end."""
    chance = random.Random(seed)
    killed = sum(not live(program, folder, chance.random() ** 2 * within_s) for _ in range(kills))
    assert live(program, folder, None)
    assert killed >= kills // 2, "most of it is to happen among kills"


def live(program: ModuleType, folder: Path, seconds: float | None) -> bool:
    """One life of the process: whether it came to its end before it was killed, so many seconds after it was ready."""
    with begun(program, folder) as process:
        assert process.stdout is not None
        while (line := process.stdout.readline()) != b"ready\n":
            assert line, "it has ended"  # else it is a log line: that it is run with care, for one
        try:
            return process.wait(PATIENCE_S if seconds is None else seconds) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            return False


def begun(program: ModuleType, folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, str(program.__file__), str(folder)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
