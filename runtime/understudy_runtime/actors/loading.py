"""Bringing actors into memory: their state from snapshot and journal, their program by replay.

Loads are collected while one is under way, as commits are: a thousand actors that wake at once are a few queries.
Recovery applies records and decides nothing. A program is brought back only when it is needed, by giving
it what the journal says it was given and comparing what it asks for with what it asked for then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec

from understudy_runtime.actors import journal
from understudy_runtime.actors.cell import Cell, Envelope
from understudy_runtime.core.messages import AnyMessage
from understudy_runtime.core.ports import Loaded, Order, Program, Programs, StateUnfit, Store
from understudy_runtime.core.records import Turn
from understudy_runtime.core.replay import Activation, activations, difference

MAX_LOADS: Final = 500
"""Actors read from the store at once."""
REPLAY_SLICE: Final = 1_000
"""Activations replayed before the engine's loop gets a breath."""
MAX_TURNS: Final = 1_000_000

decode_message = msgspec.json.Decoder(AnyMessage).decode

WhenLoaded = Callable[[Cell, bool, Sequence[Envelope]], None]
WhenRevived = Callable[[Cell, str | None], None]
WhenBroken = Callable[[Cell, BaseException], None]


class Loading:
    """Reads actors for the engine and tells it when they are there."""

    def __init__(
        self,
        store: Store,
        programs: Programs,
        loaded: WhenLoaded,
        revived: WhenRevived,
        broken: WhenBroken,
    ) -> None:
        self._store = store
        self._programs = programs
        self._loaded = loaded
        self._revived = revived
        self._broken = broken
        self._wanted: list[Cell] = []
        self._reader: asyncio.Task[None] | None = None
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        return not self._tasks

    def load(self, cell: Cell) -> None:
        self._wanted.append(cell)
        if self._reader is None:
            self._reader = self._begin(self._read())

    def revive(self, cell: Cell) -> None:
        self._begin(self._replay(cell))

    async def close(self) -> None:
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _read(self) -> None:
        while self._wanted:
            cells, self._wanted = self._wanted[:MAX_LOADS], self._wanted[MAX_LOADS:]
            try:
                stored = await self._store.load([cell.key for cell in cells])
            except Exception as error:
                for cell in cells:
                    self._broken(cell, error)
                continue
            for cell, found in zip(cells, stored, strict=True):
                try:
                    await self._restore(cell, found)
                except BaseException as error:
                    self._fail(cell, error)
        self._reader = None

    async def _restore(self, cell: Cell, found: Loaded) -> None:
        machine = cell.machine
        cell.state = machine.initial(cell.key) if found.snapshot is None else machine.decode(found.snapshot)
        cell.seq = cell.snapshot_seq = found.snapshot_seq
        for turn in await self._decoded(cell, found.turns):
            cell.seq, cell.at = turn.seq, max(cell.at, turn.at)
            for record in turn.records:
                machine.apply(cell.state, record, turn.at, turn.seq)
        if found.row is not None:
            cell.created_at, cell.parked = found.row.created_at, found.row.parked_until
            cell.at = max(cell.at, found.row.updated_at)
        waiting = [Envelope(decode_message(row.body), inbox=(row.sender, row.sender_seq)) for row in found.inbox]
        self._loaded(cell, found.row is not None, waiting)

    async def _decoded(self, cell: Cell, rows: Sequence[Any]) -> list[Turn]:
        return await journal.decode_all(rows, lambda digests: self._store.blobs(cell.key, digests))

    async def history(self, key: str, after_seq: int = 0, limit: int = MAX_TURNS) -> list[Turn]:
        """The actor's turns after `after_seq`, at most `limit`, as far as they are committed."""
        rows = await self._store.turns(key, after_seq, limit)
        return await journal.decode_all(rows, lambda digests: self._store.blobs(key, digests))

    async def _replay(self, cell: Cell) -> None:
        try:
            diff = await self._replayed(cell)
        except (StateUnfit, HeldAgain) as unfit:
            self._revived(cell, str(unfit))
        except BaseException as error:
            self._fail(cell, error)
        else:
            self._revived(cell, diff)

    def _fail(self, cell: Cell, error: BaseException) -> None:
        """Only `close` cancels; any other `CancelledError`, as all else, is that actor's."""
        if self._closing:
            raise error
        self._broken(cell, error)

    async def _replayed(self, cell: Cell) -> str | None:
        """Give the cell its program; or say how its history and the code differ."""
        start = cell.machine.replay_from(cell.state)
        assert start is not None
        turns = await self.history(cell.key, start.seq - 1)
        history = list(activations(turns, start))
        diffs: list[str] = []
        for order in self._programs.orders:
            try:
                cell.program = await self._replayed_in(order, cell, history)
            except Diverged as diverged:
                diffs.append(str(diverged))
            else:
                return None
        return diffs[0]

    async def _replayed_in(self, order: Order, cell: Cell, history: list[Activation]) -> Program:
        machine, state = cell.machine, cell.state
        program = self._programs.create(cell.key, machine.facts(state).definition, machine.value(state), order)
        for count, activation in enumerate(history, 1):
            if not activation.complete:
                cell.undelivered = activation.inputs
                break
            try:
                _repeat(program, activation)
            except (Diverged, HeldAgain):
                program.evict()
                raise
            if count % REPLAY_SLICE == 0:
                await asyncio.sleep(0)
        return program


class Diverged(Exception):
    """What the code does now is not what the journal says that it did."""


class HeldAgain(Exception):
    """The code was stopped once more, in the midst of what it did before. No other order would mend that."""


def _repeat(program: Program, then: Activation) -> None:
    now = program.activate(then.at, then.inputs, then.commands)
    if now.held is not None:
        raise HeldAgain(f"turn {then.seq}: {now.held.detail}")
    diff = difference(then.commands, now.commands)
    if diff is not None:
        raise Diverged(f"turn {then.seq}: {diff}")
