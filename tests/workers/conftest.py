"""A real node that runs no tasks itself, and real worker processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest

from understudy_proto.v1 import runs_pb2, runs_pb2_grpc, values_pb2

ROOT = Path(__file__).parents[2]
SHOP = str(Path(__file__).with_name("shop.py"))
PATIENCE_S = 60.0


class Command:
    """An `understudy` process and what it has logged."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "understudy_runtime.cli", *arguments, "--log-format", "json"],
            stderr=subprocess.PIPE,
            env=environment(),
        )
        self.pid = self.process.pid
        self.events: list[dict[str, Any]] = []
        self.noise: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                self.events.append(json.loads(line))
            except ValueError:
                self.noise.append(line.decode())

    def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """The first event of that name and with these fields, once it is logged."""

        def found() -> dict[str, Any] | None:
            assert self.process.poll() is None or self._reader.is_alive() or match(), "".join(self.noise)
            return match()

        def match() -> dict[str, Any] | None:
            return next((e for e in self.events if e["event"] == name and fields.items() <= e.items()), None)

        event: dict[str, Any] = eventually(found)
        return event

    def exit_code(self) -> int:
        eventually(lambda: self.process.poll() is not None)
        return self.process.returncode

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


def eventually(true: Callable[[], Any]) -> Any:
    """What other processes do is seen by looking. The first truthy answer."""
    until = time.monotonic() + PATIENCE_S
    while not (answer := true()):
        assert time.monotonic() < until, "waited for too long"
        time.sleep(0.01)
    return answer


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(str(ROOT / source) for source in ("sdk", "runtime", "proto"))}


class Outcome(msgspec.Struct, frozen=True):
    status: str
    result: Any
    failure: str


class Node:
    """A client's view of the node under test, and the processes made for it."""

    def __init__(self, command: Command, address: str) -> None:
        self.command = command
        self.address = address
        self.channel = grpc.insecure_channel(address)
        self.runs: Any = runs_pb2_grpc.RunServiceStub(self.channel)
        self._commands: list[Command] = []

    @classmethod
    def opened(cls, *arguments: str) -> Node:
        """A node of the test's own, which runs no tasks itself."""
        command = Command("node", SHOP, "--no-run-tasks", *arguments)
        node = cls(command, (command.event("the node is ready"))["address"])
        node._commands.append(command)
        return node

    def worker(self, *arguments: str, connect: str = "") -> Command:
        """A worker that has joined."""
        return (self.workers(1, *arguments, connect=connect))[0]

    def workers(self, count: int, *arguments: str, connect: str = "") -> list[Command]:
        address = connect or self.address
        started = [self.command_for("worker", "--connect", address, *arguments) for _ in range(count)]
        for worker in started:
            self._joined(worker)
        return started

    def command_for(self, name: str, *arguments: str) -> Command:
        """A command over the tests' tasks; nobody waits until it has done anything."""
        self._commands.append(Command(name, SHOP, *arguments))
        return self._commands[-1]

    def _joined(self, worker: Command) -> None:
        def joined() -> bool:
            assert worker.process.poll() is None, "".join(worker.noise)
            names = [event["worker"] for event in self.command.events if event["event"] == "worker joined"]
            return any(name.endswith(f"-{worker.pid}") for name in names)

        eventually(joined)

    def start(self, workflow: str, *args: Any) -> str:
        call = values_pb2.Arguments(json=msgspec.json.encode(args))
        started: Any = self.runs.StartRun(runs_pb2.StartRunRequest(workflow=workflow, input=call), timeout=PATIENCE_S)
        return str(started.run_id)

    def cancel(self, run_id: str) -> None:
        self.runs.CancelRun(runs_pb2.CancelRunRequest(run_id=run_id))

    def outcome(self, run_id: str) -> Outcome:
        waited: Any = self.runs.WaitRun(runs_pb2.WaitRunRequest(run_id=run_id), timeout=PATIENCE_S)
        ended = waited.outcome
        result = msgspec.json.decode(ended.result) if ended.result else None
        failure = f"{ended.failure.type}: {ended.failure.message}"
        return Outcome(runs_pb2.RunStatus.Name(ended.status).removeprefix("RUN_STATUS_").lower(), result, failure)

    def result(self, run_id: str) -> Any:
        outcome = self.outcome(run_id)
        assert outcome.status == "succeeded", outcome
        return outcome.result

    def listed(self, *arguments: str) -> str:
        """What `understudy nodes list` prints of it."""
        command = [sys.executable, "-m", "understudy_runtime.cli", "nodes", "list", "--connect", self.address]
        return subprocess.run(
            [*command, *arguments], env=environment(), capture_output=True, text=True, check=True, timeout=PATIENCE_S
        ).stdout

    def close(self) -> None:
        for command in self._commands:
            command.close()
        self.channel.close()


@pytest.fixture(scope="module")
def node_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    store = tmp_path_factory.mktemp("node") / "state.db"
    command = Command("node", SHOP, "--store", str(store), "--listen", "127.0.0.1:0", "--no-run-tasks")
    yield command
    command.close()


@pytest.fixture
def node(node_command: Command) -> Iterator[Node]:
    ready = node_command.event("the node is ready")
    node = Node(node_command, ready["address"])
    yield node
    node.close()
