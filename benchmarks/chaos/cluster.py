"""A cluster of real processes on this machine: etcd, PostgreSQL and nodes, and all that can be done to them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio

from tests.cluster.servers import EtcdServer, free_port
from tests.storage.database import Database, running_database

APP: Final = Path(__file__).with_name("app.py")
ROOT: Final = Path(__file__).parents[2]
SHARDS: Final = 64
READY: Final = '"event": "the node is ready"'
STARTS_S: Final = 60.0


class NodeOf:
    """One node, in one life after the other, always at the same address. What it logs goes to a file."""

    def __init__(self, name: str, at: Path, command: list[str], target: str) -> None:
        self.name = name
        self.address = f"127.0.0.1:{free_port()}"
        self.log = at / f"{name}.log"
        self.program = "understudy_runtime.cli"
        """The module that is run; another one may be another release."""
        self._at = at
        self._command = [
            "node", target, "--name", name, "--listen", self.address, "--log-format", "json", "--parent",
            str(os.getpid()), *command,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self._read_from = 0

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        assert not self.alive
        self._read_from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            # Targets may be modules of this repository.
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
            command = [sys.executable, "-m", self.program, *self._command]
            self._process = subprocess.Popen(command, cwd=self._at, env=environment, stdout=log, stderr=log)

    async def ready(self) -> None:
        """Returns when this life serves. RuntimeError if it ends before."""
        with anyio.fail_after(STARTS_S):
            while READY not in self.said():
                if not self.alive:
                    raise RuntimeError(f"{self.name} has ended:\n{self.said()[-3000:]}")
                await asyncio.sleep(0.05)

    def said(self) -> str:
        """In this life."""
        with self.log.open("rb") as log:
            log.seek(self._read_from)
            return log.read().decode(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> int:
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait)

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.ended()

    async def leave(self) -> int:
        """In good order; its exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended()


class Cluster:
    def __init__(self, folder: Path, database: Database, etcd: EtcdServer, session_s: float, target: str) -> None:
        self.folder = folder
        self.database = database
        self.etcd = etcd
        self.session_s = session_s
        self.store = database.url("chaos", SHARDS)
        self.nodes: dict[str, NodeOf] = {}
        self._target = target

    def node(self, name: str, *options: str, store: str = "", etcd: str = "") -> NodeOf:
        """A new one, not started. `store` and `etcd` are other ways to the same."""
        command = ["--store", store or self.store, "--etcd", etcd or self.etcd.url, "--cluster", "chaos"]
        command += ["--session-s", str(self.session_s), *options]
        node = self.nodes[name] = NodeOf(name, self.folder, command, self._target)
        return node

    async def begin(self, *names: str) -> list[NodeOf]:
        """Start nodes of these names at once."""
        nodes = [self.nodes.get(name) or self.node(name) for name in names]
        for node in nodes:
            node.start()
        for node in nodes:
            await node.ready()
        return nodes

    @property
    def addresses(self) -> str:
        """Of all nodes, for clients."""
        return ",".join(node.address for node in self.nodes.values())


@asynccontextmanager
async def running(folder: Path, *, session_s: float = 3.0, target: str = str(APP)) -> AsyncGenerator[Cluster]:
    """etcd and PostgreSQL, and no nodes yet; all of it is gone at the end."""
    etcd = EtcdServer(folder / "etcd")
    with running_database() as database:
        etcd.start()
        cluster = Cluster(folder, database, etcd, session_s, target)
        try:
            yield cluster
        finally:
            for node in cluster.nodes.values():
                if node.alive:
                    node.signal(signal.SIGKILL)
                    await node.ended()
            etcd.stop()
