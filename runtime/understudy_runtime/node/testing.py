"""What `understudy.testing` opens: a node on the in-memory store and virtual time; and replay of a history."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec

from understudy.app import App
from understudy.door import Door, HistoryTurn
from understudy.errors import BadRequest, UnknownName
from understudy_runtime.core.keys import RUN, kind_of, run_key
from understudy_runtime.core.messages import ReplayFrom
from understudy_runtime.core.ports import Program
from understudy_runtime.core.records import Turn
from understudy_runtime.core.records.runs import ExecutionStarted
from understudy_runtime.core.replay import Activation, activations, difference
from understudy_runtime.execution.programs import AppPrograms
from understudy_runtime.node.bridge import Bridge
from understudy_runtime.node.embedded import open_node
from understudy_runtime.node.node import Settings
from understudy_runtime.node.virtual import TimeKeeper, VirtualClock
from understudy_runtime.storage.memory import MemoryStore


class VirtualTime:
    """The caller's hand on the time of a node."""

    def __init__(self, clock: VirtualClock, bridge: Bridge, keeper: TimeKeeper, namespace: str) -> None:
        self._namespace = namespace
        self._clock = clock
        self._bridge = bridge
        self._keeper = keeper

    def now(self) -> float:
        return self._clock.now()

    async def advance(self, seconds: float) -> None:
        await self._bridge.run(lambda _: self._keeper.advance(seconds))

    def somebody_waits(self, run_id: str) -> Callable[[], None]:
        key = run_key(self._namespace, run_id)
        ends: list[Callable[[], None]] = []
        self._bridge.post(lambda _: ends.append(self._keeper.somebody_waits(key)))
        return lambda: self._bridge.post(lambda _: [end() for end in ends])


@asynccontextmanager
async def open_virtual(apps: Sequence[App], *, namespace: str) -> AsyncGenerator[tuple[Door, VirtualTime], None]:
    clock = VirtualClock()
    settings = Settings(namespace=namespace, window_s=float("inf"))
    async with open_node(apps, MemoryStore(), settings, lambda: clock) as opened:
        executor = opened.node.executor
        keeper = TimeKeeper(clock, opened.node.engine, lambda: executor.polling)
        yield opened.door, VirtualTime(clock, opened.bridge, keeper, namespace)


def differences(apps: Sequence[App], history: Sequence[HistoryTurn]) -> str | None:
    """How the last execution of a run's history differs from what the code does now; None: not at all."""
    turns = msgspec.json.decode(msgspec.json.encode(history), type=list[Turn])
    started = [r for turn in turns for r in turn.records if isinstance(r, ExecutionStarted)]
    if not started:
        raise BadRequest("the history has no beginning: give all turns of the run, from the first")
    last = started[-1]
    programs = AppPrograms(apps, None)
    if kind_of(last.key) != RUN or not programs.has(RUN, last.workflow):
        raise UnknownName(f"the app has no workflow named {last.workflow}, which this history is of")
    taken = list(activations(turns, ReplayFrom(1, execution=last.execution)))
    found = [_difference(programs.create(last.key, last.workflow, None, order), taken) for order in programs.orders]
    return None if None in found else found[0]


def _difference(program: Program, history: Sequence[Activation]) -> str | None:
    try:
        for then in history:
            if not then.complete:
                return None
            now = program.activate(then.at, then.inputs, then.commands)
            diff = difference(then.commands, now.commands, strict=True) if now.held is None else now.held.detail
            if diff is not None:
                return f"turn {then.seq}: {diff}"
    finally:
        program.evict()
    return None
