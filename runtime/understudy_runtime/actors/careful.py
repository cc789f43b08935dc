"""Shards that are run with care: one turn, or one attempt, at a time, each written down first. See `core.caution`.

    mailbox ──► waits ──written down──► turn ──durable──► next          turns come before attempts, so that one that
    release ──► waits ──written down──► attempt ──ended──► next         kills its node is found first

What is written down next also says that what was before has been survived. Actors that were found written down when
their node died come after others, so that a node that is killed as soon as it lives does not name the same ones again.

It ends by itself when the shard has been run for long enough: then whatever waits goes the ordinary way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol

import msgspec
import structlog
from xxhash import xxh64_hexdigest

from understudy.errors import StoreError
from understudy_runtime.actors.cell import Cell, Phase, Query
from understudy_runtime.core import caution
from understudy_runtime.core.caution import ATTEMPT, LOADED, SHORT_S, Caution
from understudy_runtime.core.keys import ACTOR_PREFIX, RUN, kind_of
from understudy_runtime.core.messages import (
    AnyMessage,
    AttemptEnded,
    AttemptProgressed,
    Dispatch,
    Recovered,
    Token,
)
from understudy_runtime.core.ports import Clock

OTHERS_FIRST: Final = 10
"""Turns of actors that nobody has named, between two of those that somebody has."""
ATTEMPT_S: Final = 5.0
"""How long an attempt may keep others waiting: one that kills its node mostly does so at once."""

log = structlog.get_logger("understudy.engine")
_encode: Final = msgspec.json.Encoder().encode


class Notes(Protocol):
    """The part of the store that this needs."""

    async def notes(self, shards: Collection[int]) -> Mapping[int, bytes]: ...
    async def note(self, notes: Mapping[int, bytes]) -> None: ...


class Careful:
    """`take` takes the next turn of an actor, `start` starts attempts, `drop` hears of one that is not started after
    all, `wake` puts an actor in the ordinary queue."""

    def __init__(
        self,
        store: Notes,
        clock: Clock,
        shard: Callable[[str], int],
        *,
        take: Callable[[Cell], None],
        start: Callable[[list[Dispatch]], None],
        drop: Callable[[Token], None],
        wake: Callable[[Cell], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._shard = shard
        self._take = take
        self._start = start
        self._drop = drop
        self._wake = wake
        self.cautions: dict[int, Caution] = {}
        """Of the shards that are run with care now."""
        self._had: set[int] = set()
        self._began_at: dict[int, float] = {}
        """Of the shards that were ever begun here, when that was last."""
        self._cells: deque[Cell] = deque()
        self._named: deque[Cell] = deque()
        self._others = 0
        self._attempts: deque[Dispatch] = deque()
        self._running: Token | None = None
        self._written: dict[int, Caution] = {}
        """As the store has them."""
        self._moved = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._busy = False
        self.poisoned: set[str] = set()
        """Actors that are to be held as soon as they are loaded."""

    @property
    def idle(self) -> bool:
        """Nothing moves here until an attempt ends or time passes."""
        return not self._busy

    async def begin(self, shards: Collection[int]) -> None:
        """Their terms have begun. StoreError."""
        now = self._clock.now()
        found = await self._store.notes(shards)
        begun = {shard: self._begun(shard, caution.decode(found.get(shard, b"")), now) for shard in shards}
        await self._store.note({shard: caution.encode(kept) for shard, (kept, _) in begun.items()})
        self._had.update(shards)
        self._began_at.update((shard, kept.began_at) for shard, (kept, _) in begun.items())
        for shard, (kept, poisoned) in begun.items():
            self.poisoned |= poisoned
            if kept.careful:
                self.cautions[shard] = self._written[shard] = kept
                log.warning("run with care: it has outlived nobody lately", shard=shard, deaths=kept.deaths)
                self._clock.call_at(kept.began_at + SHORT_S, partial(self._trust, shard, kept))

    def _begun(self, shard: int, before: Caution | None, now: float) -> tuple[Caution, frozenset[str]]:
        """A shard that was given up without a word (when nobody knew what is durable) and is had again, with no other
        node in between, has outlived nobody."""
        if before is not None and before.began_at == self._began_at.get(shard) and now - before.began_at < SHORT_S:
            return caution.taken_again(before), frozenset()
        return caution.begin(before, now)

    async def end(self, shards: Iterable[int]) -> None:
        """They are given up in good order: there is nothing to be careful of."""
        gone = self._had.intersection(shards)
        self.forget(gone)
        try:
            await self._store.note(dict.fromkeys(gone, b""))
        except StoreError as error:
            log.warning("the next node will think that this one died", why=str(error))

    def forget(self, shards: Collection[int]) -> None:
        """They are another node's, and so is what was kept back of them."""
        gone = set(shards)
        self._had -= gone
        for shard in gone:
            self.cautions.pop(shard, None)
            self._written.pop(shard, None)
        for dispatch in [each for each in self._attempts if self._shard(each.token.key) in gone]:
            self._attempts.remove(dispatch)
            self._drop(dispatch.token)
        self._wait_no_longer()

    def close(self) -> None:
        if self._worker is not None:
            self._worker.cancel()

    # --- from the engine

    def concerns(self, key: str) -> bool:
        """Whether it is to be begun with care: only what has user code in its turns or tasks can be held."""
        return self._shard(key) in self.cautions and kind_of(key).startswith((RUN, ACTOR_PREFIX))

    def add(self, cell: Cell) -> None:
        """Take its turns, one after the other, when it is their time."""
        cell.queued = True
        known = self.cautions.get(self._shard(cell.key))
        (self._named if known is not None and cell.key in known.named else self._cells).append(cell)
        self._work()

    def hold(self, dispatches: Sequence[Dispatch]) -> list[Dispatch]:
        """Keep those back that are to be started with care; the others."""
        # What is watched goes on for as long as it likes.
        careful = [each for each in dispatches if each.watch is None and self.concerns(each.token.key)]
        if careful:
            self._attempts += careful
            self._work()
        kept = {dispatch.token for dispatch in careful}
        return [dispatch for dispatch in dispatches if dispatch.token not in kept]

    def cancelled(self, tokens: Sequence[Token]) -> None:
        """These are about to be cancelled: what is kept back of them is begun first, so that its end is reported."""
        wanted = set(tokens)
        for dispatch in [each for each in self._attempts if each.token in wanted]:
            self._attempts.remove(dispatch)
            self._start([dispatch])

    def moved(self) -> None:
        """Something has been released, loaded or revived, or has failed."""
        self._moved.set()

    def ended(self, token: Token) -> None:
        """The attempt has."""
        if token == self._running:
            self._survived(token.key, _attempt(token))
            self._running = None
            self._moved.set()

    # ---

    def _trust(self, shard: int, kept: Caution) -> None:
        now = self.cautions.get(shard)
        if now is not None and now.began_at == kept.began_at:
            log.info("run as usual again", shard=shard)
            del self.cautions[shard]
            self._wait_no_longer()

    def _wait_no_longer(self) -> None:
        """For what runs of a shard that is not run with care any more."""
        if self._running is not None and self._shard(self._running.key) not in self.cautions:
            self._running = None
        self._moved.set()

    def _work(self) -> None:
        self._busy = True
        self._moved.set()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._one_by_one())

    async def _one_by_one(self) -> None:
        while self._has_cells or self._attempts or self._running:
            if self._has_cells:
                await self._turn(self._next())
            elif self._running is None:
                await self._begin(self._attempts.popleft())
            else:
                # What is running stays suspected; it does not keep turns waiting.
                await self._until(lambda: self._running is None or self._has_cells)
        await self._suspect()
        self._busy = bool(self._cells or self._named or self._attempts)
        if self._busy:
            self._worker = asyncio.get_running_loop().create_task(self._one_by_one())

    @property
    def _has_cells(self) -> bool:
        return bool(self._cells or self._named)

    def _next(self) -> Cell:
        if self._named and (not self._cells or self._others >= OTHERS_FIRST):
            self._others = 0
            return self._named.popleft()
        self._others += 1
        return self._cells.popleft()

    async def _turn(self, cell: Cell) -> None:
        cell.queued = False
        if self._shard(cell.key) in self.cautions and self._may_take(cell):
            envelope = cell.mailbox[0]
            doing = _doing(envelope.message)
            await self._suspect((cell.key, doing))
            if self._may_take(cell) and cell.mailbox[0] is envelope:
                self._take(cell)
                await self._until(lambda: cell.phase is not Phase.REVIVING and not cell.uncommitted)
                if not (
                    cell.mailbox and cell.mailbox[0] is envelope
                ):  # it was not only put back, to wait for the program
                    self._survived(cell.key, doing)
        self._wake(cell)

    def _may_take(self, cell: Cell) -> bool:
        return cell.phase is Phase.READY and bool(cell.mailbox)

    async def _begin(self, dispatch: Dispatch) -> None:
        token, shard = dispatch.token, self._shard(dispatch.token.key)
        if shard in self.cautions:
            await self._suspect((token.key, _attempt(token)))
            if shard not in self._had:  # it has left meanwhile
                self._drop(token)
                return
            self._running = token if shard in self.cautions else None
            self._clock.call_at(self._clock.now() + ATTEMPT_S, lambda: self.ended(token))
        self._start([dispatch])

    async def _suspect(self, *doings: tuple[str, str]) -> None:
        """Write down whose doing it is if the node dies now: of these actors, of the one whose attempt runs, and of
        nobody else."""
        running = [] if self._running is None else [(self._running.key, _attempt(self._running))]
        wanted: dict[int, dict[str, str]] = {}
        for actor, doing in (*running, *doings):
            wanted.setdefault(self._shard(actor), {})[actor] = doing
        for shard, known in list(self.cautions.items()):
            if known.suspects or shard in wanted:
                self.cautions[shard] = caution.suspecting(known, wanted.get(shard, {}))
        changed = {shard: kept for shard, kept in self.cautions.items() if self._written.get(shard) != kept}
        if not changed:
            return
        try:
            await self._store.note({shard: caution.encode(kept) for shard, kept in changed.items()})
        except StoreError as error:
            log.warning("it cannot be written down who is begun with", actors=list(wanted.values()), why=str(error))
        else:
            self._written.update((shard, kept) for shard, kept in changed.items() if shard in self.cautions)

    def _survived(self, actor: str, doing: str) -> None:
        shard = self._shard(actor)
        if (known := self.cautions.get(shard)) is not None:
            self.cautions[shard] = caution.survived(known, actor, doing)

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true() and self.cautions:
            self._moved.clear()
            self._busy = False
            await self._moved.wait()
        self._busy = True


def _attempt(token: Token) -> str:
    """The same however often it is begun."""
    return f"{ATTEMPT} {token.execution}.{token.call}"


def _doing(message: AnyMessage | Query) -> str:
    """The same when the same message comes again, on another node: dispatches go on counting."""
    name = type(message).__name__
    if isinstance(message, AttemptEnded | AttemptProgressed):
        return f"{name} {message.token.execution}.{message.token.call}"
    if isinstance(message, Recovered):
        return LOADED
    return f"{name} {xxh64_hexdigest(_encode(message))}"
