"""Sessions of remote workers: who is connected, away or leaving, and what each holds.

The diagram is in `core.workers`. A session says what to report and when it is over; its `Host` does the rest.

What a worker holds it knows by the token it was given out under. After a restart of the node the run may have given
the attempt out again meanwhile, under another token, which nobody has got yet: then the worker goes on with it, and the
session reports under the newer token whatever the worker says under its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
import structlog

from understudy.cluster import WorkerInfo, WorkerStatus
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import AttemptEnded, AttemptProgressed, Dispatch, Token
from understudy_runtime.core.needs import Offer
from understudy_runtime.core.ports import Clock, Report
from understudy_runtime.core.workers import (
    HEARTBEAT_S,
    OVERDUE_S,
    SESSION_TIMEOUT_S,
    FromWorker,
    Health,
    Hello,
    Settled,
    ToWorker,
    Welcome,
)
from understudy_runtime.execution.processes import LOAD_TIMEOUT_S

PROGRESS_EVERY_S: Final = 1.0
"""An attempt's progress is passed on at most this often, because every report is made durable."""

log = structlog.get_logger("understudy.workers")


class Held:
    """An attempt that a worker holds: `dispatch` as the run knows it. `progress` is what was not passed on yet.

    `due`: when the node waits for its end no longer. From then on it is `overdue`: it has been reported as failed, and
    only its slot is still of interest.
    """

    __slots__ = ("cancelled", "dispatch", "due", "given_at", "overdue", "progress", "progress_at")

    def __init__(self, dispatch: Dispatch, now: float) -> None:
        self.dispatch = dispatch
        self.given_at = now
        self.due = _due(dispatch, now)
        self.overdue = False
        self.cancelled = False
        self.progress: AttemptProgressed | None = None
        self.progress_at = 0.0


class Host(Protocol):
    """The pool, as its sessions see it."""

    def granted(self, session: Session, credits: int) -> None: ...
    def rests(self, session: Session, rests: bool) -> None: ...
    def changed(self, session: Session) -> None: ...
    def released(self, session: Session, held: Held) -> None: ...
    def adopted(self, session: Session, token: Token) -> Dispatch | None: ...
    def given_up(self, held: Held) -> None: ...
    def count(self, task: str, failure: Failure | None, seconds: float) -> None: ...
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
        self._heard_at = self._sent_at = self._away_since = self._joined_at = clock.now()
        self._health = Health()
        self._blocked_since: float | None = None
        self._leaving = False
        self._without: frozenset[str] = frozenset()
        self._hello = hello
        self.holds: dict[Token, Held] = {}
        """By the tokens that the worker knows."""
        self._adopted: dict[Token, Token] = {}
        """Of those that the run knows by another token: from that one to the worker's."""

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
    def status(self) -> WorkerStatus:
        if self._leaving:
            return "leaving"
        if self._stream is None:
            return "away"
        return "blocked" if self._health.blocked_s else "active"

    def info(self) -> WorkerInfo:
        hello, health = self._hello, self._health
        task = self._blocking_task() if health.blocked_s else ""
        return WorkerInfo(
            self.worker,
            self.name,
            self.status,
            hello.slots,
            self.used,
            tuple(sorted(hello.queues)),
            tuple(sorted(hello.labels)),
            hello.build,
            hello.agent,
            self._joined_at,
            self._blocked_since,
            task,
            health.blocked_at,
            blocked_by(task, health.blocked_at) if health.blocked_s else "",
        )

    def _blocking_task(self) -> str:
        held = None if self._health.blocked_by is None else self.holds.get(self._health.blocked_by)
        return held.dispatch.task if held is not None else ""

    # --- streams

    def begin(self, hello: Hello, send: Callable[[ToWorker], None], end: Callable[[str], None]) -> Stream:
        """Go on over a new stream; what was on an old one and is not known to have arrived is settled by `resume`."""
        self.end("replaced by a newer stream of the same worker")
        self._hello, self._health, self._without, self._leaving = hello, Health(), frozenset(), False
        self._blocked_since = None
        self._heard_at = self._sent_at = self._clock.now()
        stale = tuple(token for token in hello.holds if not self._keeps(token))
        self._stream = Stream(self, Welcome(self._node, stale=stale), send, end)
        return self._stream

    def _keeps(self, token: Token) -> bool:
        """Whether the worker goes on with it. One that was given up is ended by it as stale, without a report."""
        held = self.holds.get(token)
        if held is not None:
            if held.overdue:
                self._release(token, held, [])
            return not held.overdue
        dispatch = self._host.adopted(self, token)
        if dispatch is None:
            return False
        self.holds[token] = Held(dispatch, self._clock.now())
        if dispatch.token != token:
            self._adopted[dispatch.token] = token
        return True

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
            self.holds[dispatch.token] = Held(dispatch, self._clock.now())
        self.send(ToWorker(dispatches))

    def cancel(self, token: Token) -> None:
        token = self._adopted.get(token, token)
        held = self.holds[token]
        if not held.cancelled:
            held.cancelled = True
            self.send(ToWorker(cancels=[token]))

    def look(self, now: float, *, absent_s: float) -> None:
        """Called now and then. The node itself was absent for `absent_s`, in which silence proves nothing."""
        if absent_s:
            self._heard_at = self._away_since = now
            for held in self.holds.values():
                held.due += absent_s
        if self._stream is None:
            if now - self._away_since >= SESSION_TIMEOUT_S:
                self._host.gone(self, f"worker {self.name} did not come back within {SESSION_TIMEOUT_S:g} s")
        elif now - self._heard_at >= SESSION_TIMEOUT_S:
            why = f"worker {self.name} was silent for {SESSION_TIMEOUT_S:g} s"
            self.end(why)
            self._host.gone(self, why)
        else:
            reports: list[Report] = []
            for token, held in self.holds.items():
                self._pass_on(held, now, reports)
                if now >= held.due and not held.overdue:
                    self._give_up(token, held, reports)
            self._host.report(reports)
            if now - self._sent_at >= HEARTBEAT_S:
                self.send(ToWorker())

    def _give_up(self, token: Token, held: Held, reports: list[Report]) -> None:
        """It has failed, whatever the worker comes to. Its slot is used as long as the worker has it."""
        timeout_s = held.dispatch.options.timeout_s
        why = f"worker {self.name} neither ended it nor said so, long after its timeout of {timeout_s:g} s"
        log.warning("attempt overdue", worker=self.name, task=held.dispatch.task, timeout_s=timeout_s)
        failure = Failure("TaskTimedOut", why, kind="timeout")
        self._host.count(held.dispatch.task, failure, max(0.0, self._clock.now() - held.given_at))
        reports.append(self._failed(held, failure))
        held.overdue = held.cancelled = True
        self._adopted.pop(held.dispatch.token, None)
        self._host.given_up(held)
        self.send(ToWorker(cancels=[token]))

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
            if held is not None and not held.overdue:
                held.progress = AttemptProgressed(held.dispatch.token, progress.progress)
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
        self._health = health
        if not health.blocked_s:
            if self._blocked_since is not None:
                log.info("worker answers again", worker=self.name)
            self._blocked_since = None
        elif self._blocked_since is None:
            self._blocked_since = self._heard_at - health.blocked_s
            info, lag_s = self.info(), round(health.blocked_s, 1)
            task, where = info.blocked_task, info.blocked_at
            log.warning("worker blocked", worker=self.name, why=info.trouble, task=task, where=where, lag_s=lag_s)

    def _take_end(self, ended: AttemptEnded, reports: list[Report], settled: list[Settled]) -> None:
        held = self._taken(ended.token, reports, settled)
        if held is not None:
            token = held.dispatch.token
            self._host.count(held.dispatch.task, ended.failure, max(0.0, ended.ended_at - ended.started_at))
            reports.append(msgspec.structs.replace(ended, token=token, worker=self.name, node=self._node))

    def _take_back(self, token: Token, reason: str, reports: list[Report], settled: list[Settled]) -> None:
        held = self._taken(token, reports, settled)
        if held is None:
            return
        reports.append(self._failed(held, Failure("HandedBack", reason, kind="returned")))
        if not self._leaving:
            # It cannot run this task, and would be the first to get it again.
            self._without |= {held.dispatch.task}
            self._host.changed(self)

    def _taken(self, token: Token, reports: list[Report], settled: list[Settled]) -> Held | None:
        """The worker has it no longer. None if that changes nothing for the run."""
        held = self.holds.get(token)
        is_stale = held is None or held.overdue
        settled.append(Settled(token, is_stale))
        if held is not None:
            self._release(token, held, reports)
        return None if is_stale else held

    def _release(self, token: Token, held: Held, reports: list[Report]) -> None:
        if held.progress is not None:
            reports.append(held.progress)
        del self.holds[token]
        self._adopted.pop(held.dispatch.token, None)
        self._host.released(self, held)

    def _pass_on(self, held: Held, now: float, reports: list[Report]) -> None:
        if held.progress is not None and now - held.progress_at >= PROGRESS_EVERY_S:
            reports.append(held.progress)
            held.progress, held.progress_at = None, now

    # --- loss

    def lose_all(self, why: str) -> None:
        self._lose(list(self.holds), why)

    def _lose(self, tokens: list[Token], why: str) -> None:
        reports: list[Report] = []
        failure = Failure("WorkerLost", why, kind="lost")
        for token in tokens:
            held = self.holds[token]
            self._release(token, held, reports)
            if not held.overdue:
                self._host.count(held.dispatch.task, failure, max(0.0, self._clock.now() - held.given_at))
                reports.append(self._failed(held, failure))
        self._host.report(reports)

    def _failed(self, held: Held, failure: Failure) -> AttemptEnded:
        now = self._clock.now()
        return AttemptEnded(held.dispatch.token, failure=failure, worker=self.name, node=self._node, ended_at=now)


def blocked_by(task: str, where: str) -> str:
    """What keeps a loop of async tasks from answering, for people."""
    return f"blocked by task {task or '(unknown)'} at {where or '(unknown)'}"


def _due(dispatch: Dispatch, now: float) -> float:
    options = dispatch.options
    if options.timeout_s is None:
        return math.inf
    return now + options.timeout_s + OVERDUE_S + (LOAD_TIMEOUT_S if options.isolate == "process" else 0.0)
