"""What the engines of a cluster tell each other directly: hints and reports that no client asked for.

    engine ──send──► queue ──one stream per pair of nodes──► on_envelope ──► engine

**Who is authoritative.** The store, for everything. An envelope is never the only copy of what must not be lost: a
`Wake` only says earlier what a scan of the inbox would find anyway, and an attempt whose `Report` does not arrive is
dispatched again by whoever has the run. What is said of attempts that run away from home (`core.away`) may be late or
lost, and then work is repeated. Members and their addresses are the coordinator's, and may be late.

**What holds.** Between one life (incarnation) of a node and one of another, envelopes are handed over in the order in
which they were sent, each at most once; and each exactly once if both go on living, can reach each other now and then,
and do not lose sight of each other for so long that one forgets the other (see `on_broken`).

**What each failure does.**

    the connection breaks, or is silent       it is made anew; what was not acknowledged is sent again, and what
                                              has been handed over before is dropped by the receiver
    the receiver is slow                      its credit runs out, the queue here grows, and at its bound `send`
                                              says False
    the receiver dies                         `on_broken`, once the view says so, if anything was unacknowledged
    the receiver comes back in a new life     the same; nothing meant for the last one is sent to the new one
    the sender dies                           what it had queued is lost with it; its shards' new owners scan
    the two are of different clusters, of     no connection; each node logs it once, and it is tried again at long
    releases too far apart, or an address     intervals
    leads to the wrong node
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import msgspec

from understudy_runtime.core.membership import Owner, View
from understudy_runtime.core.messages import Dispatch, Token
from understudy_runtime.core.needs import Offer


class Wake(msgspec.Struct, frozen=True):
    """These actors, whose shards are the receiver's, have messages in their inbox rows."""

    keys: tuple[str, ...]


class Report(msgspec.Struct, frozen=True):
    """How an attempt ended, or how far it is, for a run whose shard is the receiver's by now; encoded by the sender."""

    body: bytes


class Keeping(msgspec.Struct, frozen=True):
    """These attempts go on at `keeper`, and their actors' shards will be the receiver's next. Answered by `Noted`."""

    number: int
    keeper: Owner
    tokens: tuple[Token, ...]


class Noted(msgspec.Struct, frozen=True):
    """The receiver's `Keeping` of this number has been taken note of."""

    number: int


class Adopt(msgspec.Struct, frozen=True):
    """The sender runs the actors of these attempts, and waits for what comes of them. Answered by `Unknown`."""

    tokens: tuple[Token, ...]


class Unknown(msgspec.Struct, frozen=True):
    """The sender does not have these, of what it was asked to go on with; and it lives, if there are none."""

    tokens: tuple[Token, ...]


class Stop(msgspec.Struct, frozen=True):
    """These attempts are to be cancelled."""

    tokens: tuple[Token, ...]


class Taken(msgspec.Struct, frozen=True):
    """The sender has had the ends of these attempts: they need not be kept any longer."""

    tokens: tuple[Token, ...]


# --- lending: see core.lending


class Standing(msgspec.Struct, frozen=True):
    """What the sender's workers with the same offer have to give, which it calls `number`; as in `core.needs.Offered`.

    `offer` None: as it was told last under this number.
    """

    number: int
    offer: Offer | None
    workers: int
    slots: int
    used: int
    room: int


class Offers(msgspec.Struct, frozen=True):
    """All that the sender's workers have, what it was lent up to the `Lend` numbered `after` included."""

    after: int
    standings: tuple[Standing, ...]


class Loan(msgspec.Struct, frozen=True):
    """An attempt to be run at the receiver, ready `since` then. If it cannot be begun now, it `waits` there, or is
    declined."""

    dispatch: Dispatch
    since: float
    waits: bool


class Lend(msgspec.Struct, frozen=True):
    """Numbered from 1 by a life of the sender. What is not reported in the end is declined, or unknown."""

    number: int
    loans: tuple[Loan, ...]


class Decline(msgspec.Struct, frozen=True):
    """The sender has not begun these of the receiver's attempts, and does not have them any more."""

    tokens: tuple[Token, ...]


class Recall(msgspec.Struct, frozen=True):
    """The sender would have these again, as far as they have not begun."""

    tokens: tuple[Token, ...]


Lending: TypeAlias = Offers | Lend | Decline | Recall
Envelope: TypeAlias = Wake | Report | Keeping | Noted | Adopt | Unknown | Stop | Taken | Lending


class Receiver(Protocol):
    """Called on the engine's loop. May send, and must not wait."""

    def on_envelope(self, from_node: str, envelope: Envelope) -> None: ...

    def on_broken(self, node: str) -> None:
        """Some of what was sent to this node may never be handed over.

        Its life has ended or it has left the view, or the two have lost sight of each other for so long that it
        forgot what it had. Ask whoever owns its shards now to scan. May be called more often than needed.
        """
        ...

    def on_reach(self, node: str, reached: bool) -> None:
        """There is a stream to this node, which knows what is said of lending; or there is none any longer."""
        ...


class Transport(Protocol):
    """Used on the engine's loop."""

    def listen(self, receiver: Receiver) -> None:
        """Say who gets what comes in; to be called before `members`."""
        ...

    def members(self, view: View) -> None:
        """Who is there, from now on."""
        ...

    def send(self, node: str, envelope: Envelope) -> bool:
        """Send it as soon as may be; never waits. False if it was refused: there is no such member, its queue is full,
        or the envelope is too large."""
        ...
