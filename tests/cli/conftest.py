"""The real command, as a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

import understudy
import understudy_proto
import understudy_runtime

PATIENCE_S = 60.0
"""Nothing here should take long; a test that waits for this has failed."""

SHOP = '''
"""Workflows that stop where a test wants them to: a task that has written to the pipe `reached` waits for `go`."""
from pathlib import Path

from understudy import App

app = App("shop")

@app.task
async def add(a: int, b: int) -> int:
    print("adding", a, b)
    with open("effects", "a") as effects:
        effects.write("add\\n")
    return a + b

@app.task
def halt() -> str:
    Path("reached").write_text("reached")
    return Path("go").read_text()

@app.workflow
async def total(numbers: list[int]) -> int:
    result = 0
    for number in numbers:
        result = await add(result, number)
    return result

@app.workflow
async def halting(start: int = 1) -> str:
    subtotal = await add(start, 1)
    return f"{subtotal} {await halt()}"

@app.workflow
async def broken(why: str, loud: bool = False) -> None:
    await add(1, 1)
    raise ValueError(why)

@app.workflow
async def changing() -> int:
    first = await add(1, 1)
    await halt()
    return first

not_a_workflow = 1
'''


class Ended(msgspec.Struct, frozen=True):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Cli:
    """`understudy` in the folder `at`."""

    def __init__(self, at: Path) -> None:
        self.at = at
        self.env: dict[str, str] = {}
        self._processes: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str, stdin: str = "") -> Ended:
        return self._ended(self.start(*arguments), stdin)

    def script(self, *arguments: str) -> Ended:
        """A Python file in the place of the command."""
        return self._ended(self._start(arguments, subprocess.PIPE, subprocess.PIPE), "")

    def _ended(self, process: subprocess.Popen[str], stdin: str) -> Ended:
        out, err = process.communicate(stdin, timeout=PATIENCE_S)
        return Ended(process.returncode, out, err)

    def start(
        self, *arguments: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        return self._start(("-m", "understudy_runtime.cli", *arguments), stdout, stderr)

    def _start(self, arguments: Sequence[str], stdout: int, stderr: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.at,
            env=_environment() | self.env,
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )
        self._processes.append(process)
        return process

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()

    def halted(self) -> None:
        """Wait until the task `halt` has begun."""
        pipe = os.open(self.at / "reached", os.O_RDONLY | os.O_NONBLOCK)
        try:
            assert select.select([pipe], [], [], PATIENCE_S)[0], "no task has come that far"
            assert os.read(pipe, 100) == b"reached"
        finally:
            os.close(pipe)

    def go_on(self, word: str) -> None:
        (self.at / "go").write_text(word)

    @property
    def effects(self) -> list[str]:
        return (self.at / "effects").read_text().split()


def _environment() -> dict[str, str]:
    """Our packages may come from the source tree, and the commands' folder must not be one where they do."""
    packages = (understudy, understudy_proto, understudy_runtime)
    roots = [str(Path(package.__file__ or "").parents[1]) for package in packages]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UNDERSTUDY_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(roots)}


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    (tmp_path / "shop.py").write_text(SHOP)
    for pipe in ("reached", "go"):
        os.mkfifo(tmp_path / pipe)
    command = Cli(tmp_path)
    yield command
    command.close()
