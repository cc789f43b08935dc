"""Which shards an engine runs, where there are many nodes, and what becomes of messages for the actors of others.

    opened ──seal──► sealed: takes nothing, finishes what it decided ──► gone     a planned move: nothing is lost
       └─────drop──────────────────────────────────────────────────────► gone     another node has it: this one's
                                                                                   memory of it is void
What comes for an actor that is not here any more is passed on by what it is: mail is in the store, so its owner is only
told to look; the report of an attempt goes to whoever runs its actor now; whoever waits for an answer is told to ask
again, and is: by the door that the call came through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any, Protocol

from understudy.errors import Misplaced
from understudy_runtime.actors.cell import Cell, ReplyTo
from understudy_runtime.core.keys import shard_of
from understudy_runtime.core.messages import AttemptEnded, AttemptProgressed, Token
from understudy_runtime.core.ports import Report, ShardedStore


class Elsewhere(Protocol):
    """The way to the other nodes. Nothing of it waits."""

    def wake(self, key: str) -> None:
        """An actor has mail in the store."""
        ...

    def report(self, report: Report) -> None:
        """An attempt of an actor that this node does not run."""
        ...

    def lost(self, shards: Collection[int]) -> None:
        """The store let this node write these no more; the engine has forgotten them."""
        ...


class Attempts(Protocol):
    """What becomes of attempts when their actors come and go. Nothing of it waits."""

    def under_way(self, key: str) -> Collection[Token]:
        """The attempts of an actor that go on although it has just been loaded."""
        ...

    def sealed(self, shards: Collection[int]) -> None:
        """Actors have left as planned: their attempts go on, and what is watched or waits for them does not."""
        ...

    def dropped(self, shards: Collection[int]) -> None:
        """Another node has taken actors, and begins their attempts anew."""
        ...


class Sharding:
    """The shards that are open here. `elsewhere` and `attempts` are set by whoever knows the other nodes, before any is
    opened."""

    def __init__(self, store: ShardedStore) -> None:
        self.store = store
        self.elsewhere: Elsewhere | None = None
        self.attempts: Attempts | None = None
        self._open: set[int] = set()
        self._sealed: dict[int, set[Cell]] = {}
        self._finished = asyncio.Event()

    @property
    def shards(self) -> Collection[int]:
        return self._open

    def has(self, key: str) -> bool:
        return self.shard(key) in self._open

    def shard(self, key: str) -> int:
        return shard_of(key, self.store.shards)

    def open(self, shards: Collection[int]) -> None:
        self._open |= set(shards)

    def close(self, shards: Collection[int]) -> Collection[int]:
        """Returns those that were open."""
        were_open = self._open & set(shards)
        self._open -= were_open
        return were_open

    def among(self, cells: Iterable[Cell], shards: Collection[int]) -> list[Cell]:
        """Those of the cells that are in these shards."""
        wanted = set(shards)
        return [cell for cell in cells if self.shard(cell.key) in wanted]

    def pass_on(self, key: str, message: Any, reply: ReplyTo | None, inbox: tuple[str, int] | None) -> None:
        """A message that came here for an actor that is not."""
        if self.elsewhere is not None:
            if inbox is not None:
                self.elsewhere.wake(key)
            elif isinstance(message, AttemptEnded | AttemptProgressed):
                self.elsewhere.report(message)
        if reply is not None:
            reply(misplaced(key))

    # --- attempts

    def under_way(self, key: str) -> Collection[Token]:
        return () if self.attempts is None else self.attempts.under_way(key)

    def leave_attempts(self, shards: Collection[int]) -> None:
        if self.attempts is not None:
            self.attempts.sealed(shards)

    def stop_attempts(self, shards: Collection[int]) -> None:
        if self.attempts is not None:
            self.attempts.dropped(shards)

    # --- sealing

    def sealed(self, cell: Cell) -> None:
        """It takes nothing more, and some of its turns are still on their way to the store."""
        self._sealed.setdefault(self.shard(cell.key), set()).add(cell)

    def finished(self, cell: Cell) -> None:
        """All that a sealed actor decided is durable and let out, or void."""
        waiting = self._sealed.get(self.shard(cell.key), set())
        waiting.discard(cell)
        if not waiting:
            self._sealed.pop(self.shard(cell.key), None)
            self._finished.set()

    async def until_finished(self, shards: Collection[int]) -> None:
        """Returns when no sealed actor of these shards has anything on its way."""
        while any(shard in self._sealed for shard in shards):
            self._finished.clear()
            await self._finished.wait()


def misplaced(key: str) -> Misplaced:
    return Misplaced(f"{key} is run by another node by now; ask again")
