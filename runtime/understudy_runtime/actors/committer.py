"""Group commit and the output gate.

The committer starts a commit at once when none is running, and otherwise collects whatever arrives until the running
one returns; there are no timers. What a turn decided is released only after the turn is durable, in the
order of the turns; a turn that recorded nothing waits for the turns before it. A large batch is released in slices, so
that others have their turn on the loop, too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from typing import Final

from understudy_runtime.actors.cell import Cell, ReplyTo
from understudy_runtime.core.figures import Histogram
from understudy_runtime.core.messages import Decision, Reply
from understudy_runtime.core.ports import Clock, PartlyFailed, Store, TurnWrite

MAX_BATCH_TURNS: Final = 2_000
RELEASED_AT_ONCE: Final = 256
"""Turns released before the engine's loop gets a breath."""
BATCH_BOUNDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, MAX_BATCH_TURNS)
SECONDS_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Entry:
    """One turn on its way through the gate. `write` None: nothing to make durable."""

    __slots__ = ("cell", "decision", "reply", "reply_to", "write")

    def __init__(
        self,
        cell: Cell,
        write: TurnWrite | None,
        decision: Decision,
        reply: Reply | None,
        reply_to: ReplyTo | None,
    ) -> None:
        self.cell = cell
        self.write = write
        self.decision = decision
        self.reply = reply
        self.reply_to = reply_to


class Committer:
    """Owns the way from a decided turn to its release. `release` and `fail` are called with turns in their order.

    `partly` hears of a batch that failed in part, and says of each actor what its callers are to be told, if its turns
    are among what failed.
    """

    def __init__(
        self,
        store: Store,
        release: Callable[[list[Entry]], None],
        fail: Callable[[list[Entry], BaseException], None],
        partly: Callable[[PartlyFailed], Callable[[Cell], BaseException | None]],
        clock: Clock,
    ) -> None:
        self._store = store
        self._release = release
        self._fail = fail
        self._partly = partly
        self._waiting: list[Entry] = []
        self._running: list[Entry] = []
        self._durable: deque[Entry] = deque()
        """Not released yet."""
        self._releasing = False
        self._drained: asyncio.Future[None] | None = None
        self._failed = False
        self.batches = Histogram(BATCH_BOUNDS)
        """Of each commit, its turns."""
        self._clock = clock
        self._begun_at = 0.0
        self.seconds = Histogram(SECONDS_BOUNDS)
        """Of each commit, how long it took."""

    @property
    def idle(self) -> bool:
        return not (self._waiting or self._running or self._durable)

    @property
    def waiting(self) -> int:
        """Turns on their way to their release."""
        return len(self._waiting) + len(self._running) + len(self._durable)

    async def drain(self) -> None:
        """Returns when nothing waits and nothing runs."""
        while not self.idle:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def add(self, entry: Entry) -> None:
        """Take a turn in. After a failure nothing is taken: the engine has stopped."""
        if self._failed:
            return
        entry.cell.uncommitted += 1
        self._waiting.append(entry)

    def kick(self) -> None:
        """Commit what waits, unless a commit is running: then it goes with the next one."""
        while self._waiting and not self._running:
            if not self._begin():
                batch, self._waiting = self._waiting[:MAX_BATCH_TURNS], self._waiting[MAX_BATCH_TURNS:]
                self._settle(batch)

    def _begin(self) -> bool:
        """Start a commit with the next batch; False if there is nothing in that batch to make durable."""
        batch = self._waiting[:MAX_BATCH_TURNS]
        writes = [entry.write for entry in batch if entry.write is not None]
        if not writes:
            return False
        self._running, self._waiting = batch, self._waiting[MAX_BATCH_TURNS:]
        self.batches.observe(len(writes))
        self._begun_at = self._clock.now()
        self._store.commit(writes, self._committed)
        return True

    def _committed(self, error: BaseException | None) -> None:
        batch, self._running = self._running, []
        self.seconds.observe(max(0.0, self._clock.now() - self._begun_at))
        if isinstance(error, PartlyFailed):
            batch = self._without_the_lost(batch, error)
        elif error is not None and not self._failed:
            while self._durable and not self._failed:
                self._release_slice()
            self._give_up(batch, error)
        if not self._failed:
            # The next commit starts before the outputs of this one are released: the store is not left waiting.
            if self._waiting:
                self._begin()
            self._settle(batch)
            self.kick()
        self._tell_drained()

    def _without_the_lost(self, batch: list[Entry], error: PartlyFailed) -> list[Entry]:
        """What is durable of the batch. What waits and rests on turns that are not is not written any more."""
        why = self._partly(error)
        for entry in (*batch, *self._waiting):
            told = why(entry.cell)
            if told is not None:
                entry.cell.uncommitted -= 1
                if entry.reply_to is not None:
                    entry.reply_to(told)
        self._waiting = [entry for entry in self._waiting if why(entry.cell) is None]
        return [entry for entry in batch if why(entry.cell) is None]

    def forget(self, cells: Collection[Cell], told: Callable[[Cell], BaseException]) -> None:
        """These are another node's: what waits of them is not written, and nobody waits for what is on its way.

        Whether that is durable their next owner finds in the store, if it is asked again.
        """
        for entry in (*self._running, *self._waiting, *self._durable):
            if entry.cell in cells and entry.reply_to is not None:
                entry.reply_to(told(entry.cell))
                entry.reply_to = None
        for entry in self._waiting:
            if entry.cell in cells:
                entry.cell.uncommitted -= 1
        self._waiting = [entry for entry in self._waiting if entry.cell not in cells]

    def resume(self) -> None:
        """Take turns in again after a failure: of actors that were loaded anew."""
        self._failed = False

    def _tell_drained(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _settle(self, batch: list[Entry]) -> None:
        """The batch is durable: let it out, behind what is being let out already."""
        self._durable.extend(batch)
        if not self._releasing:
            self._releasing = True
            self._let_out()

    def _let_out(self) -> None:
        self._release_slice()
        if self._durable:
            asyncio.get_running_loop().call_soon(self._let_out)
        else:
            self._releasing = False
            self._tell_drained()

    def _release_slice(self) -> None:
        durable = self._durable
        batch = [durable.popleft() for _ in range(min(len(durable), RELEASED_AT_ONCE))]
        for entry in batch:
            entry.cell.uncommitted -= 1
        try:
            self._release(batch)
        except BaseException as error:
            # What was durable stays so; but nobody knows what of it was let out, so this node must not go on.
            self._give_up(batch, error)

    def _give_up(self, batch: list[Entry], error: BaseException) -> None:
        if self._failed:
            return
        lost = [*batch, *self._durable, *self._waiting]
        self._durable.clear()
        self._waiting = []
        self._failed = True
        self._fail(lost, error)
