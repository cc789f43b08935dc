"""How shards come to an engine and go from it, where there are many nodes.

    open ──► turns are taken ──┬── seal: finish, let go of ──► another node goes on     a planned move
                               └── drop: void ──► another node has gone on already      a takeover, or a broken store

`Sharding` knows which are open, and the way to the other nodes; here their actors come into memory and leave it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import structlog

from understudy.errors import Misplaced
from understudy_runtime.actors.careful import Careful
from understudy_runtime.actors.cell import Cell, Envelope, Phase
from understudy_runtime.actors.committer import Committer
from understudy_runtime.actors.duties import Duties
from understudy_runtime.actors.mail import Mail
from understudy_runtime.actors.sharding import Sharding, misplaced
from understudy_runtime.actors.watchers import Watchers
from understudy_runtime.core.ports import CommitFailed, PartlyFailed

log = structlog.get_logger("understudy.engine")


class Hosting:
    """A part of the engine, on its loop. `cells` are the actors in memory; `found` is told of their mail,
    `drop` forgets one of them, `wanted` has one loaded that is not there."""

    def __init__(
        self,
        sharding: Sharding,
        cells: Mapping[str, Cell],
        duties: Duties,
        careful: Careful,
        committer: Committer,
        watchers: Watchers,
        *,
        found: Callable[[str, Envelope], None],
        drop: Callable[[Cell], None],
        wanted: Callable[[str], None],
    ) -> None:
        self.sharding = sharding
        self._cells = cells
        self._duties = duties
        self._careful = careful
        self._committer = committer
        self._watchers = watchers
        self._drop = drop
        self._wanted = wanted
        self._mail = Mail(sharding.store, found)

    async def close(self) -> None:
        await self._mail.close()

    # --- in

    async def open(self, shards: Collection[int]) -> None:
        """Take these on: load what is open in them, and go on with it. StoreError."""
        # A term may have ended unnoticed, and others have run them since: what is left of it in memory is void.
        self.drop(shards, "a new term begins")
        await self._careful.begin(shards)
        self.sharding.open(shards)
        self._duties.note(await self.sharding.store.wakeful(self._duties.horizon, shards))

    # --- out

    async def seal(self, shards: Collection[int]) -> None:
        """Take nothing more for these, and forget them once all that they decided is durable and let out."""
        self.sharding.close(shards)
        for cell in self.sharding.among(self._cells.values(), shards):
            if cell.uncommitted:
                cell.phase = Phase.SEALED
                self.sharding.sealed(cell)
                self.pass_on(cell)
            else:
                self.let_go(cell)
        self._forget_watchers(shards)
        await self.sharding.until_finished(shards)
        self.sharding.leave_attempts(shards)
        await self._careful.end(shards)

    def drop(self, shards: Collection[int], why: str) -> None:
        """Another node has these: what is in memory of them is void."""
        were_open = self.sharding.close(shards)
        self._careful.forget(shards)
        gone = self.sharding.among(self._cells.values(), shards)
        for cell in gone:
            self.let_go(cell)
        self._committer.forget({cell for cell in gone if cell.uncommitted}, lambda cell: misplaced(cell.key))
        self._forget_watchers(shards)
        self.sharding.stop_attempts(were_open)

    def let_go(self, cell: Cell) -> None:
        """Another node goes on with this actor."""
        self.pass_on(cell)
        cell.turn_away(misplaced(cell.key))
        if cell.phase is Phase.SEALED:
            self.sharding.finished(cell)
        self._drop(cell)

    def pass_on(self, cell: Cell) -> None:
        """What has come for an actor that takes nothing more."""
        while cell.mailbox:
            message, reply, inbox = cell.mailbox.popleft()
            self.sharding.pass_on(cell.key, message, reply, inbox)

    def fenced(self, error: PartlyFailed) -> None:
        """A commit has failed in part, for other nodes have some of its shards."""
        self.drop(error.fenced, str(error))
        if error.fenced:
            self._lost(error.fenced)

    def fall_back(self, error: CommitFailed) -> None:
        """Nobody knows what is durable: give all shards up, to be claimed again when the store answers."""
        log.error("all shards are given up", why=str(error))
        shards = tuple(self.sharding.shards)
        self.drop(shards, str(error))
        self._committer.resume()
        self._lost(shards)

    def _lost(self, shards: Collection[int]) -> None:
        if self.sharding.elsewhere is not None:
            self.sharding.elsewhere.lost(shards)

    def _forget_watchers(self, shards: Collection[int]) -> None:
        gone = set(shards)
        moved = Misplaced("the run has moved to another node; ask again")
        self._watchers.turn_away(moved, lambda key: self.sharding.shard(key) in gone)

    # --- mail from other nodes

    async def scan(self) -> None:
        """Have all actors here take what the store keeps for them; returns when they have it. StoreError."""
        self.wake(await self.sharding.store.scan_inbox(tuple(self.sharding.shards)))
        await self._mail.settled()

    def wake(self, keys: Collection[str]) -> None:
        """Have these actors take what the store keeps for them, as far as they are run here."""
        for key in keys:
            if key in self._cells:
                self._mail.fetch(key)
            else:
                self._wanted(key)

    def consumed(self, key: str, names: Iterable[tuple[str, int]]) -> None:
        """These messages have been taken in for good."""
        self._mail.consumed(key, names)
