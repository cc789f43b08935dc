"""For tests of workflows: a node in memory on virtual time, and replay of recorded histories.

    async with testing.node(app) as client:
        run = await client.start(Approval, request)
        await client.advance("2d")
        await client.tell(run, Approval.decide, "yes")
        assert await run.result() == "yes"

Time passes by `advance`, and by itself while the end of a run is awaited and nothing else is going on. Tasks run in
real time, as what they are.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, cast

import msgspec

from understudy.app import App
from understudy.client import Client
from understudy.door import Door, HistoryTurn, IfExists, Outcome
from understudy.errors import BadInput, UnderstudyError
from understudy.options import Duration, seconds

__all__ = ["Diverged", "TestClient", "node", "replay"]


class Diverged(UnderstudyError):
    """The code does not do what a history says it did; the message shows the difference."""


class _Time(Protocol):
    def now(self) -> float: ...
    async def advance(self, seconds: float) -> None: ...
    def somebody_waits(self, run_id: str) -> Callable[[], None]: ...


class _Kit(Protocol):
    def open_virtual(
        self, apps: Sequence[App], *, namespace: str
    ) -> AbstractAsyncContextManager[tuple[Door, _Time]]: ...

    def differences(self, apps: Sequence[App], history: Sequence[HistoryTurn]) -> str | None: ...


class _PassingTime:
    """A door through which time passes while somebody awaits the end of a run."""

    def __init__(self, door: Door, time: _Time) -> None:
        self._door = door
        self._time = time

    async def wait(self, run_id: str) -> Outcome:
        nobody_waits = self._time.somebody_waits(run_id)
        try:
            return await self._door.wait(run_id)
        finally:
            nobody_waits()

    async def run(
        self, workflow: str, input: bytes, digest: str, *, run_id: str | None, if_exists: IfExists
    ) -> Outcome:
        started = await self._door.start(workflow, input, digest, run_id=run_id, if_exists=if_exists)
        return await self.wait(started.run_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._door, name)


class TestClient(Client):
    """A `Client` whose node's time is in the test's hands."""

    __test__ = False  # pytest collects classes by this name

    def __init__(self, door: Door, apps: Sequence[App], time: _Time) -> None:
        super().__init__(cast("Door", _PassingTime(door, time)), apps)
        self._time: Final = time

    def now(self) -> datetime:
        """The node's time, in UTC."""
        return datetime.fromtimestamp(self._time.now(), UTC)

    async def advance(self, duration: Duration) -> None:
        """Let time pass; whatever is due meanwhile happens at its time."""
        await self._time.advance(seconds(duration))


@asynccontextmanager
async def node(app: App | Sequence[App], *, namespace: str = "default") -> AsyncGenerator[TestClient, None]:
    """A node for one test: nothing is kept, and its time starts at 2026-01-01 UTC."""
    apps = (app,) if isinstance(app, App) else tuple(app)
    async with _kit().open_virtual(apps, namespace=namespace) as (door, time):
        yield TestClient(door, apps, time)


def replay(history: Sequence[HistoryTurn] | str | Path, app: App | Sequence[App]) -> None:
    """Check that the code still does what a run's history says it did; raises `Diverged` with a readable diff.

    `history` is what `handle.history()` returns, or a file written by `understudy runs history --json`.
    """
    apps = (app,) if isinstance(app, App) else tuple(app)
    turns = _read(Path(history)) if isinstance(history, str | Path) else history
    differs = _kit().differences(apps, turns)
    if differs is not None:
        raise Diverged(differs)


def _read(path: Path) -> list[HistoryTurn]:
    try:
        found: Any = json.loads(path.read_text())
        return msgspec.convert(found["turns"] if isinstance(found, dict) else found, list[HistoryTurn])
    except (OSError, ValueError, KeyError, msgspec.ValidationError) as error:
        raise BadInput(f"{path} is not a history: {error}; write one with `understudy runs history --json`") from None


def _kit() -> _Kit:
    # Imported by name, and only here: what users import must not load the runtime.
    return cast("_Kit", import_module("understudy_runtime.node.testing"))
