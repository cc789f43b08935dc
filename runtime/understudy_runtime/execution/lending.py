"""The pool's affairs with the pools of other nodes: see `core.lending`, whose `Lends` this is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, Protocol

from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.lending import MAX_BORROWED, MAX_LENT_BYTES, Abroad, Ledger, Teller, reach_of
from understudy_runtime.core.matching import Matching
from understudy_runtime.core.messages import AttemptEnded, Dispatch, Token
from understudy_runtime.core.needs import Reach, need_of
from understudy_runtime.core.ports import Clock, Report
from understudy_runtime.core.transport import Loan, Offers
from understudy_runtime.execution.ready import Ready, Waits

LOANS_AT_ONCE: Final = 200
"""Attempts in one envelope; it ends with the one that makes it larger than `MAX_LENT_BYTES`."""
RECALLS: Final = 100
"""Attempts that are asked back in one look."""

CANCELLED: Final = Failure("CancelledError", "it was cancelled before any worker had room for it", kind="cancelled")


class Host(Protocol):
    """The pool."""

    @property
    def closing(self) -> bool: ...
    def hand_out(self) -> None: ...
    def report(self, reports: list[Report]) -> None: ...
    def unbegun(self, token: Token, failure: Failure) -> AttemptEnded: ...


class _Lent:
    """`to`: the name by which matching knows whose it is. `asked`: it was asked back."""

    __slots__ = ("asked", "cancelled", "to", "waits")

    def __init__(self, to: str, waits: Waits) -> None:
        self.to = to
        self.waits = waits
        self.asked = False
        self.cancelled = False

    @property
    def slots(self) -> int:
        return self.waits.dispatch.options.slots


class Lending:
    """Used on the engine's loop. It does nothing until it is opened, as it is where there are other nodes."""

    def __init__(self, host: Host, clock: Clock, matching: Matching[Token], ready: Ready) -> None:
        self._host = host
        self._clock = clock
        self._matching = matching
        self._ready = ready
        self._abroad: Abroad | None = None
        self._teller = Teller()
        self._ledger = Ledger()
        self._lent: dict[Token, _Lent] = {}
        self._stranded: dict[Token, None] = {}
        """Of what is lent, what may wait there, because nobody here could take it."""
        self._borrowed: dict[Token, str] = {}
        self._unsent: set[str] = set()
        """Names of those to whom nothing could be sent."""
        self._told_at = 0.0
        self._stop_telling: Callable[[], None] | None = None

    def open(self, abroad: Abroad) -> None:
        self._abroad = abroad

    def reach_of(self, dispatch: Dispatch) -> Reach:
        return "far" if self._abroad is None else reach_of(dispatch)

    @property
    def busy(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self._stranded or self._unsent)

    # --- the lender's side

    def __contains__(self, name: str) -> bool:
        return name in self._ledger

    def lend(self, given: Iterable[tuple[str, Waits]]) -> bool:
        """Lend these to those that matching gave them to. False if some are here again."""
        loans: dict[str, list[Waits]] = {}
        for name, waits in given:
            loans.setdefault(name, []).append(waits)
        sent = [self._lend(name, part) for name, of_name in loans.items() for part in _parts(of_name)]
        return all(sent)

    def _lend(self, name: str, some: Sequence[Waits]) -> bool:
        assert self._abroad is not None
        loans: list[Loan] = []
        for waits in some:
            token, lent = waits.dispatch.token, _Lent(name, waits)
            self._lent[token] = lent
            is_stranded = not self._matching.able_here(need_of(waits.dispatch))
            if is_stranded:
                self._stranded[token] = None
            loans.append(Loan(waits.dispatch, waits.since, is_stranded))
        number = self._ledger.lend(name, sum(waits.dispatch.options.slots for waits in some))
        if self._abroad.lend(self._ledger.node_of(name), number, loans):
            return True
        for waits in some:
            self._take_back(waits.dispatch.token)
        self._matching.set_distant_open(name, False)
        self._unsent.add(name)
        return False

    def _take_back(self, token: Token) -> None:
        """What was lent and has not begun stands in line again."""
        lent = self._lent[token]
        self.over(token)
        dispatch, since, reach = lent.waits
        self._ready.add(dispatch, since, reach=reach)

    def over(self, token: Token) -> bool:
        lent = self._lent.pop(token, None)
        if lent is None:
            return False
        self._stranded.pop(token, None)
        self._matching.freed(lent.to, lent.slots)
        return True

    def ended(self) -> None:
        """Something that was lent is over: there may be room."""
        self._host.hand_out()

    def cancelled(self, token: Token) -> None:
        if token in self._lent:
            self._lent[token].cancelled = True

    def declined(self, node: str, tokens: Sequence[Token]) -> None:
        ends: list[Report] = []
        for token in tokens:
            lent = self._lent.get(token)
            if lent is None:
                continue
            self._matching.set_distant_open(lent.to, False)
            if lent.cancelled:
                self.over(token)
                ends.append(self._host.unbegun(token, CANCELLED))
            else:
                self._take_back(token)
        self._host.report(ends)
        self._host.hand_out()

    def heard(self, node: str, offers: Offers) -> None:
        told, gone = self._ledger.heard(node, offers)
        for name in gone:
            self._matching.untold(name)
        for name, offered, on_the_way in told:
            self._unsent.discard(name)
            self._matching.told(name, offered, on_the_way)
        self._host.hand_out()

    def look(self) -> None:
        """Called now and then: try again those who could not be sent anything, and ask back what waits elsewhere
        although it could begin."""
        for name in self._unsent:
            self._matching.set_distant_open(name, True)
        self._unsent.clear()
        if self._abroad is None or not self._stranded:
            return
        recalls: dict[str, list[Token]] = {}
        count = 0
        for token in reversed(self._stranded):
            lent = self._lent[token]
            if lent.asked or not self._matching.has_room_elsewhere(need_of(lent.waits.dispatch), lent.to):
                continue
            if lent.to in self._ledger:
                lent.asked = True
                recalls.setdefault(self._ledger.node_of(lent.to), []).append(token)
            count += 1
            if count == RECALLS:
                break
        for node, tokens in recalls.items():
            self._abroad.recall(node, tokens)

    # --- the borrower's side

    @property
    def borrowed(self) -> Collection[Token]:
        return self._borrowed.keys()

    def borrow(self, node: str, number: int, loans: Sequence[Loan]) -> None:
        self._teller.lent(node, number)
        declined: list[Token] = []
        for dispatch, since, waits in ((loan.dispatch, loan.since, loan.waits) for loan in loans):
            token = dispatch.token
            is_able = not waits or self._matching.able_here(need_of(dispatch))
            if self._host.closing or not is_able or len(self._borrowed) >= MAX_BORROWED:
                declined.append(token)
            elif token not in self._borrowed:
                self._borrowed[token] = node
                self._ready.add(dispatch, since, reach="home")
        self._host.hand_out()
        unbegun = [loan.dispatch.token for loan in loans if not loan.waits and loan.dispatch.token in self._ready]
        self._give_up(unbegun)
        self._decline(node, [*declined, *unbegun])
        self.changed()

    def recalled(self, node: str, tokens: Sequence[Token]) -> None:
        waiting = [token for token in tokens if self._borrowed.get(token) == node and token in self._ready]
        self._give_up(waiting)
        self._decline(node, waiting)

    def decline_all(self, which: Callable[[Dispatch], bool] = lambda dispatch: True) -> None:
        """Decline what waits here for others."""
        declined: dict[str, list[Token]] = {}
        for waits in [self._ready.get(token) for token in self._borrowed if token in self._ready]:
            token = waits.dispatch.token
            if which(waits.dispatch):
                declined.setdefault(self._borrowed[token], []).append(token)
        for node, tokens in declined.items():
            self._give_up(tokens)
            self._decline(node, tokens)

    def decline_stranded(self) -> None:
        """Decline what nobody here can take any more."""
        self.decline_all(lambda dispatch: not self._matching.able_here(need_of(dispatch)))

    def returned(self, token: Token) -> bool:
        return self._borrowed.pop(token, None) is not None

    def _give_up(self, tokens: Iterable[Token]) -> None:
        for token in tokens:
            self._ready.remove(token)
            del self._borrowed[token]

    def _decline(self, node: str, tokens: Sequence[Token]) -> None:
        if tokens and self._abroad is not None:
            self._teller.press(node)
            self._abroad.decline(node, tokens)
            self.changed()

    # --- telling

    def reached(self, node: str, reached: bool) -> None:
        for name in self._ledger.unreached(node):
            self._matching.untold(name)
            self._unsent.discard(name)
        if reached:
            self._teller.reached(node)
            self.changed()
        else:
            self._teller.unreached(node)

    def changed(self) -> None:
        """There may be news for others: to be told soon."""
        if self._stop_telling is None and len(self._teller):
            at = max(self._clock.now(), self._told_at + self._teller.pause_s)
            self._stop_telling = self._clock.call_at(at, self._tell)

    def _tell(self) -> None:
        assert self._abroad is not None
        self._stop_telling = None
        self._told_at = self._clock.now()
        is_full = self._host.closing or len(self._borrowed) >= MAX_BORROWED
        for node, offers in self._teller.news([] if is_full else self._matching.offered(), self._told_at):
            if not self._abroad.offer(node, offers):
                self._teller.reached(node)
        if self._teller.pressed:
            self.changed()

    def close(self) -> None:
        if self._stop_telling is not None:
            self._stop_telling()
            self._stop_telling = None


def _parts(some: Sequence[Waits]) -> Iterator[list[Waits]]:
    """As many as go into one envelope each."""
    part: list[Waits] = []
    size = 0
    for waits in some:
        part.append(waits)
        size += len(waits.dispatch.args)
        if size > MAX_LENT_BYTES or len(part) == LOANS_AT_ONCE:
            yield part
            part, size = [], 0
    if part:
        yield part
