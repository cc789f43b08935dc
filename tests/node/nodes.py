"""Real nodes as processes of their own, in a folder of their own, and a plain gRPC client to them."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import grpc
from google.protobuf.message import Message

import understudy
import understudy_proto
import understudy_runtime
from understudy_proto.v1 import runs_pb2, values_pb2

M = TypeVar("M", bound=Message)

PATIENCE_S = 60.0
"""Nothing here should take long; a test that waits for this has failed."""

SHOP = '''
"""A task that has written to the pipe `reached` waits for the pipe `go`."""
import logging
from pathlib import Path

import structlog

from understudy import App, task_info

app = App("shop")

@app.task
async def add(a: int, b: int) -> int:
    structlog.get_logger("shop").info("adding", a=a)
    logging.getLogger("shop.plain").warning("adding %s", b)
    return a + b

@app.task
def halt() -> str:
    Path("reached").write_text("reached")
    return f"{Path('go').read_text()} in attempt {task_info().attempt}"

@app.task(isolate="process")
def pack(words: str) -> int:
    structlog.get_logger("shop").info("packing", words=words)
    logging.getLogger("shop.plain").warning("packing %s", words, extra={"weight": 7})
    print("packed", words)
    print("no end of line", end="")
    try:
        raise ValueError(words)
    except ValueError:
        logging.getLogger("shop.plain").exception("broken")
    return len(words)

@app.workflow
async def packing(words: str) -> list[int]:
    return [await pack(words), await pack("again")]

@app.workflow
async def total(numbers: list[int]) -> int:
    structlog.get_logger("shop").info("totalling")
    result = 0
    for number in numbers:
        result = await add(result, number)
    return result

@app.workflow
async def halting() -> str:
    structlog.get_logger("shop").info("halting")
    return await halt()

@app.workflow
async def unsteady() -> int:
    return await add(hash("unsteady") % 1_000_003, 0)
'''


class Page(NamedTuple):
    status: int
    body: str


class NodeProcess:
    """`understudy node` (or another command) in the folder `at`, and everything it has logged."""

    def __init__(self, at: Path, command: Sequence[str]) -> None:
        self._at = at
        self._process = subprocess.Popen(
            [sys.executable, "-m", "understudy_runtime.cli", *command],
            cwd=at,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._news:
                self._lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    # --- what it says

    @property
    def lines(self) -> list[str]:
        with self._news:
            return list(self._lines)

    def logged(self, event: str, count: int = 1, **wanted: Any) -> dict[str, Any]:
        """The `count`-th entry of this event with these fields, once it is there."""

        def found() -> list[dict[str, Any]]:
            entries = [json.loads(line) for line in self._lines if line.startswith("{")]
            return [entry for entry in entries if entry["event"] == event and entry.items() >= wanted.items()]

        self._wait(lambda: len(found()) >= count, event)
        return found()[count - 1]

    def said(self, text: str) -> str:
        """The first line with this in it, once it is there."""
        self._wait(lambda: any(text in line for line in self._lines), text)
        return next(line for line in self._lines if text in line)

    def _wait(self, there: Callable[[], bool], what: str) -> None:
        with self._news:
            found = self._news.wait_for(lambda: there() or not self._reader.is_alive(), PATIENCE_S)
            assert there() or (found and there()), f"nothing of {what!r} in:\n" + "\n".join(self._lines)

    def became_ready(self) -> bool:
        """Whether it got as far as serving; False if it ended before."""
        with self._news:
            ready = '"event": "the node is ready"'
            self._news.wait_for(
                lambda: any(ready in line for line in self._lines) or not self._reader.is_alive(), PATIENCE_S
            )
            return any(ready in line for line in self._lines)

    @property
    def address(self) -> str:
        return str(self.logged("the node is ready")["address"])

    def get(self, path: str) -> Page:
        host = self.logged("the node is ready")["http"]
        try:
            with urllib.request.urlopen(f"http://{host}{path}", timeout=PATIENCE_S) as response:
                return Page(response.status, response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Page(error.code, error.read().decode())

    # --- what is done to it

    def client(self, token: str = "", credentials: grpc.ChannelCredentials | None = None) -> Client:
        return Client(self.address, token, credentials)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> int:
        """Its exit code, once it has one and all that it said has been read."""
        code = self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    @property
    def output(self) -> str:
        """Standard output of a process that has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.read()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(PATIENCE_S)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


class Client:
    """Calls of any method by its name, as every gRPC client makes them."""

    def __init__(self, address: str, token: str = "", credentials: grpc.ChannelCredentials | None = None) -> None:
        self.channel = (
            grpc.insecure_channel(address) if credentials is None else grpc.secure_channel(address, credentials)
        )
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def call(self, method: str, request: Message, response: type[M]) -> M:
        """`method` is such as "RunService/StartRun"."""
        call: grpc.UnaryUnaryMultiCallable[Message, M] = self.channel.unary_unary(
            f"/understudy.v1.{method}", _encoded, response.FromString
        )
        return call(request, timeout=PATIENCE_S, metadata=self._metadata, wait_for_ready=True)

    def start(self, workflow: str, input: str = "[]") -> str:
        request = runs_pb2.StartRunRequest(workflow=workflow, input=values_pb2.Arguments(json=input.encode()))
        return self.call("RunService/StartRun", request, runs_pb2.StartRunResponse).run_id

    def result(self, run_id: str) -> Any:
        outcome = self.call(
            "RunService/WaitRun", runs_pb2.WaitRunRequest(run_id=run_id), runs_pb2.WaitRunResponse
        ).outcome
        assert outcome.status == runs_pb2.RUN_STATUS_SUCCEEDED, outcome
        return json.loads(outcome.result)


def _encoded(message: Message) -> bytes:
    return message.SerializeToString()


class Yard:
    """A folder with an app in it, and the nodes that run it."""

    def __init__(self, at: Path) -> None:
        self.at = at
        self._nodes: list[NodeProcess] = []
        (at / "shop.py").write_text(SHOP)
        for pipe in ("reached", "go"):
            os.mkfifo(at / pipe)

    def node(self, *options: str, target: str = "shop.py") -> NodeProcess:
        anywhere = ["--listen", "127.0.0.1:0"] if "--listen" not in options else []
        return self.command("node", target, "--store", "state.db", "--http", "127.0.0.1:0", *anywhere, *options)

    def command(self, *command: str) -> NodeProcess:
        node = NodeProcess(self.at, command)
        self._nodes.append(node)
        return node

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

    def close(self) -> None:
        for node in self._nodes:
            node.close()


def free_address() -> str:
    """Where nobody listens, for a node that cannot tell where it does."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def environment() -> dict[str, str]:
    """Our packages may come from the source tree, and the commands' folder must not be one where they do."""
    packages = (understudy, understudy_runtime, understudy_proto)
    roots = [str(Path(package.__file__ or "").parents[1]) for package in packages]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UNDERSTUDY_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(roots)}
