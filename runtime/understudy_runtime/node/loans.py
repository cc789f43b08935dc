"""Attempts that are lent to other nodes, and borrowed from them: between this node's pool and the transport.

What is lent runs away from home, and what is borrowed is kept for its owner, as `core.away` has it; so whatever becomes
of either node, it is dealt with there. Here is what is different: how it gets there, and that what is declined comes
back as if it had never left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from understudy_runtime.core.away import Away, Kept
from understudy_runtime.core.lending import Lends
from understudy_runtime.core.membership import Owner, View
from understudy_runtime.core.messages import Token
from understudy_runtime.core.ports import Clock
from understudy_runtime.core.transport import Decline, Envelope, Lend, Lending, Loan, Offers, Recall, Taken

TAKEN_AT_ONCE: Final = 1_000
"""Attempts in one envelope."""

Send = Callable[[str, Envelope], bool]
log = structlog.get_logger("understudy.cluster")


class Loans:
    """The pool's `Abroad`. `is_here` says which actors are; `abandon` ends attempts here of which nobody is to hear;
    `lent` is called when some were."""

    def __init__(
        self,
        lends: Lends,
        kept: Kept,
        away: Away,
        clock: Clock,
        is_here: Callable[[str], bool],
        abandon: Callable[[Sequence[Token]], None],
        lent: Callable[[], None],
    ) -> None:
        self._lends = lends
        self._kept = kept
        self._away = away
        self._clock = clock
        self._is_here = is_here
        self._abandon = abandon
        self._lent = lent
        self._view = View()
        self._taken: dict[str, list[Token]] = {}
        self._send: Send = lambda node, envelope: False

    def open(self, send: Send) -> None:
        self._send = send
        self._lends.open(self)

    def members(self, view: View) -> None:
        """Who is there, from now on."""
        self._view = view
        self._kept.bereft(view, self._clock.now())

    def reached(self, node: str, reached: bool) -> None:
        self._lends.reached(node, reached)

    # --- Abroad

    def lend(self, node: str, number: int, loans: Sequence[Loan]) -> bool:
        member = self._view.members.get(node)
        if member is None or not self._send(node, Lend(number, tuple(loans))):
            return False
        keeper, tokens = Owner(node, member.incarnation), [loan.dispatch.token for loan in loans]
        self._away.lend(keeper, tokens, self._clock.now())
        self._lent()
        return True

    def decline(self, node: str, tokens: Sequence[Token]) -> None:
        for token in tokens:
            self._kept.forget(token)
        self._send(node, Decline(tuple(tokens)))

    def recall(self, node: str, tokens: Sequence[Token]) -> None:
        self._send(node, Recall(tuple(tokens)))

    def offer(self, node: str, offers: Offers) -> bool:
        return self._send(node, offers)

    # --- other nodes

    def on_envelope(self, from_node: str, envelope: Lending | Taken) -> None:
        match envelope:
            case Offers():
                self._lends.heard(from_node, envelope)
            case Lend(number, loans):
                self._borrow(from_node, number, loans)
            case Decline(tokens):
                self._lends.declined(from_node, [token for token in tokens if self._is_back(from_node, token)])
            case Recall(tokens):
                self._lends.recalled(from_node, tokens)
            case Taken(tokens):
                for token in tokens:
                    self._kept.settle(token)

    def _borrow(self, lender: str, number: int, loans: Sequence[Loan]) -> None:
        member = self._view.members.get(lender)
        owner = Owner(lender, "" if member is None else member.incarnation)
        tokens = [loan.dispatch.token for loan in loans]
        self._abandon([older for token in tokens if (older := self._kept.superseded_by(token)) is not None])
        self._kept.borrow(owner, tokens, self._clock.now())
        self._lends.borrow(lender, number, loans)

    def _is_back(self, borrower: str, token: Token) -> bool:
        """Whether it was there. If its actor has left, its next owner will hear that it is not there any more."""
        is_ours = self._is_here(token.key) and self._away.keeper_of(token) == borrower
        return is_ours and self._away.forget(token)

    # --- ends

    def taken(self, node: str, token: Token) -> None:
        """Its end has come from there, and need not be kept there. Said once the loop is done with what it has."""
        if not self._taken:
            asyncio.get_running_loop().call_soon(self._say_taken)
        self._taken.setdefault(node, []).append(token)

    def _say_taken(self) -> None:
        taken, self._taken = self._taken, {}
        for node, tokens in taken.items():
            for first in range(0, len(tokens), TAKEN_AT_ONCE):
                self._send(node, Taken(tuple(tokens[first : first + TAKEN_AT_ONCE])))
        self._lends.ended()

    def over(self, tokens: Iterable[Token]) -> list[Token]:
        """These are lent no longer, however that came. Returns those that were."""
        return [token for token in tokens if self._lends.over(token)]

    def cancelled(self, tokens: Iterable[Token]) -> None:
        for token in tokens:
            self._lends.cancelled(token)
