"""The pool: ready attempts on one side, workers on the other, and who holds what.

    start ──► ready ──match──► held by a worker ──► ended, progressed ──► the engine
               │                  │    │    │
               ├─ cancelled       │    │    └─ worker lost: `lost`
               ├─ queue timeout   │    └─ given back: `returned`
               └─ lent to a node  └─ its timeout long past: `timeout`

The node itself is a worker like any other (unless it is not to run tasks): one seat for each kind of task, because
coroutines, threads and processes each have slots of their own. Other workers come through `connect`. With workers of
other nodes it deals through `lending`.

All of it is soft: runs hold the truth, and dispatch again what a node took to its grave. Each attempt that was started
is reported once, by whoever holds it then. All state belongs to the engine's loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from understudy.cluster import WorkerInfo
from understudy.errors import BadRequest, Overloaded
from understudy_runtime.core.figures import Histogram
from understudy_runtime.core.keys import id_of
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.matching import Matching
from understudy_runtime.core.messages import AttemptEnded, Dispatch, Token
from understudy_runtime.core.needs import Need, need_of
from understudy_runtime.core.ports import Clock, Having, Report
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
)
from understudy_runtime.execution.executor import LocalExecutor
from understudy_runtime.execution.figures import SECONDS_BOUNDS
from understudy_runtime.execution.lending import CANCELLED, Lending
from understudy_runtime.execution.own_seats import OwnSeats
from understudy_runtime.execution.ready import RECONNECT_S, Ready, Waits
from understudy_runtime.execution.sessions import Held, Session
from understudy_runtime.execution.work_loop import Blocked

LOOK_EVERY_S: Final = 1.0
"""How often silence, absence and blocked loops are looked for."""
ABSENT_S: Final = SESSION_TIMEOUT_S / 2
"""A node that has not looked for so long was away itself (stopped, or its clock was set), and calls nobody silent."""
MAX_HELD_PER_SLOT: Final = 16
"""Attempts a worker may claim to hold, reported and not settled ones included."""
SHOW_LOST_S: Final = 300.0
"""How long a lost worker is shown."""
MAX_SHOWN_LOST: Final = 100

log = structlog.get_logger("understudy.workers")


class WorkerPool:
    """The `Executor` port and the `Workers` port. Without `run_tasks` the node's own executor is given nothing."""

    def __init__(self, clock: Clock, local: LocalExecutor, *, node: str = "", run_tasks: bool = True) -> None:
        self._clock = clock
        self._node = node
        self._local = local
        self._run_tasks = run_tasks
        self._matching: Matching[Token] = Matching()
        self._ready = Ready(self._matching)
        self._seats = OwnSeats(clock, local, self._matching, node)
        self.lending = Lending(self, clock, self._matching, self._ready)
        """With the pools of other nodes, where there are any."""
        self._own: set[Token] = set()
        """What only the node itself does, outside all queues: what is watched, and what belongs to that."""
        self._sessions: dict[str, Session] = {}
        self._holders: dict[Token, Session] = {}
        self._lost: deque[tuple[float, WorkerInfo]] = deque(maxlen=MAX_SHOWN_LOST)
        self._opened_at = 0.0
        self._stop_keeping: Callable[[], None] | None = None
        self._unwanted: set[Need] = set()
        self._looked_at = 0.0
        self._stop_looking: Callable[[], None] | None = None
        self._released = asyncio.Event()
        self.closing = False
        """Nothing more is given out."""
        self._closed = False
        self.waits = Histogram(SECONDS_BOUNDS)
        """Of each attempt that was given out, the seconds it had waited."""

    def open(
        self, report: Callable[[list[Report]], None], *, queues: Sequence[str] = (), labels: Sequence[str] = ()
    ) -> None:
        """From now on `report` gets what there is. `queues` and `labels` are the node's own as a worker."""
        self._report = report
        self._opened_at = self._clock.now()
        self._local.open(self._local_reports)
        if self._run_tasks:
            self._seats.join(queues, labels)

    # --- the Executor port

    def start(self, dispatches: Sequence[Dispatch]) -> None:
        """Give these attempts to workers as they have room. Nothing is started once the pool is closing, but for what
        only this node can do, as in its executor."""
        now = self._clock.now()
        own = [each for each in dispatches if each.local or (each.watch is not None and not self.closing)]
        if own:
            self._own.update(dispatch.token for dispatch in own)
            self._local.start(own)
        if self.closing:
            return
        if own:
            dispatches = [dispatch for dispatch in dispatches if dispatch.token not in self._own]
        for dispatch in dispatches:
            keep, reach = self._may_run_elsewhere(dispatch, now), self.lending.reach_of(dispatch)
            self._ready.add(dispatch, now, keep=keep, reach=reach)
        self.hand_out()
        self._keep_looking()

    def cancel(self, tokens: Sequence[Token]) -> None:
        waiting: list[Report] = []
        local: list[Token] = []
        for token in tokens:
            session = self._holders.get(token)
            if session is not None:
                session.cancel(token)
            elif token in self._seats.held or token in self._own:
                local.append(token)
            elif self._ready.remove(token) is not None:
                waiting.append(self.unbegun(token, CANCELLED))
        if local:
            self._local.cancel(local)
        if waiting:
            # Never from within a call: the engine is in the middle of something.
            self._clock.call_at(self._clock.now(), lambda: self.report(waiting))

    def having(self, wanted: Callable[[str], bool]) -> Having:
        begun, unbegun = self._local.having(wanted)
        begun += [token for token in self._holders if wanted(token.key)]
        unbegun += [token for token in self._ready if wanted(token.key)]
        return Having(begun, unbegun)

    async def drain(self, grace_s: float) -> None:
        """Hand out nothing more, and let what runs, here and on other workers, end by itself for at most `grace_s`.

        Workers are told, and find themselves another node afterwards, or this one's next incarnation.
        """
        self.closing = True
        self.lending.decline_all()
        self.lending.changed()
        for session in self._sessions.values():
            session.send(ToWorker(drain=Drain(grace_s)))
        await asyncio.gather(self._local.drain(grace_s), self._workers_idle(grace_s))

    async def close(self, grace_s: float) -> None:
        """As the executor's: what this interrupts is not reported, and dispatched again by the next incarnation."""
        self.closing = True
        for stop in (self._stop_looking, self._stop_keeping):
            if stop is not None:
                stop()
        self.lending.close()
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
        if self.closing:
            raise Overloaded("the node is leaving; connect to another one, or to this one again in a moment")
        session = self._sessions.get(hello.worker)
        if session is None:
            if len(self._sessions) >= MAX_WORKERS:
                raise Overloaded(f"{MAX_WORKERS} workers are connected to this node; connect to another one")
            session = self._sessions[hello.worker] = Session(self, self._clock, self._node, hello)
            for shown in [shown for shown in self._lost if shown[1].worker_id == hello.worker]:
                self._lost.remove(shown)
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

    def released(self, session: Session, held: Held) -> None:
        """The worker holds this attempt no longer."""
        self._holders.pop(held.dispatch.token, None)
        self._released.set()
        self._matching.freed(session.worker, held.dispatch.options.slots)

    def given_up(self, held: Held) -> None:
        """The worker still has it, and nobody waits for what comes of it."""
        del self._holders[held.dispatch.token]
        self._released.set()

    def adopted(self, session: Session, token: Token) -> Dispatch | None:
        """What the worker has under this token, if nobody was given it since: from now on it is this worker's."""
        waits = self._ready.adopt(token, session.offer)
        if waits is None:
            return None
        self._holders[waits.dispatch.token] = session
        log.info("attempt adopted", worker=session.name, task=waits.dispatch.task, run=id_of(token.key))
        return waits.dispatch

    def count(self, task: str, failure: Failure | None, seconds: float) -> None:
        self._local.count(task, failure, seconds)

    def report(self, reports: list[Report]) -> None:
        if reports and not self._closed:
            self._report(reports)

    def gone(self, session: Session, why: str) -> None:
        """The session is over; what it holds comes back under other dispatches."""
        level = "warning" if session.holds else "info"
        getattr(log, level)("worker gone", worker=session.name, why=why, attempts=len(session.holds))
        if session.status != "leaving":
            info = msgspec.structs.replace(session.info(), status="lost", trouble=why)
            self._lost.append((self._clock.now(), info))
        del self._sessions[session.worker]
        session.lose_all(why)
        self._matching.leave(session.worker)
        self.lending.changed()

    def hand_out(self) -> None:
        """Give ready attempts to whoever has room for them."""
        self.lending.changed()
        if self.closing or not self._ready:
            return
        local: list[Dispatch] = []
        remote: dict[str, list[Dispatch]] = {}
        lent: list[tuple[str, Waits]] = []
        now = self._clock.now()
        for token, worker in self._matching.match(now):
            waits = self._ready.take(token)
            session = self._sessions.get(worker)
            if session is None and worker in self.lending:
                lent.append((worker, waits))
                continue
            dispatch, since, _ = waits
            self.waits.observe(max(0.0, now - since))
            if session is None:
                self._seats.held[token] = (worker, dispatch.options.slots)
                local.append(dispatch)
            else:
                self._holders[token] = session
                remote.setdefault(worker, []).append(dispatch)
        if local:
            self._local.start(local)
        for worker, dispatches in remote.items():
            self._sessions[worker].give(dispatches)
        if lent and not self.lending.lend(lent):
            self.hand_out()

    # --- for people

    @property
    def trouble(self) -> str:
        """What blocks this node's work loop; empty if nothing does."""
        return self._seats.trouble

    def blocked(self, threshold_s: float) -> Blocked | None:
        """What keeps the node's work loop from answering for longer than that."""
        return self._local.blocked(threshold_s)

    def info(self) -> PoolInfo:
        """May be read from any thread."""
        workers = [session.info() for session in list(self._sessions.values())]
        since = self._clock.now() - SHOW_LOST_S
        lost = [info for at, info in list(self._lost) if at >= since]
        return PoolInfo((*self._seats.info(leaving=self.closing), *workers, *lost), tuple(self._matching.waiting()))

    # --- this node as a worker

    def _local_reports(self, reports: list[Report]) -> None:
        for report in reports:
            if type(report) is AttemptEnded and not self._seats.release(report.token):
                self._own.discard(report.token)
        self.report(reports)
        self.hand_out()

    # --- looking after workers

    def _keep_looking(self) -> None:
        """Look again as long as there is anything to look at: an idle node has no timers."""
        if self.closing:
            return
        if self._stop_looking is None:
            self._looked_at = self._clock.now()
            self._stop_looking = self._clock.call_at(self._looked_at + LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self._stop_looking = None
        now = self._clock.now()
        away_s = now - self._looked_at
        absent_s = 0.0 if 0 <= away_s <= ABSENT_S else abs(away_s)
        for session in list(self._sessions.values()):
            session.look(now, absent_s=absent_s)
        self._seats.look(now)
        self.lending.look()
        self._look_at_waiting(now)
        self.hand_out()  # patience may have run out
        if self._sessions or self._ready or self._seats.held or self._own or self._seats.trouble or self.lending.busy:
            self._keep_looking()

    def _look_at_waiting(self, now: float) -> None:
        expired = [self.unbegun(waits.dispatch.token, self._too_long(waits)) for waits in self._ready.expired(now)]
        self.report([*expired])
        unwanted = {line.need: line for line in self._matching.waiting() if not line.workers}
        for need in unwanted.keys() - self._unwanted:
            log.warning("no worker for a task", **need._asdict(), count=unwanted[need].count)
        self._unwanted = set(unwanted)
        if unwanted:
            self.lending.decline_stranded()

    def _too_long(self, waits: Waits) -> Failure:
        options, need = waits.dispatch.options, need_of(waits.dispatch)
        able = self._matching.able(need)
        who = f"workers that take such tasks: {able}, none with room for it" if able else "no worker takes such tasks"
        waited = f"{options.queue_timeout_s:g} s (its queue timeout) in queue {need.queue}"
        why = f"nobody began with it within {waited}: {who}"
        return Failure("TaskTimedOut", why, kind="timeout")

    def unbegun(self, token: Token, failure: Failure) -> AttemptEnded:
        return AttemptEnded(token, failure=failure, node=self._node, ended_at=self._clock.now())

    # --- after a restart

    def _may_run_elsewhere(self, dispatch: Dispatch, now: float) -> bool:
        """Whether to wait a moment for a worker that has it already; see `execution.ready`."""
        until = self._opened_at + RECONNECT_S
        if dispatch.token.dispatch == 1 or now >= until:
            return False
        need = need_of(dispatch)
        if self._seats.fits(need):
            return False
        if self._stop_keeping is None:
            self._stop_keeping = self._clock.call_at(until, self._keep_no_longer)
        return True

    def _keep_no_longer(self) -> None:
        self._stop_keeping = None
        self._ready.release()
        self.hand_out()


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
