from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.execution import sample
from understudy.definitions import TaskDefinition
from understudy.options import TaskOptions
from understudy_runtime.core.messages import AttemptEnded, AttemptProgressed, Dispatch, Token
from understudy_runtime.core.ports import Report
from understudy_runtime.execution.executor import Limits, LocalExecutor

PATIENCE_S = 30.0


class RealClock:
    def now(self) -> float:
        return time.time()

    def call_at(self, at: float, callback: Callable[[], None]) -> Callable[[], None]:
        raise AssertionError("attempts run in real time, whatever the clock says")

    def new_id(self) -> str:
        raise AssertionError("the executor makes no ids")


class Desk:
    """Dispatches attempts as the engine does, and keeps what is reported of each."""

    def __init__(self, limits: Limits | None = None, tasks: Mapping[str, TaskDefinition] | None = None) -> None:
        self.tasks = tasks or sample.app.tasks
        self.executor = LocalExecutor(self.tasks, RealClock(), node="n1", limits=limits)
        self.ends: dict[Token, AttemptEnded] = {}
        self.progress: dict[Token, list[Any]] = {}
        self.order: list[Report] = []
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()
        self.executor.open(self._report)

    def dispatch(self, task: str, *args: Any, attempt: int = 1, progress: Any = None, **options: Any) -> Token:
        return self.dispatch_all([(task, *args)], attempt=attempt, progress=progress, **options)[0]

    def submit(self, task: str, *args: Any) -> Token:
        """Something that only this node can do."""
        return self.dispatch_all([(task, *args)], local=True)[0]

    def dispatch_all(
        self,
        calls: list[tuple[Any, ...]],
        *,
        attempt: int = 1,
        progress: Any = None,
        local: bool = False,
        **options: Any,
    ) -> list[Token]:
        dispatches: list[Dispatch] = []
        for task, *args in calls:
            definition = self.tasks.get(task)
            defaults = TaskOptions() if definition is None else definition.options
            dispatches.append(
                Dispatch(
                    Token("test/run/r1", 1, next(self._numbers), attempt, 1),
                    task,
                    Raw(msgspec.json.encode({"args": args, "kwargs": {}})),
                    msgspec.structs.replace(defaults, **options),
                    "key-1",
                    None if progress is None else Raw(msgspec.json.encode(progress)),
                    local=local,
                )
            )
        self.executor.start(dispatches)
        return [dispatch.token for dispatch in dispatches]

    async def ended(self, token: Token) -> AttemptEnded:
        await self._until(lambda: token in self.ends)
        return self.ends[token]

    async def result(self, token: Token) -> Any:
        end = await self.ended(token)
        assert end.failure is None, end.failure
        return msgspec.json.decode(end.result)

    async def begun(self, token: Token) -> Any:
        """The first progress of an attempt, which says that its body runs."""
        await self._until(lambda: token in self.progress)
        return self.progress[token][0]

    async def cancelled(self, token: Token) -> AttemptEnded:
        self.executor.cancel([token])
        return await self.ended(token)

    async def changed(self) -> None:
        """Until something more is reported."""
        self._changed.clear()
        async with asyncio.timeout(PATIENCE_S):
            await self._changed.wait()

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            await self.changed()

    def _report(self, reports: list[Report]) -> None:
        self.order += reports
        for report in reports:
            match report:
                case AttemptProgressed():
                    assert report.token not in self.ends, "progress after the end"
                    self.progress.setdefault(report.token, []).append(msgspec.json.decode(report.progress))
                case AttemptEnded():
                    assert report.token not in self.ends, "reported twice"
                    self.ends[report.token] = report
        self._changed.set()


@pytest.fixture
def limits() -> Limits:
    return Limits(coroutines=100, threads=2, processes=2)


@pytest.fixture
async def desk(limits: Limits) -> AsyncIterator[Desk]:
    sample.gate.clear()
    desk = Desk(limits)
    yield desk
    sample.gate.set()
    await desk.executor.close(grace_s=5)
