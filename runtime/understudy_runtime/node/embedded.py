"""A node inside the caller's process: the engine gets a thread and an event loop of its own.

So whatever the caller's loop is busy with, turns, timers and commits go on, and the caller's task holds no cancel scope
of ours.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Final, NamedTuple

from understudy.app import App
from understudy.errors import Bug, StoreError
from understudy.failures import encode_failure
from understudy_runtime.core.ports import Clock, Store
from understudy_runtime.node.bridge import Bridge
from understudy_runtime.node.clocks import SystemClock
from understudy_runtime.node.doors import LocalDoor
from understudy_runtime.node.node import Node, Settings, running
from understudy_runtime.node.seat import Clustering
from understudy_runtime.pythons import check
from understudy_runtime.storage.urls import open_url

SWITCH_INTERVAL_S: Final = 0.0005
"""How long a CPU-bound thread may keep the interpreter from the engine; Python's own default is ten times that."""

MakeClock = Callable[[], Clock]
Alongside = Callable[[Node], AbstractAsyncContextManager[object]]
"""What else lives on the engine's loop, from after the node's beginning until before its end."""


def _nothing_else(node: Node) -> AbstractAsyncContextManager[None]:
    return nullcontext()


class Opened(NamedTuple):
    """`ended` is done when the node's thread is, of its own accord or not."""

    node: Node
    bridge: Bridge
    door: LocalDoor
    ended: asyncio.Future[None]


class NodeThread:
    """Runs a node on a thread of its own. Used from the caller's loop."""

    def __init__(
        self,
        apps: Sequence[App],
        store: Store,
        settings: Settings,
        make_clock: MakeClock,
        alongside: Alongside,
        clustering: Clustering | None,
    ) -> None:
        self._apps = apps
        self._store = store
        self._settings = settings
        self._make_clock = make_clock
        self._alongside = alongside
        self._clustering = clustering
        self._callers_loop = asyncio.get_running_loop()
        self._started: Future[tuple[Node, Bridge, LocalDoor]] = Future()
        self._stopped: Future[None] = Future()
        self.ended = asyncio.wrap_future(self._stopped)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None
        self._stop = asyncio.Event()

    async def start(self) -> tuple[Node, Bridge, LocalDoor]:
        threading.Thread(target=self._run, name="understudy-engine", daemon=True).start()
        return await asyncio.shield(asyncio.wrap_future(self._started))

    async def stop(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        await asyncio.shield(self.ended)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_new_loop) as runner:
                self._loop = runner.get_loop()
                runner.run(self._main())
        except BaseException as error:
            self._failure = self._failure or error
            if not self._started.done():
                self._started.set_exception(error)
        finally:
            with suppress(RuntimeError):  # the caller's loop is closed: nobody is left to be told
                self._callers_loop.call_soon_threadsafe(self._leave_nobody_waiting)
            self._stopped.set_result(None)

    def _leave_nobody_waiting(self) -> None:
        """On the caller's loop, when the engine's has ended, whatever it ended of."""
        if self._started.exception() is None:
            _, bridge, _ = self._started.result()
            bridge.close(self._why())

    def _why(self) -> StoreError | Bug | None:
        """What it ended of; None if it was closed."""
        failure = self._failure
        if failure is None or isinstance(failure, StoreError | Bug):
            return failure
        what = encode_failure(failure)
        return Bug(f"the node has stopped: {what.type}: {what.message}")

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._stop.set()

    async def _main(self) -> None:
        async with (
            running(self._apps, self._store, self._make_clock(), self._settings, self._fail, self._clustering) as node,
            self._alongside(node),
        ):
            self._started.set_result((node, *node.door(self._callers_loop)))
            await self._stop.wait()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@asynccontextmanager
async def open_node(
    apps: Sequence[App],
    store: Store,
    settings: Settings,
    make_clock: MakeClock,
    alongside: Alongside = _nothing_else,
    clustering: Clustering | None = None,
) -> AsyncGenerator[Opened, None]:
    """A node in a thread of its own, and a door to it for the caller's loop."""
    thread = NodeThread(apps, store, settings, make_clock, alongside, clustering)
    interval = sys.getswitchinterval()
    node, bridge, door = await thread.start()
    sys.setswitchinterval(min(interval, SWITCH_INTERVAL_S))
    try:
        yield Opened(node, bridge, door, thread.ended)
    finally:
        sys.setswitchinterval(interval)
        await thread.stop()
        bridge.close()


@asynccontextmanager
async def open_embedded(
    apps: Sequence[App], store: str, *, namespace: str = "default", schedules: bool = True
) -> AsyncGenerator[LocalDoor, None]:
    """What `understudy.embedded` opens. A command that is there for one run minds no `schedules`."""
    check(logging.getLogger("understudy.node").warning)
    async with open_node(
        apps, open_url(store), Settings(namespace=namespace, schedules=schedules), SystemClock
    ) as opened:
        yield opened.door
