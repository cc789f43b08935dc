"""A node as a service: what `understudy node` runs, until it is asked to leave.

    main thread     signals, HTTP probes, the check of replays
    engine thread   the node: engine, gRPC door, monitor

Asked to leave (SIGTERM, SIGINT, DrainNode), the node says so to probes and clients, takes no new work, lets running
tasks end within `grace_s`, commits what they came to, and hands the rest back: attempts it never reports, which the
next node dispatches again at no cost to them. A second signal ends the process at once, which costs no more than
a crash does. A store that fails ends the node, too: what it had not acknowledged was never claimed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import structlog
from google.protobuf.descriptor import ServiceDescriptor

from understudy.app import App
from understudy_proto.v1 import workers_pb2
from understudy_runtime.execution.executor import Limits
from understudy_runtime.node import collector
from understudy_runtime.node.addresses import parse_address
from understudy_runtime.node.clocks import SystemClock
from understudy_runtime.node.clusters import clustering_of
from understudy_runtime.node.config import NodeConfig
from understudy_runtime.node.embedded import Opened, open_node
from understudy_runtime.node.guard import bound_s, guarded, guarded_alone
from understudy_runtime.node.logs import LineWriter
from understudy_runtime.node.lookout import SILENT_S, Lookout
from understudy_runtime.node.metrics import CONTENT_TYPE, NodeMetrics
from understudy_runtime.node.monitor import Monitor
from understudy_runtime.node.node import Node, Settings
from understudy_runtime.node.notify import notify
from understudy_runtime.node.probes import Page, Probes
from understudy_runtime.node.replay_checks import ReplayChecks
from understudy_runtime.node.retention import retaining
from understudy_runtime.node.serving import served
from understudy_runtime.rpc.access import AccessFile
from understudy_runtime.rpc.credentials import Certificates
from understudy_runtime.rpc.gate import Gate
from understudy_runtime.rpc.server import Stream
from understudy_runtime.rpc.workers import WorkerStreams
from understudy_runtime.storage.urls import open_url

LEFT: Final = 0
FAILED: Final = 1

log = structlog.get_logger("understudy.node")


def nothing() -> None:
    """What the lookout of a node calls that is guarded otherwise."""


class Service:
    """One life of a node. `check_replay` names the targets whose finished runs are replayed in another process."""

    def __init__(
        self, config: NodeConfig, apps: Sequence[App], writer: LineWriter, check_replay: Sequence[str] = ()
    ) -> None:
        self._config = config
        self._apps = apps
        self._writer = writer
        self._check_replay = check_replay
        self._grace_s = config.grace_s
        self._started_at = time.time()
        self._state = "starting"
        self._leaving: asyncio.Future[None]
        self._monitor: Monitor | None = None
        self._lookout = Lookout(lambda: self._monitor, self._give_up_leaving)
        self._metrics: NodeMetrics | None = None
        self._address = ""

    async def run(self) -> int:
        """The exit code. BadRequest or StoreError if the node could not be started."""
        loop = asyncio.get_running_loop()
        self._leaving = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, partial(self._signal_came, loop))
        async with AsyncExitStack() as stack:
            beat = nothing if self._config.etcd else stack.enter_context(guarded_alone(SILENT_S))
            stack.callback(loop.create_task(self._lookout.run(beat)).cancel)
            http = await self._serve_http(stack)
            opened = await stack.enter_async_context(
                open_node(
                    self._apps,
                    open_url(self._config.store),
                    self._settings(),
                    SystemClock,
                    self._alongside,
                    clustering_of(self._config),
                )
            )
            if self._check_replay:
                await stack.enter_async_context(self._replay_checks(opened))
            collector.settle()
            self._ready(opened.node, http)
            await asyncio.wait([self._leaving, opened.ended], return_when=asyncio.FIRST_COMPLETED)
            failed = not self._leaving.done()
            self._state = "failed" if failed else "draining"
            if failed:
                self._lookout.leaving(0.0)
            notify("STOPPING=1")
        if failed:
            log.error("the node has stopped, because it failed")
            return FAILED
        log.info("the node has left")
        return LEFT

    # --- on the main thread

    def _signal_came(self, loop: asyncio.AbstractEventLoop, number: int, frame: object) -> None:
        # Not `loop.add_signal_handler`: it would have the interpreter write to the loop, not to the guard. A signal
        # interrupts what the loop waits in; where it does not, the next look at the engine does.
        loop.call_soon_threadsafe(self._signalled, number)

    def _signalled(self, number: int) -> None:
        if self._leaving.done():
            self._writer.close(0.2)
            os._exit(128 + number)
        log.info("asked to leave", signal=signal.Signals(number).name, grace_s=self._grace_s)
        self._lookout.leaving(self._grace_s)
        self._leaving.set_result(None)

    def _give_up_leaving(self, why: str) -> None:
        """In the midst of it: what was not committed was never acknowledged."""
        log.error("the node is ended, because it cannot leave", why=why)
        self._writer.close(0.2)
        os._exit(FAILED)

    def _settings(self) -> Settings:
        config = self._config
        limits = Limits(config.coroutines, config.threads, config.processes or os.cpu_count() or 1)
        return Settings(
            config.namespace,
            config.memory_mb * 2**20,
            name=config.name,
            limits=limits,
            workers=True,
            run_tasks=config.run_tasks,
            logs=self._writer.style,
        )

    def _ready(self, node: Node, http: str) -> None:
        self._state = "ready"
        log.info(
            "the node is ready",
            address=self._address,
            http=http,
            store=self._config.store,
            workflows=sum(len(app.workflows) for app in self._apps),
            actors=sum(len(app.actors) for app in self._apps),
            tasks=sum(len(app.tasks) for app in self._apps),
        )
        notify(f"READY=1\nSTATUS=serving at {self._address}")

    async def _serve_http(self, stack: AsyncExitStack) -> str:
        if not self._config.http:
            return ""
        probes = Probes({"/metrics": self._metrics_page, "/livez": self._livez, "/readyz": self._readyz})
        address = await probes.start(parse_address(self._config.http))
        stack.callback(probes.close)
        return str(address)

    def _livez(self) -> Page:
        silent_s = self._lookout.silent_s
        if silent_s >= SILENT_S and self._state == "ready":
            body = f"the engine's loop has not answered for {silent_s:.0f} s\n"
            return Page(HTTPStatus.SERVICE_UNAVAILABLE, body.encode())
        return Page(HTTPStatus.OK, b"ok\n")

    def _readyz(self) -> Page:
        ready = self._state == "ready"
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Page(status, b"ok\n" if ready else f"{self._state}\n".encode())

    def _metrics_page(self) -> Page:
        if self._metrics is None:
            return Page(HTTPStatus.SERVICE_UNAVAILABLE, b"starting\n")
        return Page(HTTPStatus.OK, self._metrics.text(), CONTENT_TYPE)

    @asynccontextmanager
    async def _replay_checks(self, opened: Opened) -> AsyncGenerator[None, None]:
        checks = ReplayChecks(opened.bridge, self._check_replay)
        loop = asyncio.get_running_loop()

        def closed(key: str) -> None:
            loop.call_soon_threadsafe(checks.add, key)

        opened.node.engine.on_closed = closed
        task = loop.create_task(checks.run())
        try:
            yield
        finally:
            opened.node.engine.on_closed = None
            task.cancel()
            await asyncio.wait([task])

    # --- on the engine's thread

    @asynccontextmanager
    async def _alongside(self, node: Node) -> AsyncGenerator[None, None]:
        monitor = self._monitor = Monitor(node.executor, node.engine)
        self._metrics = NodeMetrics(node, monitor, self._writer, self._apps)
        try:
            async with (
                retaining(node.engine, SystemClock(), self._config.retention_s),
                served(
                    node,
                    self._apps,
                    self._config.listen,
                    started_at=self._started_at,
                    drain=self._drain_asked,
                    is_draining=lambda: self._state == "draining",
                    advertise=self._config.advertise,
                    streams=_worker_streams(node),
                    **self._security(),
                ) as server,
            ):
                self._address = server.address
                async with self._seated(node):
                    yield
                    if self._state == "draining":
                        await server.leave()
                        log.info("no new work is taken", running=node.executor.load[0])
                        await node.drain(self._grace_s)
        finally:
            monitor.close()

    @asynccontextmanager
    async def _seated(self, node: Node) -> AsyncGenerator[None, None]:
        """A member of its cluster, if it is in one, and guarded for as long as others rely on it."""
        seat = node.seat
        if seat is None:
            yield
            return
        with guarded(seat.beat, bound_s(self._config.session_s)):
            seat.drained = lambda: self._drain_asked(None)
            await seat.join(self._config.advertise or self._address)
            yield

    def _drain_asked(self, grace_s: float | None) -> None:
        if grace_s is not None:
            self._grace_s = grace_s
        loop = self._leaving.get_loop()
        loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        if not self._leaving.done():
            log.info("asked to leave", grace_s=self._grace_s)
            self._lookout.leaving(self._grace_s)
            self._leaving.set_result(None)

    def _security(self) -> dict[str, Any]:
        config, options = self._config, dict[str, Any]()
        if config.tls_cert:
            client_ca = Path(config.tls_client_ca) if config.tls_client_ca else None
            options["credentials"] = Certificates(Path(config.tls_cert), Path(config.tls_key), client_ca).credentials()
        if config.tokens:
            gate = Gate(AccessFile(Path(config.tokens)))
            options |= {"interceptors": [gate], "passes": gate.pass_for}
        return options


def _worker_streams(node: Node) -> list[tuple[ServiceDescriptor, dict[str, Stream]]]:
    assert node.pool is not None
    service = workers_pb2.DESCRIPTOR.services_by_name["WorkerService"]
    return [(service, {"Work": WorkerStreams(node.pool).work})]
