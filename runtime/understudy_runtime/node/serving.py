"""A node behind the gRPC door. Everything is on the engine's loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from understudy.app import App
from understudy.cluster import DefinitionInfo, HandlerInfo, NodeInfo, NodeStatus, ShardInfo, WaitingTasks
from understudy.codec import CallCodec
from understudy.definitions import HandlerDefinition, WorkflowDefinition
from understudy.errors import UnknownName
from understudy_runtime.core.keys import RUN
from understudy_runtime.core.workers import PoolInfo
from understudy_runtime.node.admission import Admission
from understudy_runtime.node.bridge import Bridge
from understudy_runtime.node.node import Node
from understudy_runtime.node.together import Together
from understudy_runtime.rpc.ports import Admit
from understudy_runtime.rpc.server import Serving, serving

MAX_WAITING_SHOWN: Final = 100
"""Kinds of waiting tasks that a node tells of."""
Drain = Callable[[float | None], None]
"""Begin to leave, with so many seconds of grace (None: as configured)."""


@asynccontextmanager
async def served(
    node: Node,
    apps: Sequence[App],
    listen: str,
    *,
    started_at: float,
    drain: Drain,
    is_draining: Callable[[], bool] = lambda: False,
    advertise: str = "",
    admit: Admit | None = None,
    **options: Any,
) -> AsyncGenerator[Serving]:
    """Serve `node` on `listen` for as long as the block lasts; `options` are those of `rpc.server.serving`.

    Entered on the engine's loop. `advertise` is the address others reach it by, if that is not `listen`. Without
    an `admit` the node's load says what new work is let in.
    """
    bridge, own = node.door(asyncio.get_running_loop())
    one = OneNode(node, apps, started_at, drain, is_draining)
    seat = node.seat
    if seat is not None:
        options["streams"] = [*options.get("streams", ()), seat.streams]
    opened: list[Serving] = []
    try:
        async with serving(
            listen,
            lambda namespace: node.door_over(bridge, namespace) if namespace else own,
            AppDefinitions(apps),
            one,
            together=None if seat is None else Together(one, seat),
            admit=admit or _admission(node, bridge, opened),
            forward=None if seat is None else lambda clients, nodes: seat.forward(clients, nodes, node.namespace),
            **options,
        ) as server:
            opened.append(server)
            one.address = advertise or server.address
            one.open_calls = lambda: server.waiting
            yield server
    finally:
        bridge.close()


def _admission(node: Node, bridge: Bridge, servers: Sequence[Serving]) -> Admission:
    def waiting() -> int:
        inside = node.engine.waiting + node.executor.waiting + bridge.waiting
        return inside + sum(server.unread for server in servers)

    return Admission(asyncio.get_running_loop().time, lambda: node.engine.turns, waiting)


class OneNode:
    """`Cluster` where there is only this node, or as far as it is this node."""

    def __init__(
        self, node: Node, apps: Sequence[App], started_at: float, drain: Drain, is_draining: Callable[[], bool]
    ) -> None:
        self._node = node
        self._started_at = started_at
        self._drain = drain
        self._build = next((app.build for app in apps if app.build), "")
        self._is_draining = is_draining
        self._asked_to_drain = False
        self.address = ""
        self.open_calls: Callable[[], int] = int
        """How many calls of clients wait; of those who serve none, none."""

    async def nodes(self) -> Sequence[NodeInfo]:
        engine, pool = self._node.engine, self._node.pool
        trouble = "" if pool is None else pool.trouble
        info = PoolInfo((), ()) if pool is None else pool.info()
        seat = self._node.seat
        draining = self._asked_to_drain or self._is_draining()
        status: NodeStatus = "draining" if draining else "blocked" if trouble else "active"
        return [
            NodeInfo(
                self._node.name,
                self.address,
                status,
                self._started_at,
                build=self._build,
                version=own_version(),
                resident_actors=engine.resident,
                open_attempts=engine.attempts_out,
                turns=engine.turns,
                trouble=trouble,
                open_calls=self.open_calls(),
                workers=info.workers,
                waiting=_waiting(info),
                shards=0 if seat is None else len(seat.ownership.ours),
            )
        ]

    async def shards(self) -> Sequence[ShardInfo]:
        return []

    async def drain(self, node_id: str, grace_s: float | None) -> None:
        if node_id not in ("", self._node.name):
            raise UnknownName(f"there is no node {node_id}; there is: {self._node.name}")
        self._asked_to_drain = True
        self._drain(grace_s)


def _waiting(pool: PoolInfo) -> tuple[WaitingTasks, ...]:
    """Those that have waited longest."""
    lines = sorted(pool.waiting, key=lambda line: line.since)[:MAX_WAITING_SHOWN]
    return tuple(
        WaitingTasks(
            line.need.task,
            line.need.queue,
            line.need.namespace,
            line.need.slots,
            line.need.labels,
            line.count,
            line.since,
            line.workers,
        )
        for line in lines
    )


class AppDefinitions:
    """`Definitions` of the apps of this process."""

    def __init__(self, apps: Sequence[App]) -> None:
        self._apps = apps
        self._workflows = {name: definition for app in apps for name, definition in app.workflows.items()}
        self._actors = {name: definition for app in apps for name, definition in app.actors.items()}

    def workflow(self, name: str) -> CallCodec:
        if name not in self._workflows:
            known = ", ".join(sorted(self._workflows)) or "none"
            raise UnknownName(f"this node has no workflow named {name}; it has: {known}")
        return self._workflows[name].call

    def handler(self, kind: str, definition: str, name: str) -> CallCodec | None:
        known = (self._workflows if kind == RUN else self._actors).get(definition)
        found = None if known is None else known.handlers.get(name)
        return None if found is None else found.call

    def all(self) -> Sequence[DefinitionInfo]:
        return [info for app in self._apps for info in _infos(app)]


def _infos(app: App) -> list[DefinitionInfo]:
    return [
        *(
            DefinitionInfo(
                "workflow",
                name,
                app.name,
                _workflow_signature(workflow),
                _handlers(workflow.handlers.values()),
            )
            for name, workflow in app.workflows.items()
        ),
        *(
            DefinitionInfo("actor", name, app.name, handlers=_handlers(actor.handlers.values()))
            for name, actor in app.actors.items()
        ),
        *(DefinitionInfo("task", name, app.name, _signature(task.fn)) for name, task in app.tasks.items()),
    ]


def _handlers(handlers: Iterable[HandlerDefinition]) -> tuple[HandlerInfo, ...]:
    return tuple(
        HandlerInfo(handler.name, handler.readonly, _signature(handler.fn, skip_self=True)) for handler in handlers
    )


def _workflow_signature(workflow: WorkflowDefinition) -> str:
    entry: Any = workflow.entry
    return _signature(entry.run, skip_self=True) if workflow.is_class else _signature(entry)


def _signature(fn: Callable[..., Any], *, skip_self: bool = False) -> str:
    signature = inspect.signature(fn)
    parameters = list(signature.parameters.values())[1 if skip_self else 0 :]
    return str(signature.replace(parameters=parameters))


def own_version() -> str:
    try:
        return version("understudy")
    except PackageNotFoundError:
        return ""
