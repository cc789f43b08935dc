"""The loop: takes a message from a mailbox, decides, applies, commits, releases. It serves every kind of actor.

    deliver ─► mailbox ─► turn (decide, apply, program) ─► committer ─► release ─► sends, attempts, timers, replies

Everything here happens on one event loop, and a turn never waits: whatever must be read first (an actor's state, a
program's history) is read by `Loading` while the mailbox waits. A turn works on the state in memory while earlier
turns are still being committed; if a commit fails, all that the node has in memory is void and the engine stops,
with nothing acknowledged that is not durable.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from understudy.errors import Bug, StoreError
from understudy_runtime.actors import journal, turns
from understudy_runtime.actors.cell import Cell, Envelope, Phase, Query, ReplyTo
from understudy_runtime.actors.committer import Committer, Entry
from understudy_runtime.actors.loading import Loading
from understudy_runtime.actors.residency import CELL_BYTES, Residency
from understudy_runtime.actors.timers import Timers
from understudy_runtime.actors.watchers import Watcher, Watchers
from understudy_runtime.core.keys import kind_of
from understudy_runtime.core.messages import (
    AnyMessage,
    AttemptEnded,
    Decision,
    Dispatch,
    Hold,
    Later,
    Machine,
    Recovered,
    Refused,
    Release,
    Reply,
    Send,
    Settled,
    TimerDue,
    Token,
)
from understudy_runtime.core.ports import ActorRow, Clock, Executor, InboxRow, Programs, Report, Store, TurnWrite
from understudy_runtime.core.records import (
    AnyRecord,
    Cancelled,
    Completed,
    Ended,
    ExecutionStarted,
    Failed,
    Failure,
    Held,
    Released,
    Turn,
)

TURNS_PER_SLICE: Final = 256
"""Turns before the engine's loop gets a breath."""
SNAPSHOT_TURNS: Final = 256
"""A loaded actor applies about so many turns at most."""
MAX_MAILBOX: Final = 10_000
SENDS_PER_TURN: Final = 1 << 20
FOREVER: Final = float("inf")

log = structlog.get_logger("understudy.engine")

_ROW_RECORDS: Final = frozenset({ExecutionStarted, Completed, Failed, Cancelled, Ended, Held, Released})
"""Records after which the actor's row says something else."""


class Engine:
    """All resident actors of a node, and the way of a message through them."""

    def __init__(
        self,
        *,
        clock: Clock,
        store: Store,
        programs: Programs,
        executor: Executor,
        machine_of: Callable[[str], Machine[Any]],
        build: str,
        memory_bytes: int,
        window_s: float,
        on_failed: Callable[[BaseException], None],
    ) -> None:
        self._clock = clock
        self._store = store
        self._programs = programs
        self._executor = executor
        self._machine_of = machine_of
        self._build = build
        self._window_s = window_s
        self._on_failed = on_failed
        self._loop = asyncio.get_running_loop()
        self._cells: dict[str, Cell] = {}
        self._ready: deque[Cell] = deque()
        self._scheduled = False
        self._timers = Timers()
        self._disarm: Callable[[], None] = _nothing
        self._armed_at = FOREVER
        self._horizon = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._watchers = Watchers(self)
        self._committer = Committer(store, self._release, self._failed)
        self._loading = Loading(store, programs, self._loaded, self._revived, self._broken)
        self._residency = Residency(memory_bytes, self._park)
        self._failure: StoreError | None = None
        self.attempts_out = 0
        self.turns = 0

    # --- what goes in

    async def start(self) -> None:
        """Load what was open when the store was last in use, and go on with it."""
        await self._look_ahead()

    def deliver(
        self,
        key: str,
        message: AnyMessage | Query,
        reply: ReplyTo | None = None,
        inbox: tuple[str, int] | None = None,
        *,
        fresh: bool = False,
    ) -> None:
        """Put a message in an actor's mailbox. `reply` is called once, on this loop, when the answer may be known.

        `fresh` says that the key was made up just now, so that nothing can be stored of it.
        """
        if self._failure is not None:
            _reply(reply, self._failure)
            return
        cell = self._cells.get(key) or self._admit(key, fresh=fresh)
        if inbox is not None:
            if inbox in cell.inbox:
                return
            cell.inbox.add(inbox)
        elif reply is not None and len(cell.mailbox) >= MAX_MAILBOX:
            reply(Refused("Overloaded", f"the mailbox of {key} is full ({MAX_MAILBOX} messages); try again later"))
            return
        cell.mailbox.append(Envelope(message, reply, inbox))
        cell.touched = True
        self._wake(cell)

    def report(self, reports: Sequence[Report]) -> None:
        """What the executor has to say of attempts."""
        for message in reports:
            if type(message) is AttemptEnded:
                self.attempts_out -= 1
            self.deliver(message.token.key, message)

    def watch(self, key: str, watcher: Watcher) -> Callable[[], object]:
        """Call `watcher` once, when the run has ended or is held; the result takes the watch back."""
        return self._watchers.watch(key, watcher)

    async def history(self, key: str, after_seq: int = 0) -> list[Turn]:
        """The turns of an actor after `after_seq`, as far as they are committed."""
        return await self._loading.history(key, after_seq)

    @property
    def idle(self) -> bool:
        """Nothing moves until a message comes in or time passes."""
        return not self._scheduled and self._committer.idle and self._loading.idle and not self.attempts_out

    @property
    def next_timer(self) -> float | None:
        return self._timers.next()

    @property
    def resident(self) -> int:
        return len(self._cells)

    async def close(self) -> None:
        """Take no more, finish the commits under way, and drop everything from memory."""
        self._disarm()
        self._ready.clear()
        if self._looking is not None:
            self._looking.cancel()
        await self._committer.drain()
        await self._loading.close()
        self._void(StoreError("the node has been closed"))

    # --- actors into memory and out of it

    def _admit(self, key: str, *, fresh: bool = False) -> Cell:
        kind = kind_of(key)
        cell = self._cells[key] = Cell(key, kind, self._machine_of(kind))
        self._residency.add(cell)
        if fresh:
            cell.state, cell.phase = cell.machine.initial(key), Phase.READY
        else:
            self._loading.load(cell)
        self._residency.sweep()
        return cell

    def _loaded(self, cell: Cell, existed: bool, waiting: Sequence[Envelope]) -> None:
        """The cell's state is in memory; `waiting` is its stored inbox, older than what came meanwhile."""
        cell.phase = Phase.READY
        stored = {envelope.inbox for envelope in waiting if envelope.inbox is not None}
        cell.mailbox = deque([*waiting, *(e for e in cell.mailbox if e.inbox not in stored)])
        cell.inbox |= stored
        if existed and self._programs.has(cell.kind, cell.machine.facts(cell.state).definition):
            if getattr(cell.state, "held", None) is not None:
                cell.mailbox.appendleft(Envelope(Release()))
            cell.mailbox.appendleft(Envelope(Recovered()))
        self._wake(cell)
        if not cell.mailbox:
            self._rest(cell)

    def _revive(self, cell: Cell, envelope: Envelope) -> None:
        """Bring the program back before the message is taken again; the journal must be complete for that."""
        cell.mailbox.appendleft(envelope)
        cell.phase = Phase.REVIVING
        if not cell.uncommitted:
            self._loading.revive(cell)

    def _revived(self, cell: Cell, diff: str | None) -> None:
        """The program is back, or (`diff`) its history no longer fits the code."""
        cell.phase = Phase.READY
        if diff is not None:
            self._diverged(cell, diff)
        elif cell.program is not None:
            self._residency.charge(cell, CELL_BYTES + cell.program.size)
        self._wake(cell)

    def _diverged(self, cell: Cell, diff: str) -> None:
        first = cell.mailbox[0]
        if type(first.message) is Release or isinstance(first.message, Query):
            cell.mailbox.popleft()
            _reply(first.reply, Refused("BadRequest", f"the code still does not fit the journal of {cell.key}: {diff}"))
        else:
            cell.mailbox.appendleft(Envelope(Hold("diverged", diff)))

    def _broken(self, cell: Cell, error: BaseException) -> None:
        """A fault of ours, or an unreadable store: this actor takes nothing until the node is started again."""
        log.error("actor is broken", actor=cell.key, exc_info=error)
        cell.phase = Phase.BROKEN
        cell.drop_program()
        told = error if isinstance(error, StoreError) else Bug(f"{cell.key}: {type(error).__name__}: {error}")
        self._turn_away(cell, told)

    def _turn_away(self, cell: Cell, error: BaseException) -> None:
        """Answer everybody who waits for this actor."""
        while cell.mailbox:
            _reply(cell.mailbox.popleft().reply, error)
        for waiting in cell.asks.values():
            for reply in waiting:
                reply(error)
        cell.asks.clear()

    def _rest(self, cell: Cell) -> None:
        """Drop at once what need not be remembered: actors that do not exist, and runs that have ended."""
        if cell.idle and (cell.seq == 0 or cell.machine.facts(cell.state).closed_at is not None):
            self._drop(cell)

    def _park(self, cell: Cell) -> None:
        """Let an idle actor leave memory, once its row says when it must be back."""
        facts = cell.machine.facts(cell.state)
        if facts.open:
            return
        duty = cell.machine.next_duty(cell.state)
        wanted = FOREVER if duty is None else duty
        if cell.parked is not None and cell.parked <= wanted and (cell.parked == wanted or cell.parked > self._horizon):
            self._drop(cell)
            return
        write = TurnWrite(cell.key, cell.seq, cell.at, row=self._row(cell, wanted))
        if cell.seq - cell.snapshot_seq >= SNAPSHOT_TURNS // 8:
            self._snapshot(cell, write)
        self._committer.add(Entry(cell, write, Decision(), None, None))
        self._committer.kick()

    def _drop(self, cell: Cell) -> None:
        cell.phase = Phase.GONE
        cell.drop_program()
        self._residency.left(cell)
        del self._cells[cell.key]

    # --- turns

    def _wake(self, cell: Cell) -> None:
        if cell.phase is Phase.READY:
            if not cell.queued and cell.mailbox:
                cell.queued = True
                self._ready.append(cell)
                if not self._scheduled:
                    self._scheduled = True
                    self._loop.call_soon(self._run)
        elif cell.phase is Phase.BROKEN:
            self._turn_away(cell, Bug(f"{cell.key} is broken until the node is started again; see its log"))

    def _run(self) -> None:
        ready = self._ready
        for _ in range(TURNS_PER_SLICE):
            if not ready:
                break
            cell = ready.popleft()
            cell.queued = False
            if cell.phase is Phase.READY and cell.mailbox:
                self._turn(cell, cell.mailbox.popleft())
                if cell.mailbox and cell.phase is Phase.READY:
                    cell.queued = True
                    ready.append(cell)
        self._scheduled = bool(ready)
        if ready:
            self._loop.call_soon(self._run)
        self._committer.kick()

    def _turn(self, cell: Cell, envelope: Envelope) -> None:
        message = envelope.message
        if isinstance(message, Query):
            self._query(cell, envelope, message)
            return
        now = max(self._clock.now(), cell.at)
        try:
            had_program = cell.program is not None
            decision = turns.take(cell, message, now, self._programs)
            write = self._write(cell, envelope, decision, now)
        except turns.MustRevive:
            self._revive(cell, envelope)
            return
        except turns.NotHere as missing:
            cell.inbox.discard(envelope.inbox or ("", 0))
            _reply(
                envelope.reply, Refused("UnknownName", f"this node has no workflow or actor named {missing.definition}")
            )
            return
        except Exception as error:
            cell.mailbox.appendleft(envelope)
            self._broken(cell, error)
            return
        self.turns += 1
        if not had_program and cell.program is not None:
            self._residency.charge(cell, CELL_BYTES + cell.program.size)
        if type(message) is TimerDue or type(message) is Recovered:
            decision.timer = cell.machine.next_duty(cell.state)
        self._committer.add(Entry(cell, write, decision, decision.reply, envelope.reply))

    def _query(self, cell: Cell, envelope: Envelope, query: Query) -> None:
        """Ask a `@readonly` method. The answer may rest on turns still being committed, so it waits for them."""
        if cell.program is None:
            try:
                turns.prepare(cell, None, self._programs)
            except turns.MustRevive:
                self._revive(cell, envelope)
                return
            except turns.NotHere as missing:
                _reply(
                    envelope.reply,
                    Refused("UnknownName", f"there is no {cell.key} of {missing.definition or 'any kind'} here"),
                )
                return
        assert cell.program is not None
        answer = cell.program.query(query.handler, query.args)
        settled = Settled(0, failure=answer) if isinstance(answer, Failure) else Settled(0, answer)
        if cell.uncommitted:
            self._committer.add(Entry(cell, None, Decision(), settled, envelope.reply))
        else:
            _reply(envelope.reply, settled)

    def _write(self, cell: Cell, envelope: Envelope, decision: Decision, now: float) -> TurnWrite | None:
        """What the turn makes durable: None if nothing."""
        records = decision.append
        consumed = () if envelope.inbox is None else (envelope.inbox,)
        if not records:
            if not consumed and not decision.send:
                return None
            write = TurnWrite(cell.key, cell.seq, now, consumed=consumed)
        else:
            cell.seq += 1
            cell.at = now
            if cell.seq == 1:
                cell.created_at = now
            body, blobs = journal.encode(records)
            write = TurnWrite(cell.key, cell.seq, now, body, blobs=blobs, consumed=consumed)
            self._note_row(cell, records, write)
        if decision.send:
            write.sent = _inbox_rows(cell, decision.send)
        return write

    def _note_row(self, cell: Cell, records: list[AnyRecord], write: TurnWrite) -> None:
        """Bring the actor's row up to date if it has to be: a new status, or a duty before `parked_until`."""
        changed = cell.seq == 1 or any(type(record) in _ROW_RECORDS for record in records)
        if changed or cell.parked is not None:
            duty = cell.machine.next_duty(cell.state)
            wanted = None if cell.machine.facts(cell.state).open else FOREVER if duty is None else duty
            if changed or wanted is None or (cell.parked is not None and wanted < cell.parked):
                write.row = self._row(cell, wanted)
        if cell.seq - cell.snapshot_seq >= SNAPSHOT_TURNS:
            self._snapshot(cell, write)

    def _row(self, cell: Cell, parked_until: float | None) -> ActorRow:
        facts = cell.machine.facts(cell.state)
        cell.parked = parked_until
        return ActorRow(
            cell.key,
            cell.kind,
            facts.definition,
            facts.status,
            facts.execution,
            facts.digest,
            self._build,
            cell.created_at,
            cell.at,
            facts.closed_at,
            parked_until,
        )

    def _snapshot(self, cell: Cell, write: TurnWrite) -> None:
        write.snapshot = cell.machine.encode(cell.state)
        cell.snapshot_seq = cell.seq

    # --- what comes out

    def _release(self, batch: list[Entry]) -> None:
        """The batch is durable: let out what its turns decided, in their order."""
        starts: list[Dispatch] = []
        stops: list[Token] = []
        for entry in batch:
            cell, decision = entry.cell, entry.decision
            starts += decision.execute
            stops += decision.abandon
            if decision.timer is not None:
                self._set_timer(cell, decision.timer)
            if entry.write is not None and entry.write.sent:
                self._send(entry.write.sent, decision.send)
            if entry.write is not None and entry.write.consumed:
                cell.inbox.difference_update(entry.write.consumed)
            if entry.reply_to is not None:
                self._answer(cell, entry.reply, entry.reply_to)
            for settled in decision.settled:
                for reply in cell.asks.pop(settled.delivery, ()):
                    reply(settled)
            if decision.closed or cell.seq == 0:
                self._rest(cell)
            if decision.append:
                self._watchers.look(cell, decision)
            if cell.phase is Phase.REVIVING and not cell.uncommitted and cell.program is None:
                self._loading.revive(cell)
        if starts:
            self.attempts_out += len(starts)
            self._executor.start(starts)
        if stops:
            self._executor.cancel(stops)

    def _answer(self, cell: Cell, reply: Reply | None, reply_to: ReplyTo) -> None:
        if type(reply) is Later:
            cell.asks.setdefault(reply.delivery, []).append(reply_to)
        elif reply is not None:
            reply_to(reply)
        else:
            reply_to(Bug(f"{cell.key} decided on no reply"))

    def _send(self, rows: Sequence[InboxRow], sends: Sequence[Send]) -> None:
        for row, send in zip(rows, sends, strict=True):
            self.deliver(send.to, send.message, inbox=(row.sender, row.sender_seq))

    def _failed(self, batch: list[Entry], error: BaseException) -> None:
        """The store refused: what is in memory is void, and nobody is told otherwise."""
        log.error("the store refused a commit; the node stops", exc_info=error)
        failure = error if isinstance(error, StoreError) else StoreError(str(error))
        self._disarm()
        for entry in batch:
            _reply(entry.reply_to, failure)
        self._void(failure)
        self._on_failed(failure)

    def _void(self, failure: StoreError) -> None:
        self._failure = failure
        for cell in list(self._cells.values()):
            self._turn_away(cell, failure)
            self._drop(cell)
        self._watchers.turn_away(failure)

    # --- time

    def _set_timer(self, cell: Cell, at: float) -> None:
        if self._timers.set(cell.key, at) and at < self._armed_at:
            self._arm()

    def _arm(self) -> None:
        self._disarm()
        at = self._timers.next()
        self._armed_at = FOREVER if at is None else at
        self._disarm = _nothing if at is None else self._clock.call_at(at, self._time_passed)

    def _time_passed(self) -> None:
        self._armed_at = FOREVER
        for key in self._timers.pop_due(self._clock.now(), TURNS_PER_SLICE):
            self.deliver(key, TimerDue())
        self._arm()

    async def _look_ahead(self) -> None:
        """Load what is open or has mail, and take note of the duties up to the new horizon."""
        self._horizon = self._clock.now() + self._window_s
        for key, at in await self._store.wakeful(self._horizon):
            if at is not None:
                self._timers.set(key, at)
            elif key not in self._cells:
                self._admit(key)
        self._arm()
        if self._horizon != FOREVER:
            self._clock.call_at(self._horizon - self._window_s / 2, self._look_further)

    def _look_further(self) -> None:
        if self._failure is None:
            self._looking = self._loop.create_task(self._look_ahead())


def _reply(reply_to: ReplyTo | None, reply: Reply | BaseException) -> None:
    if reply_to is not None:
        reply_to(reply)


def _inbox_rows(cell: Cell, sends: Sequence[Send]) -> list[InboxRow]:
    first = cell.seq * SENDS_PER_TURN
    return [
        InboxRow(send.to, cell.key, first + i, journal.encode_message(send.message)) for i, send in enumerate(sends)
    ]


def _nothing() -> None:
    """There is no timer to take back."""
