"""Group commit and the output gate.

The committer starts a commit at once when none is running, and otherwise collects whatever arrives until the running
one returns; there are no timers. What a turn decided is released only after the turn is durable, in the
order of the turns; a turn that recorded nothing waits for the turns before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from understudy_runtime.actors.cell import Cell, ReplyTo
from understudy_runtime.core.figures import Histogram
from understudy_runtime.core.messages import Decision, Reply
from understudy_runtime.core.ports import Store, TurnWrite

MAX_BATCH_TURNS: Final = 2_000
BATCH_BOUNDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, MAX_BATCH_TURNS)


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
    """Owns the way from a decided turn to its release. `release` and `fail` are called with whole batches."""

    def __init__(
        self,
        store: Store,
        release: Callable[[list[Entry]], None],
        fail: Callable[[list[Entry], BaseException], None],
    ) -> None:
        self._store = store
        self._release = release
        self._fail = fail
        self._waiting: list[Entry] = []
        self._running: list[Entry] = []
        self._drained: asyncio.Future[None] | None = None
        self._failed = False
        self.batches = Histogram(BATCH_BOUNDS)
        """Of each commit, its turns."""

    @property
    def idle(self) -> bool:
        return not (self._waiting or self._running)

    @property
    def waiting(self) -> int:
        """Turns on their way to the store."""
        return len(self._waiting) + len(self._running)

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
        self._store.commit(writes, self._committed)
        return True

    def _committed(self, error: BaseException | None) -> None:
        batch, self._running = self._running, []
        if error is not None and not self._failed:
            self._give_up(batch, error)
        if not self._failed:
            # The next commit starts before the outputs of this one are released: the store is not left waiting.
            if self._waiting:
                self._begin()
            self._settle(batch)
            self.kick()
        self._tell_drained()

    def _tell_drained(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _settle(self, batch: list[Entry]) -> None:
        for entry in batch:
            entry.cell.uncommitted -= 1
        try:
            self._release(batch)
        except Exception as error:
            # What was durable stays so; but nobody knows what of it was let out, so this node must not go on.
            self._give_up(batch, error)

    def _give_up(self, batch: list[Entry], error: BaseException) -> None:
        lost, self._waiting = batch + self._waiting, []
        self._failed = True
        self._fail(lost, error)
