"""Group commit: one batch after the other, each in one statement, sent again until it is answered.

The statement compares term, incarnation and number of commits of each shard, and advances them. So the same bytes take
effect once, however often they are sent; and when a shard was not advanced, a look at its row says which it was:

    our term, one commit more    an earlier sending arrived, and only its answer was lost: durable
    another term                 another node has the shard: fenced
    our term, fewer commits      the database has forgotten what it acknowledged: fenced, because what is stored counts

What is read after a statement that did not match is final, because a late sending cannot match either any more.
A batch with a value that the database refuses is halved until the actor is found whose turns it is, and all others are
durable. When nothing has answered for PATIENCE_S, or the database fails in a way that does not pass, it is not known
what is durable: all shards are given up, and everything is refused until new terms have been begun.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from understudy_runtime.core.ports import CommitFailed, PartlyFailed, TurnWrite
from understudy_runtime.storage.postgres.address import Address
from understudy_runtime.storage.postgres.connections import Connection, Connections, Row
from understudy_runtime.storage.postgres.faults import explain, is_refusal
from understudy_runtime.storage.postgres.statements import Statements
from understudy_runtime.storage.postgres.writes import Held, Writes

LOOKS: Final = 3
"""How often a shard that was neither advanced nor taken is tried again. Once should do."""

Done = Callable[[BaseException | None], None]


class Committer:
    """`held` are the shards of this node; it is shared with whoever claims and releases them."""

    def __init__(
        self,
        address: Address,
        shards: int,
        held: dict[int, Held],
        incarnation: str,
        connections: Connections,
        clock_offset_s: float,
    ) -> None:
        self._address = address
        self._shards = shards
        self._held = held
        self._incarnation = incarnation
        self._connections = connections
        self._statements = Statements(address.schema)
        self._queue: deque[tuple[Sequence[TurnWrite], Done]] = deque()
        self._working: asyncio.Task[None] | None = None
        self._broken: CommitFailed | None = None
        self.clock_offset_s = clock_offset_s

    def submit(self, batch: Sequence[TurnWrite], done: Done) -> None:
        self._queue.append((batch, done))
        if self._working is None or self._working.done():
            self._working = asyncio.get_running_loop().create_task(self._work(), name="understudy-commit")

    def begin_anew(self) -> None:
        """New terms have been begun: what was sent under earlier ones can take no effect any more."""
        self._broken = None

    async def settle(self) -> None:
        """Returns when what was submitted until now, and by whoever was told of it, has been told of."""
        while self._working is not None and not self._working.done():
            await asyncio.wait([self._working])

    async def _work(self) -> None:
        while self._queue:
            batch, done = self._queue.popleft()
            error = await self._commit(batch)
            try:
                done(error)
            except Exception as fault:
                context = {"message": "whoever was told of a commit failed", "exception": fault}
                asyncio.get_running_loop().call_exception_handler(context)

    async def _commit(self, batch: Sequence[TurnWrite]) -> CommitFailed | None:
        fenced: set[int] = set()
        rejected: dict[str, str] = {}
        parts = [batch]
        while parts and self._broken is None:
            part = parts.pop()
            try:
                fenced |= await self._write(part)
            except Exception as error:
                told = explain(self._address.shown, error)
                if not is_refusal(error):
                    self._broken = CommitFailed(f"it is not known what is stored: {told}")
                    self._broken.__cause__ = error
                    self._held.clear()
                elif len(keys := list(dict.fromkeys(turn.key for turn in part))) == 1:
                    rejected[keys[0]] = told
                else:
                    parts += _halves(part, keys)
        return self._broken or self._outcome(len(batch), fenced, rejected)

    def _outcome(self, turns: int, fenced: set[int], rejected: dict[str, str]) -> CommitFailed | None:
        if not fenced and not rejected:
            return None
        why = [f"the turns of {key} were not stored: {told}" for key, told in rejected.items()]
        if fenced:
            shown = ", ".join(map(str, sorted(fenced)[:5]))
            why.append(
                f"store {self._address.shown}: another node has taken over {len(fenced)} shards ({shown} ...): "
                "what this one has in memory of them is void"
            )
        return PartlyFailed("; ".join(why), frozenset(fenced), rejected)

    async def _write(self, batch: Sequence[TurnWrite]) -> set[int]:
        """Returns the shards whose turns are not durable, because they are fenced. Errors are the driver's."""
        writes = Writes(self._shards, self._held, batch)
        if not writes.heads:
            return writes.fenced
        shape, columns = writes.parts()
        sql = self._statements.commit(shape)
        arguments = [*writes.fence(self._incarnation), *columns]

        async def send(connection: Connection) -> tuple[Row, float, float]:
            sent_at = time.monotonic()
            [row] = await connection.fetch(sql, *arguments)
            return row, sent_at, time.monotonic()

        for _ in range(LOOKS):
            [advanced, at, *_], sent_at, answered_at = await self._connections.ask(send)
            self.clock_offset_s = at - (sent_at + answered_at) / 2
            writes.advance(advanced or ())
            unsure = writes.heads.keys() - set(advanced or ())
            if not unsure:
                return writes.fenced
            again = await self._look(writes, unsure)
            if not again:
                return writes.fenced
        raise CommitFailed(f"store {self._address.shown} neither takes nor refuses a commit: please report it")

    async def _look(self, writes: Writes, unsure: set[int]) -> set[int]:
        """Find out what became of shards that the statement did not advance; returns those it should have."""
        rows = await self._connections.ask(lambda connection: connection.fetch(self._fences, list(unsure)))
        found = {row[0]: row for row in rows}
        again: set[int] = set()
        for shard in unsure:
            held = writes.held[shard]
            _, term, incarnation, commits = found.get(shard, (shard, -1, "", -1))
            ours = (term, incarnation) == (held.term, self._incarnation)
            if ours and commits == held.commits + 1:
                writes.advance([shard])
            elif ours and commits == held.commits:
                again.add(shard)
            else:
                if self._held.get(shard) is held:
                    del self._held[shard]
                writes.fenced.add(shard)
        return again

    @property
    def _fences(self) -> str:
        return f"SELECT id, term, incarnation, commits FROM {self._address.schema}.shard WHERE id = ANY($1::integer[])"


def _halves(batch: Sequence[TurnWrite], keys: list[str]) -> list[Sequence[TurnWrite]]:
    """The turns of half of the actors each: those of one actor stay together, in order. The first is the last."""
    first = set(keys[: len(keys) // 2])
    return [[turn for turn in batch if turn.key not in first], [turn for turn in batch if turn.key in first]]
