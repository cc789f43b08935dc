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

from understudy.errors import BadInput, Bug, StoreError
from understudy.failures import encode_failure
from understudy_runtime.actors import turns, writing
from understudy_runtime.actors.careful import Careful
from understudy_runtime.actors.cell import Cell, Envelope, Phase, Query, ReplyTo
from understudy_runtime.actors.committer import Committer, Entry
from understudy_runtime.actors.duties import Duties
from understudy_runtime.actors.hosting import Hosting
from understudy_runtime.actors.loading import MAX_TURNS, Loading
from understudy_runtime.actors.residency import CELL_BYTES, Residency
from understudy_runtime.actors.sharding import Sharding, misplaced
from understudy_runtime.actors.watchers import Watcher, Watchers
from understudy_runtime.core.figures import Histogram
from understudy_runtime.core.keys import kind_of
from understudy_runtime.core.kinds import Failure
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
    Settled,
    TimerDue,
    Token,
)
from understudy_runtime.core.ports import (
    Clock,
    CommitFailed,
    Executor,
    PartlyFailed,
    Programs,
    Report,
    StateUnfit,
    Store,
    TurnWrite,
)
from understudy_runtime.core.records import Turn

SLICE_S: Final = 0.008
"""Seconds of turns before the engine's loop gets a breath."""
TURNS_PER_COMMIT: Final = 256
"""Turns before the committer is asked to begin, if there are as many to take: small commits would cost more in all."""
MAX_MAILBOX: Final = 10_000
POISONED: Final = (
    "one node after the other died in the same turn or task of it; see their logs, put that right, and release it"
)
log = structlog.get_logger("understudy.engine")


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
        sharding: Sharding | None = None,
        resting: frozenset[str] = frozenset(),
    ) -> None:
        """Of the kinds that are `resting`, what is due and is not done stays due, and is not asked for again here."""
        self._clock = clock
        self._store = store
        self._programs = programs
        self._executor = executor
        self._machine_of = machine_of
        self._build = build
        self._on_failed = on_failed
        self._sharding = sharding
        self._resting = resting
        self._loop = asyncio.get_running_loop()
        self._cells: dict[str, Cell] = {}
        self._ready: deque[Cell] = deque()
        self._scheduled = False
        self._untold = 0  # turns of which the committer has not been told
        self._duties = Duties(clock, store, window_s, self._due, self._wanted)
        self._watchers = Watchers(self)
        self._committer = Committer(store, self._release, self._failed, self._partly_failed, clock)
        self._loading = Loading(store, programs, self._loaded, self._revived, self._broken)
        self._residency = Residency(memory_bytes, self._park)
        shard = _one_shard if sharding is None else sharding.shard
        self._careful = Careful(
            store, clock, shard, take=self._take_one, start=executor.start, drop=self.write_off, wake=self._wake
        )
        self._cautions = self._careful.cautions
        self._hosting = None if sharding is None else self._host(sharding)
        self._failure: StoreError | Bug | None = None
        self.attempts_out = 0
        self._watched: set[Token] = set()
        """What the executor watches: it is not an attempt that is out, and time may pass meanwhile."""
        self.turns = 0
        self.slices = 0
        """Of turns, so far: while some are ready, the next slice is never far."""
        self.on_closed: Callable[[str], None] | None = None
        """Told the key of every run that has ended, once that is durable."""

    # --- what goes in

    async def start(self) -> None:
        """Load what was open when the store was last in use, and go on with it."""
        if self._sharding is None:
            await self._careful.begin((0,))
        await self._duties.look_ahead()

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
        cell = self._cells.get(key)
        if cell is None:
            if self._sharding is not None and not self._sharding.has(key):
                self._sharding.pass_on(key, message, reply, inbox)
                return
            cell = self._admit(key, fresh=fresh)
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
                self.write_off(message.token)
            self.deliver(message.token.key, message)

    def write_off(self, token: Token) -> None:
        """The executor has this attempt no longer."""
        if self._cautions:
            self._careful.ended(token)
        if token in self._watched:
            self._watched.discard(token)
        else:
            self.attempts_out -= 1

    def watch(self, key: str, watcher: Watcher) -> Callable[[], object]:
        """Call `watcher` once, when the run has ended or is held; the result takes the watch back."""
        cell = self._cells.get(key)
        is_running = (
            cell is not None and cell.phase is Phase.READY and cell.machine.facts(cell.state).status == "running"
        )
        return self._watchers.watch(key, watcher, is_running=is_running)

    def follow(self, key: str, changed: Callable[[], None]) -> Callable[[], object]:
        """Call `changed` whenever a turn of the actor that recorded something is released; the result ends that."""
        return self._watchers.follow(key, changed)

    async def delete_closed(self, before: float, limit: int) -> int:
        """Delete runs that ended at `before` or earlier, at most `limit`; returns how many. StoreError.

        Messages that come for one meanwhile are taken when it is gone.
        """
        found = await self._store.closed_runs(before, limit)
        sharding = self._sharding
        for cell in [self._cells[key] for key in found if key in self._cells]:
            self._rest(cell)
        keys = [key for key in found if key not in self._cells and (sharding is None or sharding.has(key))]
        going = [self._admit(key, load=False) for key in keys]
        try:
            return await self._store.delete(keys, before)
        finally:
            for cell in going:
                if cell.phase is Phase.LOADING and cell.mailbox:
                    self._loading.load(cell)
                elif cell.phase is Phase.LOADING:
                    self._drop(cell)

    async def history(self, key: str, after_seq: int = 0, limit: int = MAX_TURNS) -> list[Turn]:
        """The turns of an actor after `after_seq`, at most `limit`, as far as they are committed."""
        return await self._loading.history(key, after_seq, limit)

    @property
    def idle(self) -> bool:
        """Nothing moves until a message comes in or time passes."""
        at_rest = not self._scheduled and self._committer.idle and self._loading.idle and self._careful.idle
        return at_rest and not self.attempts_out

    @property
    def resident(self) -> int:
        return len(self._cells)

    @property
    def ready(self) -> int:
        """Actors whose turn it is."""
        return len(self._ready)

    @property
    def waiting(self) -> int:
        """Turns that are to be taken next, or are not durable yet."""
        return len(self._ready) + self._committer.waiting

    @property
    def batches(self) -> Histogram:
        """Of each commit, its turns."""
        return self._committer.batches

    @property
    def commit_seconds(self) -> Histogram:
        """Of each commit, how long it took."""
        return self._committer.seconds

    async def close(self) -> None:
        """Take no more, finish the commits under way, and drop everything from memory."""
        in_good_order = self._failure is None
        self._failure = self._failure or StoreError("the node has been closed")
        self._duties.close()
        self._careful.close()
        self._ready.clear()
        await self._committer.drain()
        await self._loading.close()
        if self._hosting is not None:
            await self._hosting.close()
        if in_good_order:
            await self._careful.end((0,) if self._sharding is None else self._sharding.shards)
        self._void(self._failure)

    # --- actors into memory and out of it

    def _admit(self, key: str, *, fresh: bool = False, load: bool = True) -> Cell:
        self._residency.sweep()  # before it comes in: with its mailbox still empty, it could be asked to leave itself
        kind = kind_of(key)
        cell = self._cells[key] = Cell(key, kind, self._machine_of(kind))
        self._residency.add(cell)
        if fresh:
            cell.state, cell.phase = cell.machine.initial(key), Phase.READY
        elif load:
            self._loading.load(cell)
        return cell

    def _loaded(self, cell: Cell, existed: bool, waiting: Sequence[Envelope]) -> None:
        """The cell's state is in memory; `waiting` is its stored inbox, older than what came meanwhile."""
        if cell.phase is not Phase.LOADING:
            return
        cell.phase = Phase.READY
        stored = {envelope.inbox for envelope in waiting if envelope.inbox is not None}
        cell.mailbox = deque([*waiting, *(e for e in cell.mailbox if e.inbox not in stored)])
        cell.inbox |= stored
        held: Hold | None = getattr(cell.state, "held", None)
        if cell.key in self._careful.poisoned and not existed:
            # Nothing is stored of it, because no node lived to do that.
            self._refuse(cell, Refused("BadRequest", f"{cell.key} is not begun: {POISONED}"))
            return
        if cell.key in self._careful.poisoned:
            self._careful.poisoned.discard(cell.key)
            cell.mailbox.appendleft(Envelope(Hold("poisoned", POISONED)))
        elif held is not None and held.why == "poisoned":
            pass  # until a person releases it
        elif existed and self._programs.has(cell.kind, cell.machine.facts(cell.state).definition):
            if held is not None:
                cell.mailbox.appendleft(Envelope(Release()))
            cell.mailbox.appendleft(Envelope(self._recovered(cell)))
        self._wake(cell)
        if not cell.mailbox:
            self._rest(cell)

    def _recovered(self, cell: Cell) -> Recovered:
        """What the actor is told first. Attempts of which there are reports already are not to be begun anew."""
        if self._sharding is None:
            return Recovered()
        reported = [each.message.token for each in cell.mailbox if type(each.message) is AttemptEnded]
        return Recovered(frozenset((*reported, *self._sharding.under_way(cell.key))))

    def _revive(self, cell: Cell, envelope: Envelope) -> None:
        """Bring the program back before the message is taken again; the journal must be complete for that."""
        cell.mailbox.appendleft(envelope)
        cell.phase = Phase.REVIVING
        if not cell.uncommitted:
            self._loading.revive(cell)

    def _revived(self, cell: Cell, diff: str | None) -> None:
        """The program is back, or (`diff`) its history no longer fits the code."""
        if cell.phase is not Phase.REVIVING:
            cell.drop_program()
            return
        cell.phase = Phase.READY
        if diff is not None:
            self._diverged(cell, diff)
        elif cell.program is not None:
            self._residency.charge(cell, CELL_BYTES + cell.program.size)
        self._wake(cell)
        if self._cautions:
            self._careful.moved()

    def _diverged(self, cell: Cell, diff: str) -> None:
        first = cell.mailbox[0]
        if type(first.message) is Release or isinstance(first.message, Query):
            cell.mailbox.popleft()
            _reply(first.reply, Refused("BadRequest", f"the code still does not fit the journal of {cell.key}: {diff}"))
        else:
            cell.mailbox.appendleft(Envelope(Hold("diverged", diff)))

    def _broken(self, cell: Cell, error: BaseException) -> None:
        """A fault of ours, an unreadable store, or a state that does not fit the code: until the node is started
        again, this actor takes nothing.
        """
        if cell.phase is Phase.GONE or cell.phase is Phase.SEALED:
            return
        cell.phase = Phase.BROKEN
        what = encode_failure(error)  # which does not raise, whatever was raised here
        log.error("actor is broken", actor=cell.key, error=f"{what.type}: {what.message}", traceback=what.traceback)
        is_told = issubclass(type(error), (StoreError, BadInput))
        told = error if is_told else Bug(f"{cell.key}: {what.type}: {what.message}")
        cell.turn_away(told)
        self._watchers.turn_away_from(cell.key, told)
        cell.drop_program()

    def _refuse(self, cell: Cell, refused: Refused) -> None:
        """Answer everybody who wanted it, and forget it."""
        for envelope in cell.mailbox:
            _reply(envelope.reply, refused)
        cell.mailbox.clear()
        self._drop(cell)

    def _rest(self, cell: Cell) -> None:
        """Drop at once what need not be remembered: actors that do not exist, and runs that have ended."""
        if not cell.idle:
            return
        facts = None if cell.seq == 0 else cell.machine.facts(cell.state)
        if facts is None or (facts.closed_at is not None and not facts.open):
            self._drop(cell)

    def _park(self, cell: Cell) -> None:
        """Let an idle actor leave memory, once its row says when it must be back."""
        if cell.seq == 0:
            self._drop(cell)
            return
        if cell.machine.facts(cell.state).open:
            return
        write = writing.park(cell, self._build, self._duties.horizon)
        if write is None:
            self._drop(cell)
        else:
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
                if self._cautions and self._careful.concerns(cell.key):
                    self._careful.add(cell)
                    return
                cell.queued = True
                self._ready.append(cell)
                if not self._scheduled:
                    self._scheduled = True
                    self._loop.call_soon(self._run)
        elif cell.phase is Phase.BROKEN:
            cell.turn_away(Bug(f"{cell.key} is broken until the node is started again; see its log"))
        elif cell.phase is Phase.SEALED:
            self.hosting.pass_on(cell)

    def _run(self) -> None:
        self.slices += 1
        ready, now = self._ready, self._clock.now
        over_at = now() + SLICE_S
        while ready and self._untold < TURNS_PER_COMMIT and now() <= over_at:
            self._untold += 1
            cell = ready.popleft()
            cell.queued = False
            if cell.phase is Phase.READY and cell.mailbox:
                envelope = cell.mailbox.popleft()
                try:
                    self._turn(cell, envelope)
                except BaseException as error:
                    self._turn_failed(cell, envelope, error)
                if cell.mailbox and cell.phase is Phase.READY:
                    cell.queued = True
                    ready.append(cell)
        self._scheduled = bool(ready)
        if ready:
            self._loop.call_soon(self._run)
        if not ready or self._untold >= TURNS_PER_COMMIT:
            self._untold = 0
            self._committer.kick()

    def _take_one(self, cell: Cell) -> None:
        """Its next turn, and no other before it is durable."""
        envelope = cell.mailbox.popleft()
        try:
            self._turn(cell, envelope)
        except BaseException as error:
            self._turn_failed(cell, envelope, error)
        self._committer.kick()

    def _turn_failed(self, cell: Cell, envelope: Envelope, error: BaseException) -> None:
        """The second line behind the programs' own guard: whatever leaves a turn is the affair of that actor alone."""
        cell.mailbox.appendleft(envelope)
        self._broken(cell, error)

    def _turn(self, cell: Cell, envelope: Envelope) -> None:
        message = envelope.message
        if isinstance(message, Query):
            self._query(cell, envelope, message)
            return
        now = max(self._clock.now(), cell.at)
        try:
            had_program = cell.program is not None
            decision = turns.take(cell, message, now, self._programs)
            write = writing.turn(cell, decision, envelope.inbox, now, self._build)
        except turns.MustRevive:
            self._revive(cell, envelope)
            return
        except turns.NotHere as missing:
            self._leave_alone(cell, envelope, missing.definition)
            return
        except StateUnfit as unfit:
            cell.mailbox.appendleft(envelope)
            self._diverged(cell, str(unfit))
            return
        self.turns += 1
        if not had_program and cell.program is not None:
            self._residency.charge(cell, CELL_BYTES + cell.program.size)
        if type(message) is TimerDue or type(message) is Recovered:
            rests = cell.kind in self._resting and not decision.append
            decision.timer = None if rests else cell.machine.next_duty(cell.state)
        self._committer.add(Entry(cell, write, decision, decision.reply, envelope.reply))

    def _leave_alone(self, cell: Cell, envelope: Envelope, definition: str) -> None:
        """The code for it is not here. A durable message stays in the store's inbox until a node has the code."""
        cell.inbox.discard(envelope.inbox or ("", 0))
        why = f"this node has no workflow or actor named {definition}"
        if envelope.reply is None:
            log.warning("message left in the inbox", actor=cell.key, why=why)
        _reply(envelope.reply, Refused("UnknownName", why))

    def _query(self, cell: Cell, envelope: Envelope, query: Query) -> None:
        """Ask a `@readonly` method. The answer may rest on turns still being committed, so it waits for them."""
        if cell.program is None:
            try:
                turns.prepare(cell, None, self._programs)
            except turns.MustRevive:
                self._revive(cell, envelope)
                return
            except StateUnfit as unfit:
                _reply(envelope.reply, Refused("BadInput", f"{cell.key} cannot be asked: {unfit}"))
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

    # --- what comes out

    def _release(self, batch: list[Entry]) -> None:
        """The batch is durable: let out what its turns decided, in their order."""
        starts: list[Dispatch] = []
        stops: list[Token] = []
        complete: set[Cell] = set()
        for entry in batch:
            cell, decision = entry.cell, entry.decision
            if cell.phase is Phase.GONE and self._hosting is not None:
                self._leave_to_its_owner(entry)
                continue
            starts += decision.execute
            stops += decision.abandon
            if decision.timer is not None:
                self._duties.set(cell.key, decision.timer)
            if entry.write is not None:
                self._pass_mail(cell, entry.write, decision)
            self._answer(cell, entry)
            if decision.closed and self.on_closed is not None:
                self.on_closed(cell.key)
            if decision.closed or cell.seq == 0:
                self._rest(cell)
            if not cell.uncommitted and (cell.phase is Phase.REVIVING or cell.phase is Phase.SEALED):
                complete.add(cell)
        for cell in complete:
            if cell.phase is Phase.SEALED:
                self.hosting.let_go(cell)
            else:
                self._loading.revive(cell)
        self._hand_out(starts, stops)
        if self._cautions:
            self._careful.moved()

    def _hand_out(self, starts: list[Dispatch], stops: list[Token]) -> None:
        if starts:
            watched = [dispatch.token for dispatch in starts if dispatch.watch is not None]
            self._watched.update(watched)
            self.attempts_out += len(starts) - len(watched)
            self._executor.start(self._careful.hold(starts) if self._cautions else starts)
        if stops:
            if self._cautions:
                self._careful.cancelled(stops)
            self._executor.cancel(stops)

    def _pass_mail(self, cell: Cell, write: TurnWrite, decision: Decision) -> None:
        for row, send in zip(write.sent, decision.send, strict=True):
            self.deliver(send.to, send.message, inbox=(row.sender, row.sender_seq))
        if write.consumed:
            cell.inbox.difference_update(write.consumed)
            if self._hosting is not None:
                self._hosting.consumed(cell.key, write.consumed)

    def _answer(self, cell: Cell, entry: Entry) -> None:
        """Tell whoever waits: for this message's reply, for a delivery's answer, for the run's end."""
        reply, decision = entry.reply, entry.decision
        if entry.reply_to is not None:
            if type(reply) is Later:
                cell.asks.setdefault(reply.delivery, []).append(entry.reply_to)
            else:
                entry.reply_to(Bug(f"{cell.key} decided on no reply") if reply is None else reply)
        for settled in decision.settled:
            for reply_to in cell.asks.pop(settled.delivery, ()):
                reply_to(settled)
        if decision.append:
            self._watchers.look(cell, decision)

    def _failed(self, batch: list[Entry], error: BaseException) -> None:
        """The store refused, or we failed: what is in memory is void, and nobody is told otherwise."""
        if self._hosting is not None and isinstance(error, CommitFailed):
            for entry in batch:
                _reply(entry.reply_to, misplaced(entry.cell.key))
            self._hosting.fall_back(error)
            return
        # A store that failed has said all there is to say; a fault of ours is looked for by its traceback.
        log.error("the node stops", why=str(error), exc_info=None if isinstance(error, CommitFailed) else error)
        is_the_stores = isinstance(error, StoreError | CommitFailed)
        why = f"the node has stopped: {error}"
        failure = error if isinstance(error, StoreError) else StoreError(why) if is_the_stores else Bug(why)
        self._duties.close()
        for entry in batch:
            _reply(entry.reply_to, failure)
        self._void(failure)
        self._on_failed(failure)

    def _void(self, failure: StoreError | Bug) -> None:
        self._failure = failure
        for cell in list(self._cells.values()):
            cell.turn_away(failure)
            self._drop(cell)
        self._watchers.turn_away(failure)

    def _partly_failed(self, error: PartlyFailed) -> Callable[[Cell], BaseException | None]:
        """Some turns are not durable: tells of an actor's what to say to its callers. The rest of the batch is."""
        refused = {
            key: StoreError(f"the store refuses what {key} has to write: {why}") for key, why in error.rejected.items()
        }
        self.hosting.fenced(error)
        for key, told in refused.items():
            if (cell := self._cells.get(key)) is not None:
                self._broken(cell, told)
        shard = self.hosting.sharding.shard
        return lambda cell: misplaced(cell.key) if shard(cell.key) in error.fenced else refused.get(cell.key)

    def _leave_to_its_owner(self, entry: Entry) -> None:
        """A turn became durable after its shard was dropped: its mail is on its way, the rest is its next owner's."""
        if entry.write is not None:
            self._pass_mail(entry.cell, entry.write, entry.decision)
        _reply(entry.reply_to, misplaced(entry.cell.key))

    # --- of many nodes

    @property
    def hosting(self) -> Hosting:
        """The shards that are run here, where there are many nodes."""
        if self._hosting is None:
            raise Bug("a node that has the store for itself has no shards to open or close")
        return self._hosting

    def _host(self, sharding: Sharding) -> Hosting:
        return Hosting(
            sharding, self._cells, self._duties, self._careful, self._committer, self._watchers,
            found=self._found, drop=self._drop, wanted=self._wanted,
        )  # fmt: skip

    def _found(self, key: str, envelope: Envelope) -> None:
        self.deliver(key, envelope.message, inbox=envelope.inbox)

    # --- time

    def _due(self, key: str) -> None:
        self.deliver(key, TimerDue())

    def _wanted(self, key: str) -> None:
        if key not in self._cells and (self._sharding is None or self._sharding.has(key)):
            self._admit(key)


def _reply(reply_to: ReplyTo | None, reply: Reply | BaseException) -> None:
    if reply_to is not None:
        reply_to(reply)


def _one_shard(key: str) -> int:
    """Of a store that one node has for itself."""
    return 0
