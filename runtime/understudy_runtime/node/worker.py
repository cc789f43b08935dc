"""A worker: tasks only, no engine and no store. It pulls from a node and goes on pulling until it is told to leave.

    connect ──► welcome ──► work ──stream breaks──► wait 0.1 s, 0.2 s ... 5 s ──► connect

SIGTERM (or Ctrl-C) drains: what runs may end within the grace period, the rest is handed back at no cost, and the
process ends. A second signal ends it at once; then the node has to notice, and counts what was running as lost.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import uuid
from collections.abc import Sequence
from typing import Final

import grpc
import msgspec
import structlog

from understudy.app import App
from understudy.errors import BadRequest
from understudy_runtime.core.workers import Hello
from understudy_runtime.execution.agent import Agent
from understudy_runtime.execution.executor import Limits, LocalExecutor
from understudy_runtime.execution.wire import LogStyle
from understudy_runtime.node.clocks import SystemClock
from understudy_runtime.node.node import gather
from understudy_runtime.rpc import work_client

DEFAULT_SLOTS: Final = 32
GRACE_S: Final = 30.0
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
INTERRUPTED: Final = 130

log = structlog.get_logger("understudy.worker")


class WorkerSettings(msgspec.Struct, frozen=True):
    """`connect` is host:port. `slots` is how many attempts run at once, of all kinds together.

    `grace_s`: seconds that running attempts get to end in when the worker is asked to leave. No `credentials`: no TLS.
    `logs`: how tasks in processes of their own write what they log; None leaves it to them.
    """

    connect: str
    name: str
    slots: int = DEFAULT_SLOTS
    namespace: str = ""
    queues: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    grace_s: float = GRACE_S
    token: str = ""
    credentials: grpc.ChannelCredentials | None = None
    logs: LogStyle | None = None


async def work(apps: Sequence[App], settings: WorkerSettings) -> None:
    """Work until a signal, in the main thread. BadRequest if the node will never have this worker."""
    clock = SystemClock()
    hello = _hello(apps, settings)
    tasks, _ = gather(apps)
    slots = settings.slots
    executor = LocalExecutor(tasks, clock, node=hello.name, limits=Limits(slots, slots, slots), logs=settings.logs)
    agent = Agent(executor, clock, hello)
    agent.open()
    leaving, done = asyncio.Event(), asyncio.Event()
    _leave_on_signals(leaving)
    loop = asyncio.get_running_loop()
    connecting = loop.create_task(_stay_connected(agent, settings, done))
    asked = loop.create_task(leaving.wait())
    await asyncio.wait([connecting, asked], return_when=asyncio.FIRST_COMPLETED)
    if not connecting.done():
        await agent.leave(settings.grace_s)
        done.set()
        await asyncio.wait([connecting], timeout=1.0)
    if connecting.done():
        connecting.result()


def _hello(apps: Sequence[App], settings: WorkerSettings) -> Hello:
    tasks, _ = gather(apps)
    if not tasks:
        raise BadRequest(f"there are no tasks in {', '.join(app.name for app in apps)} for a worker to run")
    return Hello(
        uuid.uuid4().hex,
        settings.name,
        frozenset(tasks),
        settings.slots,
        settings.namespace,
        frozenset(settings.queues),
        frozenset(settings.labels),
        next((app.build for app in apps if app.build), ""),
        "understudy-worker",
    )


async def _stay_connected(agent: Agent, settings: WorkerSettings, done: asyncio.Event) -> None:
    """One stream after the other. BadRequest when there is no point in another one."""
    pause_s, reachable = FIRST_PAUSE_S, True
    async with work_client.channel(settings.connect, settings.credentials) as channel:
        while not done.is_set():
            began = asyncio.get_running_loop().time()
            try:
                await work_client.carry(channel, agent.hello, agent, done, settings.token)
                return
            except work_client.StreamEnded as ended:
                if ended.hopeless:
                    raise BadRequest(f"{settings.connect} does not take this worker: {ended}") from None
                if asyncio.get_running_loop().time() - began > LONGEST_PAUSE_S:
                    pause_s, reachable = FIRST_PAUSE_S, True
                if reachable:
                    log.warning("not connected", node=settings.connect, why=str(ended))
                    reachable = False
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


def _leave_on_signals(leaving: asyncio.Event) -> None:
    """The first signal asks, the second one ends the process."""

    def leave() -> None:
        if leaving.is_set():
            os._exit(INTERRUPTED)
        log.info("leaving: what runs may end; signal again to stop at once")
        leaving.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, leave)
