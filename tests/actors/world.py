"""A node's engine in virtual time, and the world outside, which goes on while nodes come and go.

`Outside` decides what each attempt comes to and when; a node that starts after a crash and dispatches an attempt again
finds it ending at the same moment. So two lives of the same runs take the same turns at the same times, and
whatever a crash changes shows as a difference.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from zlib import crc32

import msgspec
from msgspec import Raw

from understudy.app import App
from understudy.context import TaskInfo, current_attempt
from understudy.failures import encode_failure
from understudy_runtime.actors.cell import Query
from understudy_runtime.actors.engine import Engine
from understudy_runtime.core.actor import ActorMachine
from understudy_runtime.core.keys import RUN, SCHEDULE, id_of, run_key
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import (
    AnyMessage,
    AttemptEnded,
    Describe,
    Description,
    Dispatch,
    Machine,
    Start,
    Token,
)
from understudy_runtime.core.ports import CommitFailed, Having, Report, Store, TurnWrite
from understudy_runtime.core.run import RunMachine
from understudy_runtime.core.schedule import ScheduleMachine
from understudy_runtime.execution.calendar import ZoneCalendar
from understudy_runtime.execution.program import Watchdog
from understudy_runtime.execution.programs import AppPrograms
from understudy_runtime.node.resources import driver_tasks, machine_for, resource_machines
from understudy_runtime.storage.memory import MemoryStore

T0 = 1_000_000.0
NAMESPACE = "default"
INSTANTS_MAX = 10_000

Span = tuple[float, float]
"""When an attempt begins and ends."""
Done = Callable[[BaseException | None], None]


class VirtualClock:
    """Implements `Clock`. Time stands still until `advance`."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._taken_back: set[int] = set()
        self._count = 0

    def now(self) -> float:
        return self._now

    def call_at(self, at: float, callback: Callable[[], None]) -> Callable[[], None]:
        self._count += 1
        number = self._count
        heapq.heappush(self._heap, (at, number, callback))
        return lambda: self._taken_back.add(number)

    def new_id(self) -> str:
        self._count += 1
        return f"id-{self._count}"

    def advance(self) -> None:
        """To the next instant at which something is due; everything due then is called."""
        self._now = max(self._now, self._heap[0][0])
        while self._heap and self._heap[0][0] <= self._now:
            _, number, callback = heapq.heappop(self._heap)
            if number not in self._taken_back:
                callback()


class _Attempt(msgspec.Struct):
    """Implements `AttemptContext`."""

    info: TaskInfo

    def heartbeat(self, progress: Any) -> None:
        """Nobody listens."""


@dataclass
class Effect:
    """An attempt that was really made: what the outside world saw. `until` is infinite if it has not ended."""

    key: str
    task: str
    token: Token
    at: float
    args: Raw
    until: float = float("inf")


@dataclass
class Outside:
    """What attempts come to. An attempt takes 0.1 to 2.1 s, by its key and the world's seed."""

    seed: int = 0
    spans: dict[tuple[str, int], tuple[float, float]] = field(
        default_factory=dict[tuple[str, int], tuple[float, float]]
    )
    effects: list[Effect] = field(default_factory=list[Effect])

    def span(self, dispatch: Dispatch, now: float) -> Span:
        """A second dispatch of an attempt does not change it."""
        name = (dispatch.idempotency_key, dispatch.token.attempt)
        length = 0.1 + crc32(f"{self.seed}:{name}".encode()) / 2**31
        return self.spans.setdefault(name, (now, now + length))

    @property
    def keys(self) -> set[str]:
        return {effect.key for effect in self.effects}

    def after_the_crash(self) -> Outside:
        return Outside(self.seed, dict(self.spans))


class OutsideExecutor:
    """Implements `Executor`: calls plain `def` tasks at the moment at which they end."""

    def __init__(self, apps: Sequence[App], clock: VirtualClock, outside: Outside) -> None:
        self._tasks = {name: task for app in apps for name, task in app.tasks.items()} | driver_tasks(apps)
        self._clock = clock
        self._outside = outside
        self._out: dict[Token, Effect] = {}
        self.report: Callable[[Sequence[Report]], None]

    def start(self, dispatches: Sequence[Dispatch]) -> None:
        for dispatch in dispatches:
            span = self._outside.span(dispatch, self._clock.now())
            effect = Effect(dispatch.idempotency_key, dispatch.task, dispatch.token, self._clock.now(), dispatch.args)
            self._outside.effects.append(effect)
            self._out[dispatch.token] = effect
            self._clock.call_at(span[1], partial(self._end, dispatch, span))

    def having(self, wanted: Callable[[str], bool]) -> Having:
        return Having([token for token in self._out if wanted(token.key)], [])

    def cancel(self, tokens: Sequence[Token]) -> None:
        for token in tokens:
            if token in self._out:
                self._out.pop(token).until = self._clock.now()
                cancelled = AttemptEnded(token, failure=Failure("CancelledError", kind="cancelled"))
                asyncio.get_running_loop().call_soon(self.report, [cancelled])

    async def close(self, grace_s: float) -> None:
        for effect in self._out.values():
            effect.until = self._clock.now()
        self._out.clear()

    def _end(self, dispatch: Dispatch, span: Span) -> None:
        if dispatch.token not in self._out:
            return
        self._out.pop(dispatch.token).until = self._clock.now()
        result, failure = self._call(dispatch)
        self.report([AttemptEnded(dispatch.token, result, failure, started_at=span[0], ended_at=span[1])])

    def _call(self, dispatch: Dispatch) -> tuple[Raw, Failure | None]:
        task, token = self._tasks[dispatch.task], dispatch.token
        info = TaskInfo(dispatch.idempotency_key, id_of(token.key), task.name, token.attempt, token.dispatch)
        around = current_attempt.set(_Attempt(info))
        try:
            args, kwargs = task.call.decode(dispatch.args)
            return Raw(task.result.encode(task.fn(*args, **kwargs))), None
        except Exception as error:
            fields = encode_failure(error, task.raises, dispatch.options.retry.final)
            return Raw(b"null"), Failure(fields.type, fields.message, arguments=fields.arguments, final=fields.final)
        finally:
            current_attempt.reset(around)


class RecordedStore(MemoryStore):
    """A memory store that remembers every turn it was given, so that a crash can be put behind any of them."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[TurnWrite] = []

    def commit(self, batch: Sequence[TurnWrite], done: Done) -> None:
        self.written += batch
        super().commit(batch, done)


class SlowStore(MemoryStore):
    """A memory store whose disk answers when the test says so, and then with `error` if that is set."""

    def __init__(self) -> None:
        super().__init__()
        self.is_slow = False
        self.error: CommitFailed | None = None
        self.waiting: list[tuple[Sequence[TurnWrite], Done]] = []

    def commit(self, batch: Sequence[TurnWrite], done: Done) -> None:
        self.waiting.append((batch, done))
        if not self.is_slow:
            self.answer()

    def answer(self) -> None:
        """All commits that wait are done."""
        waiting, self.waiting = self.waiting, []
        for batch, done in waiting:
            if self.error is None:
                super().commit(batch, done)
            else:
                asyncio.get_running_loop().call_soon(done, self.error)


async def cut_after(written: Sequence[TurnWrite], turns: int) -> RecordedStore:
    """The store as a crash behind that many turns leaves it."""
    store = RecordedStore()
    await store.open("before the crash", T0)
    done: list[BaseException | None] = []
    for turn in written[:turns]:
        store.commit([turn], done.append)
        await asyncio.sleep(0)
    await store.close()
    assert done == [None] * turns
    return store


class World:
    """One life of a node. `failures` are what it stopped for."""

    def __init__(
        self, engine: Engine, clock: VirtualClock, outside: Outside, failures: Sequence[BaseException]
    ) -> None:
        self.failures = failures
        self.engine = engine
        self.clock = clock
        self.began = clock.now()
        self.outside = outside

    async def breathe(self) -> None:
        """Let everything happen that does not wait for a commit to return."""
        for _ in range(100):
            await asyncio.sleep(0)

    async def settle(self) -> None:
        """Until nothing moves unless time passes."""
        engine = self.engine
        quiet = 0
        while quiet < 3:
            await asyncio.sleep(0)
            still = not engine._scheduled and engine._committer.idle and engine._loading.idle and engine._careful.idle
            quiet = quiet + 1 if still else 0

    async def until(self, over: Callable[[], bool]) -> None:
        """Let time pass until then."""
        await self.settle()
        for _ in range(INSTANTS_MAX):
            if over():
                return
            self.clock.advance()
            await self.settle()
        raise AssertionError("it does not come to an end")

    async def pass_time(self, seconds: float) -> None:
        end = self.clock.now() + seconds
        self.clock.call_at(end, lambda: None)
        await self.until(lambda: self.clock.now() >= end)

    def deliver(self, key: str, message: AnyMessage | Query) -> list[Any]:
        """The replies, in a list that fills."""
        replies: list[Any] = []
        self.engine.deliver(key, message, replies.append)
        return replies

    async def ask(self, key: str, message: AnyMessage | Query) -> Any:
        replies = self.deliver(key, message)
        await self.until(lambda: bool(replies))
        return replies[0]

    def watch(self, key: str) -> list[Any]:
        ends: list[Any] = []
        self.engine.watch(key, ends.append)
        return ends

    async def result(self, key: str) -> Description:
        """How the run stands once it has ended or is held."""
        ends = self.watch(key)
        await self.until(lambda: bool(ends))
        assert isinstance(ends[0], Description), ends[0]
        return ends[0]

    async def describe(self, key: str) -> Description:
        described = await self.ask(key, Describe())
        assert isinstance(described, Description), described
        return described


@asynccontextmanager
async def living(
    apps: Sequence[App],
    store: Store,
    *,
    outside: Outside | None = None,
    now: float = T0,
    resident_bytes: int = 2**30,
    window_s: float = float("inf"),
    watchdog: Watchdog | None = None,
) -> AsyncGenerator[World, None]:
    """A node over `store` for as long as the block lasts."""
    clock, outside = VirtualClock(now), outside or Outside()
    machines: dict[str, Machine[Any]] = {RUN: RunMachine(), SCHEDULE: ScheduleMachine(ZoneCalendar())}
    machines |= resource_machines(apps, "a node", lambda: store.epoch)
    executor = OutsideExecutor(apps, clock, outside)
    failures: list[BaseException] = []
    await store.open("a node", now)
    engine = Engine(
        clock=clock,
        store=store,
        programs=AppPrograms(apps, watchdog),
        executor=executor,
        machine_of=machine_for(machines, ActorMachine()),
        build="",
        memory_bytes=resident_bytes,
        window_s=window_s,
        on_failed=failures.append,
    )
    executor.report = engine.report
    try:
        await engine.start()
        yield World(engine, clock, outside, failures)
    finally:
        await executor.close(0.0)
        await engine.close()
        await store.close()


def run(run_id: str) -> str:
    return run_key(NAMESPACE, run_id)


def starting(workflow: str, *args: Any) -> Start:
    return Start(workflow, Raw(msgspec.json.encode({"args": args, "kwargs": {}})), "digest")
