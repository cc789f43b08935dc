"""The executor of an engine that is one of many: attempts stay where they run, while their actors move.

    engine ──start, cancel──► Attempts ──► pool        reports come back the same way
                                 │  ▲
                    core.away    ▼  │  envelopes
                              other nodes

`core.away` says what is to be done; here it is done. An actor's attempts run in this node's pool, or at the node where
they were begun or that they were lent to (`loans`), which is asked to go on with them, to stop them, and what came of
them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import count
from typing import Final, Protocol

import msgspec
import structlog

from understudy_runtime.actors.sharding import Sharding
from understudy_runtime.core.away import ADOPT_S, Away, Kept
from understudy_runtime.core.kinds import NULL, Failure
from understudy_runtime.core.lending import Lends
from understudy_runtime.core.membership import Owner, View
from understudy_runtime.core.messages import AnyMessage, AttemptEnded, Dispatch, Token
from understudy_runtime.core.ports import Clock, MovableExecutor, Report
from understudy_runtime.core.transport import Adopt, Envelope, Keeping, Lending, Noted, Stop, Taken, Unknown
from understudy_runtime.core.transport import Report as ReportEnvelope
from understudy_runtime.node.loans import Loans
from understudy_runtime.rpc.limits import MAX_REQUEST_BYTES

TOKENS_AT_ONCE: Final = 1_000
"""Attempts in one envelope."""
NOTED_S: Final = 1.0
"""How long a shard's next owner may take to say that it knows of its attempts; then it gets the shard without."""
MAX_RESULT_BYTES: Final = MAX_REQUEST_BYTES - 2**20
"""Of a task that nobody at home can do. The result of one that somebody there can do may be larger: it is repeated."""
TOLD_S: Final = 2.0
"""How long a node that leaves waits for somebody to want to know what its last attempts have come to."""

Send = Callable[[str, Envelope], bool]
log = structlog.get_logger("understudy.cluster")
_encoder: Final = msgspec.json.Encoder()


class Receives(Protocol):
    """The engine."""

    def report(self, reports: Sequence[Report]) -> None: ...
    def write_off(self, token: Token) -> None: ...
    def deliver(self, key: str, message: AnyMessage) -> None: ...


class Attempts:
    """`Executor` of the engine, and `Attempts` of its `Sharding`. Used on the engine's loop; `serve` comes first.

    `executor` is this node's own; `lends`, if it shares attempts with those of other nodes.
    """

    def __init__(
        self, executor: MovableExecutor, sharding: Sharding, clock: Clock, me: Owner, lends: Lends | None = None
    ) -> None:
        self._executor = executor
        self._sharding = sharding
        self._clock = clock
        self._me = me
        self._kept = Kept()
        self._away = Away(me)
        self._lends = lends
        self._loans = (
            None
            if lends is None
            else Loans(lends, self._kept, self._away, clock, sharding.has, self._abandon, self._keep_ticking)
        )
        self._unwanted: set[Token] = set()
        """Attempts here that were cancelled because their actors have left: nobody is told how they end."""
        self._numbers = count(1)
        self._unnoted: set[int] = set()
        self._changed = asyncio.Event()
        self._view: View | None = None
        self._send: Send = lambda node, envelope: False
        self._stop_ticking: Callable[[], None] | None = None

    def serve(self, engine: Receives) -> None:
        self._engine = engine

    def connect(self, send: Send) -> None:
        """From now on the other nodes can be reached."""
        self._send = send
        if self._loans is not None:
            self._loans.open(send)

    @property
    def kept(self) -> int:
        """Attempts here of other nodes' actors, those included that have ended and may be asked for."""
        return len(self._kept)

    @property
    def away(self) -> int:
        """Attempts elsewhere of this node's actors."""
        return len(self._away)

    # --- the Executor port

    def start(self, dispatches: Sequence[Dispatch]) -> None:
        if self._away:
            superseded = (self._away.superseded_by(dispatch.token) for dispatch in dispatches)
            self._stop(token for token in superseded if token is not None)
        self._executor.start(dispatches)

    def cancel(self, tokens: Sequence[Token]) -> None:
        if not self._away:
            self._executor.cancel(tokens)
            return
        here: list[Token] = []
        away: dict[str, list[Token]] = {}
        for token in tokens:
            keeper = self._away.keeper_of(token)
            (away.setdefault(keeper, []) if keeper else here).append(token)
        self._executor.cancel(here)
        for node, some in away.items():
            if self._loans is not None:
                self._loans.cancelled(some)
            self._say(node, Stop, some)

    async def close(self, grace_s: float) -> None:
        if self._stop_ticking is not None:
            self._stop_ticking()
            self._stop_ticking = None
        await self._executor.close(grace_s)

    # --- from this node's executor

    def report(self, reports: Sequence[Report]) -> None:
        if self._unwanted:
            reports = [report for report in reports if not self._is_unwanted(report)]
        if self._lends is not None and self._lends.borrowed:
            reports = [report for report in reports if not self._is_borrowed(report)]
        self._engine.report(reports)
        if self._away or self._kept:
            for report in reports:
                if type(report) is AttemptEnded:
                    self._away.forget(report.token)
                    if self._sharding.has(report.token.key):
                        self._kept.forget(report.token)

    def _is_unwanted(self, report: Report) -> bool:
        token = report.token
        if token not in self._unwanted:
            return False
        if type(report) is AttemptEnded:
            self._unwanted.discard(token)
            if self._lends is None or not self._lends.returned(token):
                self._engine.write_off(token)
        return True

    def _is_borrowed(self, report: Report) -> bool:
        """Of what is borrowed, the engine is told only as far as its actor may have come here meanwhile."""
        assert self._lends is not None
        token = report.token
        if token not in self._lends.borrowed:
            return False
        if type(report) is AttemptEnded:
            self._lends.returned(token)
            self._away.forget(token)
        self._engine.deliver(token.key, report)
        return True

    def pass_on(self, report: Report) -> None:
        """A report that the engine has no actor for."""
        token = report.token
        if type(report) is AttemptEnded:
            owner = self._kept.ended(report, self._clock.now())
            self._keep_ticking()
            self._changed.set()
        else:
            owner = self._kept.owner_of(token)
        if owner and not self._tell(owner, report) and type(report) is AttemptEnded and self._is_there(owner):
            self._untold(owner, report)

    def _is_there(self, owner: str) -> bool:
        """What its owner has left too early to hear is kept: the actor's next owner will ask for it."""
        return self._view is None or owner in self._view.members

    def _untold(self, owner: str, end: AttemptEnded) -> None:
        """An end that cannot be sent, because it is too large or too much waits to be sent, is no end."""
        token, size = end.token, len(end.result)
        if self._kept.is_borrowed(token) and token.dispatch > 1 and size > MAX_RESULT_BYTES:
            # It was given back once, to be done at home; but nobody there does it.
            why = (
                f"the result has {size} bytes; from another node the most is {MAX_RESULT_BYTES}: store it, return where"
            )
            failed = msgspec.structs.replace(end, result=NULL, failure=Failure("BadInput", why, final=True))
            self._kept.ended(failed, self._clock.now())
            self._tell(owner, failed)
        else:
            self._kept.forget(token)
            self._say(owner, Unknown, [token])

    def _tell(self, owner: str, report: Report) -> bool:
        return self._send(owner, ReportEnvelope(_encoder.encode(report)))

    # --- actors come and go

    def under_way(self, key: str) -> Collection[Token]:
        return (*self._away.of(key), *self._kept.of(key)) if self._away or self._kept else ()

    def opened(self, shards: Collection[int]) -> None:
        """The engine runs these shards."""
        now, wanted = self._clock.now(), self._in(shards)
        running, ends = self._kept.reclaim(wanted)
        self._away.note(self._me, running, now)
        for node, tokens in self._away.opened(wanted, now).items():
            self._say(node, Adopt, tokens)
        for end in ends:
            self._engine.deliver(end.token.key, end)
        self._keep_ticking()

    def sealed(self, shards: Collection[int]) -> None:
        begun, unbegun = self._executor.having(self._in(shards))
        self._kept.keep((token for token in begun if token not in self._unwanted), self._clock.now())
        self._abandon(unbegun)
        self._keep_ticking()

    async def hand_over(self, shards: Collection[int], to: str) -> None:
        """Tell the next owner of these shards what goes on for their actors, and where; returns when it knows, or
        takes too long."""
        wanted = self._in(shards)
        numbers: set[int] = set()
        for keeper, tokens in ((self._me, self._kept.among(wanted)), *self._leave(wanted)):
            for some in _parts(tokens):
                number = next(self._numbers)
                if self._send(to, Keeping(number, keeper, some)):
                    numbers.add(number)
        self._unnoted |= numbers
        await self._until(lambda: not numbers & self._unnoted, NOTED_S)
        if numbers & self._unnoted:
            log.warning("a node was not told in time which attempts go on; they are repeated", node=to)
        self._unnoted -= numbers

    def dropped(self, shards: Collection[int]) -> None:
        wanted = self._in(shards)
        for keeper, tokens in self._leave(wanted):
            self._say(keeper.node, Stop, tokens)
        begun, unbegun = self._executor.having(wanted)
        self._abandon([*begun, *unbegun])

    def _leave(self, wanted: Callable[[str], bool]) -> list[tuple[Owner, list[Token]]]:
        """Actors leave. What of theirs is elsewhere, and where."""
        left = self._away.leave(wanted)
        for _, tokens in left:
            self._over(tokens)
        return left

    def _over(self, tokens: Iterable[Token]) -> None:
        """Whatever of these was lent is out no longer."""
        if self._loans is not None:
            for token in self._loans.over(tokens):
                self._engine.write_off(token)

    def _in(self, shards: Collection[int]) -> Callable[[str], bool]:
        wanted = frozenset(shards)
        return lambda key: self._sharding.shard(key) in wanted

    def _abandon(self, tokens: Collection[Token]) -> None:
        """Cancel what is here, and tell nobody."""
        self._unwanted.update(tokens)
        self._executor.cancel(tuple(tokens))

    def _stop(self, tokens: Iterable[Token]) -> None:
        """Cancel what goes on somewhere and has been begun anew."""
        for token in list(tokens):
            keeper = self._away.keeper_of(token)
            self._away.forget(token)
            self._over([token])
            if keeper:
                self._say(keeper, Stop, [token])
            else:
                self._abandon([token])

    # --- other nodes

    def on_envelope(self, from_node: str, envelope: Keeping | Noted | Adopt | Unknown | Stop | Taken | Lending) -> None:
        now = self._clock.now()
        match envelope:
            case Keeping(number, keeper, tokens):
                self._note(keeper, tokens, now)
                self._send(from_node, Noted(number))
            case Noted(number):
                self._unnoted.discard(number)
                self._changed.set()
            case Adopt(tokens):
                self._adopted(from_node, tokens, now)
            case Unknown(tokens):
                self._fail(from_node, self._away.answered(from_node, tokens, now))
            case Stop(tokens):
                self._executor.cancel(self._kept.running(tokens))
            case _:
                if self._loans is not None:
                    self._loans.on_envelope(from_node, envelope)
                    self._keep_ticking()

    def reported(self, from_node: str, token: Token) -> None:
        """An attempt away has ended, and its actor is to be told."""
        if self._away.forget(token) and self._loans is not None:
            self._loans.taken(from_node, token)
            self._over([token])

    def members(self, view: View) -> None:
        """Who is there, from now on."""
        self._view = view
        if self._away:
            self._fail("", self._away.members(view))
        if self._loans is not None:
            self._loans.members(view)

    def reached(self, node: str, reached: bool) -> None:
        """There is a way to that node, or no longer."""
        if self._loans is not None:
            self._loans.reached(node, reached)
        if reached:
            # Something may have been lost when the last way ended.
            self._say(node, Adopt, self._away.at(node))

    def _note(self, keeper: Owner, tokens: Collection[Token], now: float) -> None:
        late = [token for token in tokens if self._sharding.has(token.key)]
        if keeper != self._me:
            self._away.note(keeper, (token for token in tokens if not self._sharding.has(token.key)), now)
            self._say(keeper.node, Stop, late)
        self._keep_ticking()

    def _adopted(self, owner: str, tokens: Collection[Token], now: float) -> None:
        ends, unknown = self._kept.adopt(owner, tokens, now)
        for end in ends:
            if not self._tell(owner, end):
                self._kept.forget(end.token)
                unknown.append(end.token)
        self._changed.set()
        self._say(owner, Unknown, unknown, even_if_none=True)

    def _fail(self, keeper: str, failed: Sequence[tuple[Token, Failure]]) -> None:
        if failed:
            why = failed[0][1].message
            log.warning("attempts elsewhere have to be repeated", attempts=len(failed), why=why)
        now = self._clock.now()
        self._over(token for token, _ in failed)
        for token, failure in failed:
            self._engine.deliver(token.key, AttemptEnded(token, failure=failure, node=keeper, ended_at=now))

    def _say(
        self,
        node: str,
        kind: type[Adopt] | type[Stop] | type[Unknown],
        tokens: Sequence[Token],
        *,
        even_if_none: bool = False,
    ) -> None:
        """Whatever is not sent is made up for when time passes."""
        for some in _parts(tokens, even_if_none=even_if_none):
            self._send(node, kind(some))

    # --- leaving

    async def give_back(self) -> None:
        """The node leaves: end what runs for others, so that they begin it anew; and let them know what has ended."""
        await self._until(lambda: not self._kept.untold, TOLD_S)
        for owner, tokens in self._kept.give_back().items():
            self._abandon(tokens)
            if owner:
                self._say(owner, Unknown, tokens)

    async def _until(self, true: Callable[[], bool], within_s: float) -> None:
        until = self._clock.now() + within_s
        while not true() and self._clock.now() < until:
            self._changed.clear()
            # Anew each time: where the clock has been set back, a timer comes before its time.
            stop = self._clock.call_at(until, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                stop()

    # --- time

    def _keep_ticking(self) -> None:
        """As long as there is anything to look at: an idle node has no timers."""
        if self._stop_ticking is None and (self._away or self._kept):
            self._stop_ticking = self._clock.call_at(self._clock.now() + ADOPT_S, self._tick)

    def _tick(self) -> None:
        self._stop_ticking = None
        now = self._clock.now()
        self._abandon(self._kept.lapsed(now))
        due = self._away.due(now)
        for node, tokens in due.adopt.items():
            self._say(node, Adopt, tokens)
        self._fail("", due.lost)
        self._keep_ticking()


def _parts(tokens: Sequence[Token], *, even_if_none: bool = False) -> Iterator[tuple[Token, ...]]:
    """As many as go into one envelope each."""
    for first in range(0, max(len(tokens), int(even_if_none)), TOKENS_AT_ONCE):
        yield tuple(tokens[first : first + TOKENS_AT_ONCE])
