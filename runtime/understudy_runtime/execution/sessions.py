"""Sessions of remote workers: who is connected, away or leaving, and what each holds.

The diagram is in `core.workers`. A session says what to report and when it is over; its `Host` does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, Protocol

import msgspec
import structlog

from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.matching import Offer
from understudy_runtime.core.messages import AttemptEnded, AttemptProgressed, Dispatch, Token
from understudy_runtime.core.ports import Clock, Report
from understudy_runtime.core.workers import (
    HEARTBEAT_S,
    SESSION_TIMEOUT_S,
    FromWorker,
    Health,
    Hello,
    Settled,
    ToWorker,
    Welcome,
    WorkerInfo,
)

PROGRESS_EVERY_S: Final = 1.0
"""An attempt's progress is passed on at most this often, because every report is made durable."""

log = structlog.get_logger("understudy.workers")

Status = Literal["active", "blocked", "away", "leaving"]


class Held:
    """An attempt that a worker holds. `progress` is what was not passed on yet."""

    __slots__ = ("cancelled", "dispatch", "progress", "progress_at")

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch
        self.cancelled = False
        self.progress: AttemptProgressed | None = None
        self.progress_at = 0.0


class Host(Protocol):
    """The pool, as its sessions see it."""

    def granted(self, session: Session, credits: int) -> None: ...
    def rests(self, session: Session, rests: bool) -> None: ...
    def changed(self, session: Session) -> None: ...
    def released(self, session: Session, token: Token) -> None: ...
    def report(self, reports: list[Report]) -> None: ...
    def gone(self, session: Session, why: str) -> None: ...
    def hand_out(self) -> None: ...


class Stream:
    """Implements `Link`: one stream of a session, which counts for nothing once the session has another."""

    def __init__(
        self, session: Session, welcome: Welcome, send: Callable[[ToWorker], None], end: Callable[[str], None]
    ) -> None:
        self._session = session
        self._welcome = welcome
        self.send = send
        self.end = end

    @property
    def welcome(self) -> Welcome:
        return self._welcome

    def take(self, batch: FromWorker) -> None:
        self._session.take(self, batch)

    def closed(self) -> None:
        self._session.closed(self)


class Session:
    """One worker, for as long as the node reckons with it."""

    def __init__(self, host: Host, clock: Clock, node: str, hello: Hello) -> None:
        self._host = host
        self._clock = clock
        self._node = node
        self._stream: Stream | None = None
        self._heard_at = self._sent_at = self._away_since = clock.now()
        self._health = Health()
        self._leaving = False
        self._without: frozenset[str] = frozenset()
        self._hello = hello
        self.holds: dict[Token, Held] = {}

    @property
    def worker(self) -> str:
        return self._hello.worker

    @property
    def name(self) -> str:
        return self._hello.name

    @property
    def offer(self) -> Offer:
        hello = self._hello
        return Offer(hello.tasks - self._without, hello.slots, hello.labels, hello.queues, hello.namespace)

    @property
    def used(self) -> int:
        return sum(held.dispatch.options.slots for held in list(self.holds.values()))

    @property
    def status(self) -> Status:
        if self._leaving:
            return "leaving"
        if self._stream is None:
            return "away"
        return "blocked" if self._health.blocked_s else "active"

    def info(self) -> WorkerInfo:
        hello, health = self._hello, self._health
        trouble = ""
        if health.blocked_s:
            held = None if health.blocked_by is None else self.holds.get(health.blocked_by)
            trouble = f"blocked by task {held.dispatch.task if held else '(unknown)'} at {health.blocked_at}"
        return WorkerInfo(
            self.worker,
            self.name,
            self.status,
            hello.slots,
            self.used,
            tuple(sorted(hello.queues)),
            tuple(sorted(hello.labels)),
            hello.build,
            trouble,
        )

    # --- streams

    def begin(self, hello: Hello, send: Callable[[ToWorker], None], end: Callable[[str], None]) -> Stream:
        """Go on over a new stream; what was on an old one and is not known to have arrived is settled by `resume`."""
        self.end("replaced by a newer stream of the same worker")
        self._hello, self._health, self._without, self._leaving = hello, Health(), frozenset(), False
        self._heard_at = self._sent_at = self._clock.now()
        stale = tuple(token for token in hello.holds if token not in self.holds)
        self._stream = Stream(self, Welcome(self._node, stale=stale), send, end)
        return self._stream

    def resume(self) -> None:
        """Cancel again what was to be cancelled while it was away, and note what it no longer has."""
        named = set(self._hello.holds)
        self.send(ToWorker(cancels=[token for token, held in self.holds.items() if held.cancelled and token in named]))
        missing = [token for token in self.holds if token not in named]
        self._lose(missing, f"worker {self.name} came back without it")

    def closed(self, stream: Stream) -> None:
        if self._stream is not stream:
            return
        self._stream = None
        self._away_since = self._clock.now()
        if self._leaving:
            self._host.gone(self, f"worker {self.name} has left")
        else:
            self._host.rests(self, True)

    def end(self, why: str) -> None:
        """End the stream it has, if any."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end(why)

    def send(self, batch: ToWorker) -> None:
        if self._stream is not None:
            self._sent_at = self._clock.now()
            self._stream.send(batch)

    # --- what the node wants

    def give(self, dispatches: list[Dispatch]) -> None:
        for dispatch in dispatches:
            self.holds[dispatch.token] = Held(dispatch)
        self.send(ToWorker(dispatches))

    def cancel(self, token: Token) -> None:
        held = self.holds[token]
        if not held.cancelled:
            held.cancelled = True
            self.send(ToWorker(cancels=[token]))

    def look(self, now: float, *, was_absent: bool) -> None:
        """Called now and then. `was_absent`: the node itself was, so that silence proves nothing."""
        if was_absent:
            self._heard_at = self._away_since = now
        if self._stream is None:
            if now - self._away_since >= SESSION_TIMEOUT_S:
                self._host.gone(self, f"worker {self.name} did not come back within {SESSION_TIMEOUT_S:g} s")
        elif now - self._heard_at >= SESSION_TIMEOUT_S:
            why = f"worker {self.name} was silent for {SESSION_TIMEOUT_S:g} s"
            self.end(why)
            self._host.gone(self, why)
        else:
            reports: list[Report] = []
            for held in self.holds.values():
                self._pass_on(held, now, reports)
            self._host.report(reports)
            if now - self._sent_at >= HEARTBEAT_S:
                self.send(ToWorker())

    # --- what the worker says

    def take(self, stream: Stream, batch: FromWorker) -> None:
        if stream is not self._stream:
            return
        self._heard_at = self._clock.now()
        self._leaving |= batch.leaving
        reports: list[Report] = []
        settled: list[Settled] = []
        if batch.credits:
            self._host.granted(self, batch.credits)
        for ended in batch.results:
            self._take_end(ended, reports, settled)
        for token, reason in batch.given_back:
            self._take_back(token, reason, reports, settled)
        for progress in batch.progress:
            held = self.holds.get(progress.token)
            if held is not None:
                held.progress = progress
                self._pass_on(held, self._heard_at, reports)
        if batch.health is not None:
            self._note(batch.health)
        if batch.health is not None or batch.leaving:
            self._host.rests(self, self._leaving or self._health.blocked_s > 0)
        if settled:
            self.send(ToWorker(settled=settled))
        self._host.report(reports)
        self._host.hand_out()

    def _note(self, health: Health) -> None:
        was, self._health = bool(self._health.blocked_s), health
        if health.blocked_s and not was:
            log.warning("worker blocked", worker=self.name, why=self.info().trouble, lag_s=round(health.blocked_s, 1))
        elif was and not health.blocked_s:
            log.info("worker answers again", worker=self.name)

    def _take_end(self, ended: AttemptEnded, reports: list[Report], settled: list[Settled]) -> None:
        held = self.holds.get(ended.token)
        settled.append(Settled(ended.token, held is None))
        if held is not None:
            self._release(ended.token, held, reports)
            reports.append(msgspec.structs.replace(ended, worker=self.name, node=self._node))

    def _take_back(self, token: Token, reason: str, reports: list[Report], settled: list[Settled]) -> None:
        held = self.holds.get(token)
        settled.append(Settled(token, held is None))
        if held is None:
            return
        self._release(token, held, reports)
        reports.append(self._failed(token, Failure("HandedBack", reason, kind="returned")))
        if not self._leaving:
            # It cannot run this task, and would be the first to get it again.
            self._without |= {held.dispatch.task}
            self._host.changed(self)

    def _release(self, token: Token, held: Held, reports: list[Report]) -> None:
        if held.progress is not None:
            reports.append(held.progress)
        self._host.released(self, token)

    def _pass_on(self, held: Held, now: float, reports: list[Report]) -> None:
        if held.progress is not None and now - held.progress_at >= PROGRESS_EVERY_S:
            reports.append(held.progress)
            held.progress, held.progress_at = None, now

    # --- loss

    def lose_all(self, why: str) -> None:
        self._lose(list(self.holds), why)

    def _lose(self, tokens: list[Token], why: str) -> None:
        reports: list[Report] = []
        for token in tokens:
            self._release(token, self.holds[token], reports)
            reports.append(self._failed(token, Failure("WorkerLost", why, kind="lost")))
        self._host.report(reports)

    def _failed(self, token: Token, failure: Failure) -> AttemptEnded:
        return AttemptEnded(token, failure=failure, worker=self.name, node=self._node, ended_at=self._clock.now())
