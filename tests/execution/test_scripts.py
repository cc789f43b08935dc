"""Scripts that are run as such, and tasks of theirs that have processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import asyncio, os, sys, understudy
from understudy import App

app = App("script")

@app.task(isolate="process")
def work() -> int:
    return os.getpid()

@app.workflow
async def main() -> bool:
    return await work() != os.getpid()

async def script() -> None:
    async with understudy.embedded(app, store=sys.argv[1]) as client:
        print(await client.run(main))

if {condition}:
    asyncio.run(script())
"""


def run(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_script_may_have_tasks_in_processes(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.format(condition='__name__ == "__main__"'))
    assert run(tmp_path, "script.py", "sqlite:///own.db").stdout == "True\n"


def test_a_script_that_starts_a_node_when_it_is_imported_is_told_and_leaves_no_stores_behind(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.format(condition="True"))
    ended = run(tmp_path, "script.py", "sqlite:///own.db")
    assert "put that under `if __name__ == '__main__':`" in ended.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"script.py", "own.db", "own.db.lock"}


def test_code_without_a_file_cannot_have_tasks_in_processes(tmp_path: Path) -> None:
    ended = run(tmp_path, "-", "memory://", stdin=SCRIPT.format(condition="True"))
    assert 'task work has isolate="process" and must be defined in a file' in ended.stderr
