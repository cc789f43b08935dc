"""Lending: an attempt runs at another node, because there is room for it there, or more of it than here.

    lender     ready ──matched with workers elsewhere──► lent ──► its end is reported: over
                 ▲                                        │ └───► its borrower is gone, or gives it back: begun anew
                 └────────────── declined ────────────────┘

    borrower   borrowed ──► held by a worker ──► reported to whoever has its actor, as in core.away
                  └──► no room, and it may not wait; or recalled; or nobody here takes such tasks any more: declined

Each node tells the others what its workers have to give; matching (`core.matching`) sees these as one worker per node
and offer. What is lent goes out under the token that it has, and is the borrower's to run from then on, as an attempt
away from home is (`core.away`). What is declined had not begun: it stands in line again as if it had never left.

**Who is authoritative.** The borrower, about what it has room for: what others know of it is as old as a message is
slow, so they may lend too much, and that is declined. Each `Lend` has a number, and the borrower says with its figures
up to which they count what it was lent; the lender adds what it has lent since. So nothing is counted twice, and what
is lost on the way is put right by the next message.

**What it costs.** A node tells others at most every `PAUSE_S` for each of them, and only what is news; while nothing
changes it says nothing. Nothing here takes time or sends anything: the caller carries out what it is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from understudy_runtime.core.messages import Dispatch, Token
from understudy_runtime.core.needs import Offer, Offered, Reach
from understudy_runtime.core.transport import Loan, Offers, Standing

PAUSE_S: Final = 0.005
"""Between two tellings, times the number of nodes that are told; at least `MIN_PAUSE_S`."""
MIN_PAUSE_S: Final = 0.02
PRESS_S: Final = 0.25
"""Between two tellings of a node that has declined something although its figures are as they were told."""
STEPS: Final = 100
"""A change of less than this part of the slots is no news."""
MAX_STANDINGS: Final = 64
"""Different offers that a node tells of; those with the most slots."""
MAX_TOLD_TASKS: Final = 10_000
"""Names of tasks in all offers that a node tells of. What goes beyond is not offered to others."""
MAX_BORROWED: Final = 10_000
"""Attempts of others that a node has at a time; further ones are declined."""
MAX_LENT_BYTES: Final = 2**20
"""Of arguments. What is larger is not lent."""


def reach_of(dispatch: Dispatch) -> Reach:
    """One that was begun before stays at home if it can: perhaps its result is too large to be sent, or its borrower
    was lost, so this bounds how far it wanders."""
    if len(dispatch.args) > MAX_LENT_BYTES:
        return "home"
    return "far" if dispatch.token.dispatch == 1 else "stranded"


class _Peer:
    """`told`: by number, what it knows. `pressed`: it is to be told again, whether or not there is news; but not before
    `press_at`."""

    __slots__ = ("after", "press_at", "pressed", "told")

    def __init__(self) -> None:
        self.after = 0
        self.told: dict[int, Offered] = {}
        self.pressed = True
        self.press_at = 0.0


class Teller:
    """The borrower's side: what to tell whom."""

    def __init__(self) -> None:
        self._numbers: dict[Offer, int] = {}
        self._count = 0
        self._peers: dict[str, _Peer] = {}

    def __len__(self) -> int:
        return len(self._peers)

    @property
    def pause_s(self) -> float:
        return max(MIN_PAUSE_S, PAUSE_S * len(self._peers))

    def reached(self, node: str) -> None:
        """There is a way to this node, which knows nothing."""
        self._peers[node] = _Peer()

    def unreached(self, node: str) -> None:
        self._peers.pop(node, None)

    def press(self, node: str) -> None:
        """It may believe what is not so, because something was declined."""
        if node in self._peers:
            self._peers[node].pressed = True

    def lent(self, node: str, number: int) -> None:
        """It has lent something."""
        if node in self._peers:
            self._peers[node].after = number

    @property
    def pressed(self) -> bool:
        """Whether somebody is to be told again."""
        return any(peer.pressed for peer in self._peers.values())

    def news(self, offered: Sequence[Offered], now: float) -> Iterator[tuple[str, Offers]]:
        """What to tell each node that there is news for; it counts as told."""
        current = self._numbered(offered)
        for node, peer in list(self._peers.items()):
            if not (peer.pressed and peer.press_at <= now) and not _are_news(peer.told, current):
                continue
            standings = tuple(_standing(number, each, peer.told.get(number)) for number, each in current.items())
            peer.told, peer.pressed, peer.press_at = current, False, now + PRESS_S
            yield node, Offers(peer.after, standings)

    def _numbered(self, offered: Sequence[Offered]) -> dict[int, Offered]:
        most = sorted(offered, key=lambda each: -each.slots)[:MAX_STANDINGS]
        known, self._numbers = self._numbers, {}
        numbered: dict[int, Offered] = {}
        names = 0
        for each in most:
            names += len(each.offer.tasks)
            if names > MAX_TOLD_TASKS:
                break
            number = known.get(each.offer)
            if number is None:
                self._count += 1
                number = self._count
            self._numbers[each.offer] = number
            numbered[number] = each
        return numbered


def _are_news(told: Mapping[int, Offered], now: Mapping[int, Offered]) -> bool:
    return told.keys() != now.keys() or any(_is_news(told[number], each) for number, each in now.items())


def _is_news(told: Offered, now: Offered) -> bool:
    step = max(1, now.slots // STEPS)
    return (
        (told.workers, told.slots, told.room > 0) != (now.workers, now.slots, now.room > 0)
        or abs(told.used - now.used) >= step
        or abs(told.room - now.room) >= step
    )


def _standing(number: int, now: Offered, told: Offered | None) -> Standing:
    offer = now.offer if told is None else None
    return Standing(number, offer, now.workers, now.slots, now.used, now.room)


class Told(NamedTuple):
    """What is known now of workers elsewhere, by the name they go by here."""

    name: str
    offered: Offered
    on_the_way: int


class _Lender:
    """`lent`: what the figures of that node do not count yet: the number of the `Lend`, whose it was, its slots."""

    __slots__ = ("lent", "number", "offers")

    def __init__(self) -> None:
        self.number = 0
        self.offers: dict[str, Offer] = {}
        self.lent: deque[tuple[int, str, int]] = deque()


class Ledger:
    """The lender's side: what others have told, and what they have been lent since."""

    def __init__(self) -> None:
        self._of: dict[str, _Lender] = {}
        self._nodes: dict[str, str] = {}
        self._last: dict[str, int] = {}
        """Numbers go on where they were, if a node is out of reach and comes back."""

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    def node_of(self, name: str) -> str:
        return self._nodes[name]

    def heard(self, node: str, offers: Offers) -> tuple[list[Told], Collection[str]]:
        """What is known of that node now, and what there is no longer."""
        known = self._of.get(node)
        if known is None:
            known = self._of[node] = _Lender()
            known.number = self._last.pop(node, 0)
        while known.lent and known.lent[0][0] <= offers.after:
            known.lent.popleft()
        told: list[Told] = []
        kept: dict[str, Offer] = {}
        for each in offers.standings:
            name = f"{node}#{each.number}"
            offer = each.offer or known.offers.get(name)
            if offer is None:
                continue  # it was told before there was a stream; with the stream, all is told anew
            kept[name] = offer
            self._nodes[name] = node
            on_the_way = sum(slots for _, to, slots in known.lent if to == name)
            told.append(Told(name, Offered(offer, each.workers, each.slots, each.used, each.room), on_the_way))
        gone = known.offers.keys() - kept.keys()
        for name in gone:
            del self._nodes[name]
        known.offers = kept
        return told, gone

    def lend(self, name: str, slots: int) -> int:
        """The number of the `Lend` by which so many slots are lent."""
        known = self._of[self._nodes[name]]
        known.number += 1
        known.lent.append((known.number, name, slots))
        return known.number

    def unreached(self, node: str) -> Collection[str]:
        """Nothing is known of it any longer. Returns the names that were."""
        known = self._of.pop(node, None)
        if known is None:
            return ()
        self._last[node] = known.number
        for name in known.offers:
            del self._nodes[name]
        return known.offers.keys()


# --- the ports between whoever matches and whoever knows the other nodes; both are used on the engine's loop


class Abroad(Protocol):
    """The other nodes. Nothing of it waits."""

    def lend(self, node: str, number: int, loans: Sequence[Loan]) -> bool:
        """False if it cannot be sent."""
        ...

    def decline(self, node: str, tokens: Sequence[Token]) -> None: ...
    def recall(self, node: str, tokens: Sequence[Token]) -> None: ...

    def offer(self, node: str, offers: Offers) -> bool:
        """False if it cannot be sent."""
        ...


class Lends(Protocol):
    """Whoever matches, for whoever knows the other nodes."""

    @property
    def borrowed(self) -> Collection[Token]:
        """Attempts of other nodes that are here."""
        ...

    def open(self, abroad: Abroad) -> None:
        """From now on other nodes can be lent to."""
        ...

    def reached(self, node: str, reached: bool) -> None: ...
    def heard(self, node: str, offers: Offers) -> None: ...

    def borrow(self, node: str, number: int, loans: Sequence[Loan]) -> None:
        """Run these, or decline them."""
        ...

    def declined(self, node: str, tokens: Sequence[Token]) -> None:
        """These are here again, and have not begun."""
        ...

    def recalled(self, node: str, tokens: Sequence[Token]) -> None:
        """Decline those of these that have not begun."""
        ...

    def over(self, token: Token) -> bool:
        """It is lent no longer, however it ended. False if it was not."""
        ...

    def ended(self) -> None:
        """Something that was lent is over: there may be room."""
        ...

    def cancelled(self, token: Token) -> None:
        """It is to end: should it be declined, it is not to be begun again."""
        ...

    def returned(self, token: Token) -> bool:
        """It is borrowed no longer. False if it was not."""
        ...
