"""The agent: a worker's side of its session, over whatever carries it.

    dispatched ──► running ──► ended ──► settled, and forgotten
                      └──► given back ──┘

The agent runs what it is given on a `LocalExecutor` and goes on with it while no node is there to be told. A report is
kept, and said again over the next stream, until it is settled. What a node no longer wants, or nobody can want any
more because the worker was away for too long, is cancelled, and its end is nobody's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from understudy_runtime.core.messages import AttemptEnded, AttemptProgressed, Dispatch, Token
from understudy_runtime.core.ports import Clock, Report
from understudy_runtime.core.workers import (
    SESSION_TIMEOUT_S,
    FromWorker,
    GivenBack,
    Health,
    Hello,
    ToWorker,
    Welcome,
)
from understudy_runtime.execution.executor import LocalExecutor
from understudy_runtime.execution.work_loop import Blocked

LOOK_EVERY_S: Final = 1.0
"""How often the work loop is looked at."""
BLOCKED_S: Final = 1.0
CLEAN_UP_S: Final = 2.0
"""How long attempts that are given back may take to clean up after themselves."""
SETTLE_S: Final = 5.0
"""How long a leaving worker waits for its last reports to be settled."""

Send = Callable[[FromWorker], None]
log = structlog.get_logger("understudy.worker")


class Agent:
    """Used on the loop that opened it; what it says goes to the `send` it was last welcomed with."""

    def __init__(self, executor: LocalExecutor, clock: Clock, hello: Hello) -> None:
        self._executor = executor
        self._clock = clock
        self._hello = hello
        self._send: Send | None = None
        self._running: dict[Token, int] = {}
        self._unwanted: set[Token] = set()
        self._unsettled: dict[Token, AttemptEnded | GivenBack] = {}
        self._leaving = False
        self._blocked: Blocked | None = None
        self._timeout_s = SESSION_TIMEOUT_S
        self._give_up: Callable[[], None] | None = None
        self._stop_looking: Callable[[], None] | None = None
        self._changed = asyncio.Event()

    def open(self) -> None:
        self._executor.open(self._reported)

    @property
    def hello(self) -> Hello:
        """What to begin the next stream with."""
        running = (token for token in self._running if token not in self._unwanted)
        return msgspec.structs.replace(self._hello, holds=(*running, *self._unsettled))

    # --- what the node says

    def welcomed(self, welcome: Welcome, send: Send) -> None:
        self._send = send
        self._timeout_s = welcome.session_timeout_s
        if self._give_up is not None:
            self._give_up()
            self._give_up = None
        self._abandon(welcome.stale)
        unsettled = list(self._unsettled.values())
        self._say(
            FromWorker(
                0 if self._leaving else self._hello.slots - sum(self._running.values()),
                [report for report in unsettled if isinstance(report, AttemptEnded)],
                [report for report in unsettled if isinstance(report, GivenBack)],
                health=None if self._blocked is None else _health(self._blocked),
                leaving=self._leaving,
            )
        )

    def take(self, batch: ToWorker) -> None:
        for token, _ in batch.settled:
            self._unsettled.pop(token, None)
        if batch.dispatches:
            self._start(batch.dispatches)
        self._executor.cancel(batch.cancels)
        if batch.drain is not None:
            log.info("the node is leaving", grace_s=batch.drain.grace_s)
        self._changed.set()

    def disconnected(self) -> None:
        """Nobody listens. After the session's timeout, others will have been given what runs here."""
        self._send = None
        if self._give_up is None:
            self._give_up = self._clock.call_at(self._clock.now() + self._timeout_s, self._away_for_too_long)

    # --- leaving

    async def leave(self, grace_s: float) -> None:
        """Take nothing more, let what runs end within `grace_s`, and give back the rest; it costs nobody an attempt."""
        self._leaving = True
        self._say(FromWorker(leaving=True))
        await self._until(lambda: not self._running, grace_s)
        if self._stop_looking is not None:
            self._stop_looking()
        await self._executor.close(CLEAN_UP_S)
        for token in self._running:
            if token not in self._unwanted:
                self._unsettled[token] = GivenBack(token, f"worker {self._hello.name} is leaving")
        returned = [report for report in self._unsettled.values() if isinstance(report, GivenBack)]
        self._running.clear()
        log.info("left", given_back=len(returned))
        self._say(FromWorker(given_back=returned))
        await self._until(lambda: not self._unsettled, SETTLE_S)

    async def _until(self, true: Callable[[], bool], within_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not true():
                    self._changed.clear()
                    await self._changed.wait()

    # --- attempts

    def _start(self, dispatches: list[Dispatch]) -> None:
        fresh = [dispatch for dispatch in dispatches if dispatch.token not in self._running]
        for dispatch in fresh:
            self._running[dispatch.token] = dispatch.options.slots
        self._executor.start(fresh)
        if self._stop_looking is None:
            self._stop_looking = self._clock.call_at(self._clock.now() + LOOK_EVERY_S, self._look)

    def _reported(self, reports: list[Report]) -> None:
        progress: list[AttemptProgressed] = []
        results: list[AttemptEnded] = []
        freed = 0
        for report in reports:
            if isinstance(report, AttemptProgressed):
                progress.append(report)
                continue
            freed += self._running.pop(report.token)
            if report.token in self._unwanted:
                self._unwanted.discard(report.token)
            else:
                self._unsettled[report.token] = report
                results.append(report)
        if progress:
            # In a batch of its own: within a batch, ends come first, and this may be an ended attempt's last word.
            self._say(FromWorker(progress=progress))
        self._say(FromWorker(0 if self._leaving else freed, results))
        self._changed.set()

    def _abandon(self, tokens: tuple[Token, ...]) -> None:
        for token in tokens:
            self._unsettled.pop(token, None)
        unwanted = [token for token in tokens if token in self._running]
        self._unwanted.update(unwanted)
        self._executor.cancel(unwanted)

    def _away_for_too_long(self) -> None:
        log.warning("no node for too long: what runs is given up", attempts=len(self._running))
        self._abandon((*self._running, *self._unsettled))

    # --- health

    def _look(self) -> None:
        blocked = self._executor.blocked(BLOCKED_S)
        was, self._blocked = self._blocked, blocked
        if blocked is not None and was is None:
            log.warning("work loop blocked", task=blocked.task, where=blocked.where, lag_s=round(blocked.lag_s, 1))
            self._say(FromWorker(health=_health(blocked)))
        elif blocked is None and was is not None:
            log.info("work loop answers again")
            self._say(FromWorker(health=Health()))
        self._stop_looking = None
        if self._running:
            self._stop_looking = self._clock.call_at(self._clock.now() + LOOK_EVERY_S, self._look)

    def _say(self, batch: FromWorker) -> None:
        if self._send is not None:
            self._send(batch)


def _health(blocked: Blocked) -> Health:
    return Health(blocked.lag_s, blocked.token, blocked.where)
