"""`Node`: the composition root. It builds everything and takes it down again, on the engine's event loop."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import msgspec

from understudy.app import App
from understudy.definitions import TaskDefinition, WorkflowDefinition
from understudy.errors import BadDefinition, BadRequest
from understudy_runtime.actors.engine import Engine
from understudy_runtime.actors.sharding import Sharding
from understudy_runtime.core.actor import ActorMachine
from understudy_runtime.core.keys import RUN, SCHEDULE
from understudy_runtime.core.membership import Member, Owner
from understudy_runtime.core.messages import Declared, Machine
from understudy_runtime.core.ports import Clock, ShardedStore, Store
from understudy_runtime.core.run import RunMachine
from understudy_runtime.core.schedule import ScheduleMachine
from understudy_runtime.execution.calendar import ZoneCalendar
from understudy_runtime.execution.executor import Limits, LocalExecutor
from understudy_runtime.execution.pool import WorkerPool
from understudy_runtime.execution.program import Watchdog
from understudy_runtime.execution.programs import AppPrograms
from understudy_runtime.execution.wire import LogStyle
from understudy_runtime.node.attempts import Attempts
from understudy_runtime.node.bridge import Bridge
from understudy_runtime.node.clocks import SharedClock
from understudy_runtime.node.doors import LocalDoor
from understudy_runtime.node.resources import driver_tasks, machine_for, resource_machines
from understudy_runtime.node.schedules import declare
from understudy_runtime.node.seat import Clustering, Seat
from understudy_runtime.rpc.peer_wire import PROTO_MAX, PROTO_MIN

RESIDENT_BYTES: Final = 32 * 2**20
GRACE_S: Final = 2.0
WINDOW_S: Final = 60.0


class Settings(msgspec.Struct, frozen=True):
    """`resident_bytes`: reckoned bytes of actors kept in memory. `grace_s`: seconds attempts get to end in.

    `window_s`: timers of parked actors further ahead than this are read from the store when they come nearer.
    `name` is the node's, unique among those that live; `limits` is how many attempts it runs at once. Only a node that
    takes in other `workers` lets tasks wait that it does not know itself, and may leave all of them to these
    (`run_tasks`). Without `schedules` it makes none, and decides on no nominal times of those there are. `logs`: how
    tasks in processes of their own write what they log; None leaves it to them.
    """

    namespace: str = "default"
    resident_bytes: int = RESIDENT_BYTES
    grace_s: float = GRACE_S
    window_s: float = WINDOW_S
    name: str = ""
    limits: Limits = Limits()
    workers: bool = False
    run_tasks: bool = True
    logs: LogStyle | None = None
    schedules: bool = True


class Node:
    """A node that runs. `engine` and `executor` are for the node's own loop; `door` makes doors for callers' loops.

    `door_over` makes one for a namespace, over a bridge that is there. `pool` takes in other workers, if any may come.
    `namespace` is where callers are that name none. `seat` is its seat in a cluster, if it is in one; it is taken by
    whoever opens the door.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        executor: LocalExecutor,
        pool: WorkerPool | None,
        door: Callable[[asyncio.AbstractEventLoop], tuple[Bridge, LocalDoor]],
        door_over: Callable[[Bridge, str], LocalDoor],
        namespace: str,
        seat: Seat | None = None,
    ) -> None:
        self.name = name
        self.engine = engine
        self.executor = executor
        self.pool = pool
        self.door = door
        self.door_over = door_over
        self.namespace = namespace
        self.seat = seat

    async def drain(self, grace_s: float) -> None:
        """Start no more attempts, and let those that run end by themselves for at most `grace_s`; of a cluster's nodes,
        hand the shards over meanwhile, and leave then."""
        now = asyncio.get_running_loop().time
        until = now() + grace_s
        ends = (self.pool or self.executor).drain(grace_s)
        if self.seat is None:
            await ends
        else:
            await asyncio.gather(ends, self.seat.give_away(grace_s))
            # What only this node can do may have been begun until its last shard went.
            await self.executor.drain(until - now())
            await self.seat.leave()


@asynccontextmanager
async def running(
    apps: Sequence[App],
    store: Store,
    clock: Clock,
    settings: Settings,
    on_failed: Callable[[BaseException], None],
    clustering: Clustering | None = None,
) -> AsyncGenerator[Node, None]:
    """A node over `store` for as long as the block lasts. StoreError if the store cannot be had.

    With `clustering` it is one of many that share the store, which then is a `ShardedStore`.
    """
    name = settings.name or f"{socket.gethostname()}-{os.getpid()}"
    build = next((app.build for app in apps if app.build), "")
    watchdog = Watchdog()
    programs = AppPrograms(apps, watchdog)
    tasks, workflows = gather(apps)
    machines: dict[str, Machine[Any]] = {
        RUN: RunMachine(),
        SCHEDULE: ScheduleMachine(ZoneCalendar(), resting=not settings.schedules),
    }
    machines |= resource_machines(apps, name, lambda: store.epoch)
    actors = ActorMachine()
    local = LocalExecutor(
        tasks | driver_tasks(apps), clock, node=name, limits=settings.limits, build=build, logs=settings.logs
    )
    sharding = None
    incarnation = uuid.uuid4().hex
    if clustering is None:
        await store.open(name, clock.now())
    else:
        many = shared(store)
        await many.join(name, incarnation, clock.now())
        sharding, clock = Sharding(many), SharedClock(clock, lambda: many.clock_offset_s)
    try:
        watchdog.start()
        pool = WorkerPool(clock, local, node=name, run_tasks=settings.run_tasks) if settings.workers else None
        executor = pool or local
        attempts = None
        if sharding is not None:
            lends = None if pool is None else pool.lending
            attempts = Attempts(executor, sharding, clock, Owner(name, incarnation), lends)
        engine = Engine(
            clock=clock,
            store=store,
            programs=programs,
            executor=attempts or executor,
            machine_of=machine_for(machines, actors),
            build=build,
            memory_bytes=settings.resident_bytes,
            window_s=settings.window_s,
            on_failed=on_failed,
            sharding=sharding,
            resting=frozenset() if settings.schedules else frozenset({SCHEDULE}),
        )
        seat = None
        if clustering is None or sharding is None or attempts is None:
            executor.open(engine.report)
        else:
            attempts.serve(engine)
            executor.open(attempts.report)
            # By the store's time, by which lives of nodes on several machines can be put in order.
            member = Member(name, incarnation, "", build, clock.now(), speaks=(PROTO_MIN, PROTO_MAX))
            seat = Seat(
                clustering, member, engine, sharding, attempts, clock,
                declare=lambda: declare(engine, settings.namespace, apps, sharding.has, lives(member, seat)),
            )  # fmt: skip

        def door(callers_loop: asyncio.AbstractEventLoop) -> tuple[Bridge, LocalDoor]:
            bridge = Bridge(engine, callers_loop)
            return bridge, door_over(bridge, settings.namespace)

        def door_over(bridge: Bridge, namespace: str) -> LocalDoor:
            return LocalDoor(bridge, store, programs, programs.handlers, workflows, clock, namespace, build)

        try:
            await engine.start()
            if seat is None and settings.schedules:
                await declare(engine, settings.namespace, apps)
            yield Node(name, engine, local, pool, door, door_over, settings.namespace, seat)
        finally:
            await (attempts or executor).close(settings.grace_s)
            if seat is not None:
                await seat.close()
            await engine.close()
            watchdog.stop()
    finally:
        await store.close()


def lives(member: Member, seat: Seat | None) -> Declared:
    """Who of those that are there says what the code says."""
    others = () if seat is None else seat.view.members.values()
    return Declared(member.started_at, frozenset(other.started_at for other in others))


def shared(store: Store) -> ShardedStore:
    """The store, which must be one that many nodes can share. BadRequest if it is not."""
    if not hasattr(store, "join"):
        raise BadRequest("the nodes of a cluster share a database: give --store postgresql://user@host/database")
    return cast("ShardedStore", store)


def gather(apps: Sequence[App]) -> tuple[dict[str, TaskDefinition], dict[str, WorkflowDefinition]]:
    tasks: dict[str, TaskDefinition] = {}
    workflows: dict[str, WorkflowDefinition] = {}
    for app in apps:
        for name, task in app.tasks.items():
            if tasks.setdefault(name, task) is not task:
                raise BadDefinition(f"two apps define the task {name}; give one of them another name")
        workflows |= app.workflows
    return tasks, workflows
