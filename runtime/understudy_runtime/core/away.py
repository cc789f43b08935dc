"""Attempts away from home: they run at one node, their *keeper*, and their actor at another, their *owner*.

A shard that moves as planned leaves them behind: they go on where they are. The node that gives the shard up tells the
next one which there are, before that opens it; so the actor waits for them as if they ran at home, under the token that
they have. What one side says to the other is in `core.transport`. What is lent (`core.lending`) is away from its
beginning, and its keeper knows for whom it is.

    keeper   running ──► ended: kept, and told to whoever adopts it ──► lapsed: forgotten
                └── stopped, or lapsed: nobody has adopted it for so long ──► cancelled

    owner    noted ──shard opened──► awaited, and adopted again and again ──► reported
               │                        ├── unknown to its keeper ──► `returned`: dispatched again
               │                        ├── its keeper is gone or silent ──► `lost`: dispatched again
               │                        └── dispatched anew for another reason ──► its keeper is told to stop
               └── not opened for so long ──► forgotten

**Who is authoritative.** The run: a report counts if it is for the dispatch that the run knows, whoever sends it. All
of this is soft. The keeper is right about what it has, the owner about what is still wanted. Adopting is both a claim
and a sign of life, and is answered by what the keeper does not know. So whatever is lost between the two, each finds
out within `LAPSE_S` or so: the worst that comes of it is that work is repeated.

Nothing here takes time or sends anything: the caller says what time it is, and carries out what it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final, NamedTuple

import msgspec

from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.membership import Owner, View
from understudy_runtime.core.messages import AttemptEnded, Identity, Token, identity_of

ADOPT_S: Final = 10.0
"""How often an owner says that it waits."""
LAPSE_S: Final = 30.0
"""What nobody has adopted for so long is nobody's, and a keeper that has not answered for so long has lost its own."""
BEREFT_S: Final = 5.0
"""So long does its keeper wait for another owner when the one is gone for whom it was begun."""
MAX_KEPT_BYTES: Final = 64 * 2**20
"""Of results that are kept until somebody adopts them. Beyond, the oldest are forgotten and their attempts repeated."""

MAX_TELLS: Final = 5
"""An end that somebody asks for more often than this cannot be understood there, and the attempt is repeated."""

Wanted = Callable[[str], bool]
"""Which actors it is about, by key."""


class _Tokens:
    """Which there are, by the actor's key and by the attempt's identity. There is one at most of each attempt."""

    def __init__(self) -> None:
        self._tokens: dict[str, dict[Identity, Token]] = {}

    def add(self, token: Token) -> None:
        self._tokens.setdefault(token.key, {})[identity_of(token)] = token

    def discard(self, token: Token) -> None:
        of_key = self._tokens.get(token.key, {})
        if of_key.get(identity_of(token)) == token:
            del of_key[identity_of(token)]
            if not of_key:
                del self._tokens[token.key]

    def of(self, key: str) -> Collection[Token]:
        return self._tokens.get(key, {}).values()

    def like(self, token: Token) -> Token | None:
        """The one of the same attempt."""
        return self._tokens.get(token.key, {}).get(identity_of(token))


class _Kept(msgspec.Struct):
    """`life`: the owner's, if it is for this life alone. `told`: how often its owner has asked and was told how it
    ended."""

    lapses_at: float
    owner: str = ""
    end: AttemptEnded | None = None
    told: int = 0
    life: str = ""


class Kept:
    """The keeper's side."""

    def __init__(self) -> None:
        self._kept: dict[Token, _Kept] = {}
        self._tokens = _Tokens()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, token: Token) -> bool:
        return token in self._kept

    def keep(self, tokens: Iterable[Token], now: float) -> None:
        """These run here, and their actors are leaving."""
        for token in tokens:
            self._put(token, self._kept.get(token) or _Kept(now + LAPSE_S))

    def borrow(self, owner: Owner, tokens: Iterable[Token], now: float) -> None:
        """These come from `owner`, and are to run here."""
        for token in tokens:
            self._put(token, _Kept(now + LAPSE_S, owner.node, life=owner.incarnation))

    def is_borrowed(self, token: Token) -> bool:
        """Whether its owner has lent it, and lives."""
        kept = self._kept.get(token)
        return kept is not None and kept.life != ""

    def bereft(self, view: View, now: float) -> None:
        """What was borrowed in a life that is over lapses soon, unless its actors' next owner adopts it."""
        lives = {name: member.incarnation for name, member in view.members.items()}
        for kept in self._kept.values():
            if kept.life and lives.get(kept.owner) != kept.life:
                kept.lapses_at = min(kept.lapses_at, now + BEREFT_S)

    def superseded_by(self, token: Token) -> Token | None:
        """What runs here of the same attempt and is not wanted any more; it is forgotten."""
        older = self._tokens.like(token)
        if older is None or older.dispatch >= token.dispatch:
            return None
        return next(iter(self._forget_all([older])), None)

    def settle(self, token: Token) -> None:
        """Somebody has had its end."""
        kept = self._kept.get(token)
        if kept is not None and kept.end is not None:
            self.forget(token)

    def ended(self, report: AttemptEnded, now: float) -> str:
        """It has ended. Returns the owner to be told; empty: nobody has adopted it, and it is kept until then."""
        kept = self._kept.get(report.token) or _Kept(now + LAPSE_S)
        self.forget(report.token)  # so that it is the youngest
        kept.end = report
        self._bytes += _size(report)
        self._put(report.token, kept)
        while self._bytes > MAX_KEPT_BYTES:
            self.forget(next(token for token, each in self._kept.items() if each.end is not None))
        return kept.owner

    def owner_of(self, token: Token) -> str:
        """Who has adopted it; empty if nobody has."""
        kept = self._kept.get(token)
        return "" if kept is None else kept.owner

    def adopt(self, owner: str, tokens: Iterable[Token], now: float) -> tuple[list[AttemptEnded], list[Token]]:
        """Keep these for `owner`. Returns how those have come out that have ended, and those that are not here."""
        ends: list[AttemptEnded] = []
        unknown: list[Token] = []
        for token in tokens:
            kept = self._kept.get(token)
            if kept is None or kept.told >= MAX_TELLS:
                unknown.append(token)
                self.forget(token)
                continue
            if kept.owner != owner:
                kept.owner, kept.life = owner, ""
            kept.lapses_at = now + LAPSE_S
            if kept.end is not None:
                ends.append(kept.end)
                kept.told += 1
        return ends, unknown

    def running(self, tokens: Iterable[Token]) -> list[Token]:
        """Those of these that have not ended."""
        return [token for token in tokens if (kept := self._kept.get(token)) is not None and kept.end is None]

    def of(self, key: str) -> Collection[Token]:
        return self._tokens.of(key)

    def among(self, wanted: Wanted) -> list[Token]:
        return [token for token in self._kept if wanted(token.key)]

    @property
    def untold(self) -> bool:
        """Whether anything has ended that nobody has adopted."""
        return any(kept.end is not None and not kept.owner for kept in self._kept.values())

    def reclaim(self, wanted: Wanted) -> tuple[list[Token], list[AttemptEnded]]:
        """Their actors are here again: what runs, and what has ended meanwhile."""
        tokens = self.among(wanted)
        running = self.running(tokens)
        ends = [end for token in tokens if (end := self._kept[token].end) is not None]
        for token in tokens:
            self.forget(token)
        return running, ends

    def lapsed(self, now: float) -> list[Token]:
        """Forget what nobody wants any more. Returns what of it runs, and is to be cancelled."""
        return self._forget_all([token for token, kept in self._kept.items() if kept.lapses_at <= now])

    def give_back(self) -> dict[str, list[Token]]:
        """Forget what runs still. Returns it by its owner (empty: nobody), for them to begin it anew."""
        back: dict[str, list[Token]] = {}
        for token in self.running(self._kept):
            back.setdefault(self._kept[token].owner, []).append(token)
        for tokens in back.values():
            for token in tokens:
                self.forget(token)
        return back

    def forget(self, token: Token) -> None:
        kept = self._kept.pop(token, None)
        if kept is not None:
            self._tokens.discard(token)
            self._bytes -= 0 if kept.end is None else _size(kept.end)

    def _forget_all(self, tokens: Collection[Token]) -> list[Token]:
        """Returns what of it runs."""
        running = self.running(tokens)
        for token in tokens:
            self.forget(token)
        return running

    def _put(self, token: Token, kept: _Kept) -> None:
        self._kept[token] = kept
        self._tokens.add(token)


class _Away(msgspec.Struct):
    """`heard_at`: when its keeper was known to live, once its shard is open; before that, when it was noted."""

    keeper: Owner
    heard_at: float
    awaited: bool = False


class Due(NamedTuple):
    """What the time asks for: `adopt` these, by the keeper's node; and these are `lost`."""

    adopt: dict[str, list[Token]]
    lost: list[tuple[Token, Failure]]


class Away:
    """The owner's side, at node `me`."""

    def __init__(self, me: Owner) -> None:
        self._me = me
        self._away: dict[Token, _Away] = {}
        self._tokens = _Tokens()

    def __len__(self) -> int:
        return len(self._away)

    def __contains__(self, token: Token) -> bool:
        return token in self._away

    def note(self, keeper: Owner, tokens: Iterable[Token], now: float) -> None:
        """These go on at `keeper`, and their actors are coming here."""
        for token in tokens:
            if (other := self._tokens.like(token)) is not None:
                self.forget(other)
            self._away[token] = _Away(keeper, now)
            self._tokens.add(token)

    def lend(self, keeper: Owner, tokens: Iterable[Token], now: float) -> None:
        """These are given to `keeper`, and their actors are here."""
        for token in tokens:
            self._away[token] = _Away(keeper, now, awaited=True)
            self._tokens.add(token)

    def at(self, keeper: str) -> list[Token]:
        """What is awaited from there."""
        return [token for token, away in self._away.items() if away.awaited and away.keeper.node == keeper]

    def opened(self, wanted: Wanted, now: float) -> dict[str, list[Token]]:
        """Their actors are here. Returns what is to be adopted, by the keeper's node."""
        adopt: dict[str, list[Token]] = {}
        for token, away in self._away.items():
            if wanted(token.key) and not away.awaited:
                away.awaited, away.heard_at = True, now
                if away.keeper != self._me:
                    adopt.setdefault(away.keeper.node, []).append(token)
        return adopt

    def of(self, key: str) -> Collection[Token]:
        return self._tokens.of(key)

    def keeper_of(self, token: Token) -> str:
        """The node where it runs; empty if that is here, or nobody knows."""
        away = self._away.get(token)
        return "" if away is None or away.keeper == self._me else away.keeper.node

    def superseded_by(self, token: Token) -> Token | None:
        """What goes on and is not wanted any more, because this one is to begin."""
        other = self._tokens.like(token)
        return None if other is None or other.dispatch >= token.dispatch else other

    def forget(self, token: Token) -> bool:
        """Nothing more is to be said of it. False if it was not here."""
        if self._away.pop(token, None) is None:
            return False
        self._tokens.discard(token)
        return True

    def leave(self, wanted: Wanted) -> list[tuple[Owner, list[Token]]]:
        """Their actors are leaving: forget them. Returns what is elsewhere, for the next owner to know."""
        found: dict[Owner, list[Token]] = {}
        for token in [token for token in self._away if wanted(token.key)]:
            keeper = self._away[token].keeper
            if keeper != self._me:
                found.setdefault(keeper, []).append(token)
            self.forget(token)
        return list(found.items())

    def answered(self, keeper: str, unknown: Collection[Token], now: float) -> list[tuple[Token, Failure]]:
        """The keeper lives, and does not have these. Returns those that it was thought to have."""
        for away in self._away.values():
            if away.awaited and away.keeper.node == keeper:
                away.heard_at = now
        failure = Failure("HandedBack", f"node {keeper} does not have it any more", kind="returned")
        return [(token, failure) for token in unknown if self.keeper_of(token) == keeper and self.forget(token)]

    def members(self, view: View) -> list[tuple[Token, Failure]]:
        """Those awaited whose keepers are gone."""
        gone: list[tuple[Token, Failure]] = []
        for token, away in list(self._away.items()):
            member = view.members.get(away.keeper.node)
            if away.keeper == self._me or (member is not None and member.incarnation == away.keeper.incarnation):
                continue
            if away.awaited:
                gone.append((token, _lost(away.keeper, "is gone")))
            self.forget(token)
        return gone

    def due(self, now: float) -> Due:
        """Say so that you wait, now and then; and wait no longer for whoever does not answer."""
        due = Due({}, [])
        for token, away in list(self._away.items()):
            if away.keeper == self._me:
                continue
            if now - away.heard_at >= LAPSE_S:
                if away.awaited:
                    due.lost.append((token, _lost(away.keeper, f"has not answered for {LAPSE_S:g} s")))
                self.forget(token)
            elif away.awaited:
                due.adopt.setdefault(away.keeper.node, []).append(token)
        return due


def _lost(keeper: Owner, why: str) -> Failure:
    return Failure("NodeLost", f"node {keeper.node}, where it ran, {why}", kind="lost")


def _size(report: AttemptEnded) -> int:
    return len(bytes(report.result))
