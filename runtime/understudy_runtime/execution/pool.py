"""The pool: ready attempts on one side, workers on the other, and who holds what.

    start ──► ready ──match──► held by a worker ──► ended, progressed ──► the engine
               │                  │      │
               └─ cancelled       │      └─ worker lost: `lost`
                                  └─ given back: `returned`

The node itself is a worker like any other (unless it is not to run tasks): one seat for each kind of task, because
coroutines, threads and processes each have slots of their own. Other workers come through `connect`.

All of it is soft: runs hold the truth, and dispatch again what a node took to its grave. Each attempt that was started
is reported once, by whoever holds it then. All state belongs to the engine's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from understudy.definitions import TaskKind
from understudy.errors import BadRequest, Overloaded
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.matching import Matching, Need, Offer, need_of
from understudy_runtime.core.messages import AttemptEnded, Dispatch, Token
from understudy_runtime.core.ports import Clock, Report
from understudy_runtime.core.workers import (
    MAX_WORKER_SLOTS,
    MAX_WORKER_TASKS,
    MAX_WORKERS,
    SESSION_TIMEOUT_S,
    Drain,
    Hello,
    Link,
    PoolInfo,
    ToWorker,
    WorkerInfo,
)
from understudy_runtime.execution.executor import LocalExecutor
from understudy_runtime.execution.sessions import Session
from understudy_runtime.execution.work_loop import Blocked

LOOK_EVERY_S: Final = 1.0
"""How often silence, absence and blocked loops are looked for."""
ABSENT_S: Final = SESSION_TIMEOUT_S / 2
"""A node that has not looked for so long was away itself (stopped, or its clock was set), and calls nobody silent."""
MAX_HELD_PER_SLOT: Final = 16
"""Attempts a worker may claim to hold, reported and not settled ones included."""
BLOCKED_S: Final = 1.0
"""The node's work loop gets no new work once it has not answered for so long."""

log = structlog.get_logger("understudy.workers")


class WorkerPool:
    """The `Executor` port and the `Workers` port. Without `run_tasks` the node's own executor is given nothing."""

    def __init__(self, clock: Clock, local: LocalExecutor, *, node: str = "", run_tasks: bool = True) -> None:
        self._clock = clock
        self._node = node
        self._local = local
        self._run_tasks = run_tasks
        self._matching: Matching[Token] = Matching()
        self._ready: dict[Token, Dispatch] = {}
        self._seats: dict[TaskKind, tuple[str, Offer]] = {}
        self._local_held: dict[Token, tuple[str, int]] = {}
        self._sessions: dict[str, Session] = {}
        self._holders: dict[Token, Session] = {}
        self._blocked = ""
        self._unwanted: set[Need] = set()
        self._looked_at = 0.0
        self._stop_looking: Callable[[], None] | None = None
        self._released = asyncio.Event()
        self._closing = False
        self._closed = False

    def open(
        self, report: Callable[[list[Report]], None], *, queues: Sequence[str] = (), labels: Sequence[str] = ()
    ) -> None:
        """From now on `report` gets what there is. `queues` and `labels` are the node's own as a worker."""
        self._report = report
        self._local.open(self._local_reports)
        for kind, (tasks, slots) in self._local.offers().items() if self._run_tasks else ():
            seat, offer = f"{self._node}/{kind}", Offer(tasks, slots, frozenset(labels), frozenset(queues))
            self._seats[kind] = seat, offer
            self._matching.join(seat, offer)

    # --- the Executor port

    def start(self, dispatches: Sequence[Dispatch]) -> None:
        """Give these attempts to workers as they have room. Nothing is started once the pool is closing."""
        if self._closing:
            return
        now = self._clock.now()
        for dispatch in dispatches:
            self._ready[dispatch.token] = dispatch
            self._matching.add(dispatch.token, need_of(dispatch), dispatch.options.priority, now)
        self.hand_out()
        self._keep_looking()

    def cancel(self, tokens: Sequence[Token]) -> None:
        waiting: list[Report] = []
        local: list[Token] = []
        for token in tokens:
            session = self._holders.get(token)
            if session is not None:
                session.cancel(token)
            elif token in self._local_held:
                local.append(token)
            elif self._ready.pop(token, None) is not None:
                self._matching.remove(token)
                waiting.append(self._cancelled(token))
        if local:
            self._local.cancel(local)
        if waiting:
            # Never from within a call: the engine is in the middle of something.
            self._clock.call_at(self._clock.now(), lambda: self.report(waiting))

    async def drain(self, grace_s: float) -> None:
        """Hand out nothing more, and let what runs, here and on other workers, end by itself for at most `grace_s`.

        Workers are told, and find themselves another node afterwards, or this one's next incarnation.
        """
        self._closing = True
        for session in self._sessions.values():
            session.send(ToWorker(drain=Drain(grace_s)))
        await asyncio.gather(self._local.drain(grace_s), self._workers_idle(grace_s))

    async def close(self, grace_s: float) -> None:
        """As the executor's: what this interrupts is not reported, and dispatched again by the next incarnation."""
        self._closing = True
        if self._stop_looking is not None:
            self._stop_looking()
        for session in self._sessions.values():
            session.end("the node is closed")
        await self._local.close(grace_s)
        self._closed = True

    async def _workers_idle(self, within_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._holders:
                    self._released.clear()
                    await self._released.wait()

    # --- the Workers port

    def connect(self, hello: Hello, send: Callable[[ToWorker], None], end: Callable[[str], None]) -> Link:
        _check(hello)
        if self._closing:
            raise Overloaded("the node is leaving; connect to another one, or to this one again in a moment")
        session = self._sessions.get(hello.worker)
        if session is None:
            if len(self._sessions) >= MAX_WORKERS:
                raise Overloaded(f"{MAX_WORKERS} workers are connected to this node; connect to another one")
            session = self._sessions[hello.worker] = Session(self, self._clock, self._node, hello)
            log.info("worker joined", worker=hello.name, slots=hello.slots, tasks=len(hello.tasks))
        stream = session.begin(hello, send, end)
        self._matching.join(hello.worker, session.offer, session.used, credit=0)
        session.resume()
        self._keep_looking()
        return stream

    # --- the Host of sessions

    def granted(self, session: Session, credits: int) -> None:
        self._matching.grant(session.worker, credits)

    def rests(self, session: Session, rests: bool) -> None:
        """The worker gets nothing new as long as it rests."""
        self._matching.set_open(session.worker, not rests)

    def changed(self, session: Session) -> None:
        """Its offer has."""
        self._matching.change(session.worker, session.offer)

    def released(self, session: Session, token: Token) -> None:
        """The worker holds this attempt no longer."""
        held = session.holds.pop(token)
        del self._holders[token]
        self._released.set()
        self._matching.freed(session.worker, held.dispatch.options.slots)

    def report(self, reports: list[Report]) -> None:
        if reports and not self._closed:
            self._report(reports)

    def gone(self, session: Session, why: str) -> None:
        """The session is over; what it holds comes back under other dispatches."""
        level = "warning" if session.holds else "info"
        getattr(log, level)("worker gone", worker=session.name, why=why, attempts=len(session.holds))
        del self._sessions[session.worker]
        session.lose_all(why)
        self._matching.leave(session.worker)

    def hand_out(self) -> None:
        """Give ready attempts to whoever has room for them."""
        if self._closing or not self._ready:
            return
        local: list[Dispatch] = []
        remote: dict[str, list[Dispatch]] = {}
        for token, worker in self._matching.match(self._clock.now()):
            dispatch = self._ready.pop(token)
            session = self._sessions.get(worker)
            if session is None:
                self._local_held[token] = (worker, dispatch.options.slots)
                local.append(dispatch)
            else:
                self._holders[token] = session
                remote.setdefault(worker, []).append(dispatch)
        if local:
            self._local.start(local)
        for worker, dispatches in remote.items():
            self._sessions[worker].give(dispatches)

    # --- for people

    @property
    def trouble(self) -> str:
        """What blocks this node's work loop; empty if nothing does."""
        return self._blocked

    def blocked(self, threshold_s: float) -> Blocked | None:
        """What keeps the node's work loop from answering for longer than that."""
        return self._local.blocked(threshold_s)

    def info(self) -> PoolInfo:
        """May be read from any thread."""
        workers = [session.info() for session in list(self._sessions.values())]
        return PoolInfo((*self._own_info(), *workers), tuple(self._matching.waiting()))

    def _own_info(self) -> list[WorkerInfo]:
        used: dict[str, int] = {}
        for seat, slots in list(self._local_held.values()):
            used[seat] = used.get(seat, 0) + slots
        return [
            WorkerInfo(
                seat,
                f"{self._node} ({kind} tasks)",
                "blocked" if kind == "async" and self._blocked else "active",
                offer.slots,
                used.get(seat, 0),
                tuple(sorted(offer.queues)),
                tuple(sorted(offer.labels)),
                trouble=self._blocked if kind == "async" else "",
            )
            for kind, (seat, offer) in self._seats.items()
        ]

    # --- this node as a worker

    def _local_reports(self, reports: list[Report]) -> None:
        for report in reports:
            if type(report) is AttemptEnded:
                seat, slots = self._local_held.pop(report.token)
                self._matching.freed(seat, slots)
        self.report(reports)
        self.hand_out()

    # --- looking after workers

    def _keep_looking(self) -> None:
        """Look again as long as there is anything to look at: an idle node has no timers."""
        if self._stop_looking is None and not self._closing:
            self._looked_at = self._clock.now()
            self._stop_looking = self._clock.call_at(self._looked_at + LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self._stop_looking = None
        now = self._clock.now()
        was_absent = not 0 <= now - self._looked_at <= ABSENT_S
        for session in list(self._sessions.values()):
            session.look(now, was_absent=was_absent)
        self._look_at_own_loop()
        self._look_at_waiting()
        self.hand_out()  # patience may have run out
        if self._sessions or self._ready or self._local_held:
            self._keep_looking()

    def _look_at_own_loop(self) -> None:
        blocked = self.blocked(BLOCKED_S)
        trouble = "" if blocked is None else f"blocked by task {blocked.task or '(unknown)'} at {blocked.where}"
        if bool(trouble) != bool(self._blocked):
            if "async" in self._seats:
                self._matching.set_open(self._seats["async"][0], not trouble)
            if blocked is not None:
                log.warning("work loop blocked", task=blocked.task, where=blocked.where, lag_s=round(blocked.lag_s, 1))
            else:
                log.info("work loop answers again")
        self._blocked = trouble

    def _look_at_waiting(self) -> None:
        unwanted = {line.need: line for line in self._matching.waiting() if not line.workers}
        for need in unwanted.keys() - self._unwanted:
            log.warning("no worker for a task", **need._asdict(), count=unwanted[need].count)
        self._unwanted = set(unwanted)

    def _cancelled(self, token: Token) -> AttemptEnded:
        failure = Failure("CancelledError", "it was cancelled before any worker had room for it", kind="cancelled")
        return AttemptEnded(token, failure=failure, node=self._node, ended_at=self._clock.now())


def _check(hello: Hello) -> None:
    """BadRequest if it could never be served."""
    if not hello.worker:
        raise BadRequest("a worker needs a worker_id: make one up when the process starts, a UUID for example")
    if not 1 <= hello.slots <= MAX_WORKER_SLOTS:
        raise BadRequest(f"a worker with {hello.slots} slots: it must have from 1 to {MAX_WORKER_SLOTS}")
    if not 1 <= len(hello.tasks) <= MAX_WORKER_TASKS:
        raise BadRequest(f"a worker with {len(hello.tasks)} tasks: it must have from 1 to {MAX_WORKER_TASKS}")
    if len(hello.holds) > hello.slots * MAX_HELD_PER_SLOT:
        raise BadRequest(f"a worker of {hello.slots} slots cannot hold {len(hello.holds)} attempts")
