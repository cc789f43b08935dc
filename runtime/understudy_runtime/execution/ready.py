"""Ready attempts: what waits for a worker, since when, and until when.

    added ──► in line ──► taken by whoever matching gave it to
      │         │ └────► expired: its queue timeout has passed
      │         └──────► adopted by a worker that has it already
      └─► kept back, for a worker that may have it already, at most until the node has been up for RECONNECT_S

When a node starts, runs give out again what was out when the last one ended. A remote worker may still be at it, or
have done it, and comes back within seconds to say so; then it goes on, and nothing is done twice. So what this node
could not run itself is kept back for so long. What it could run may well have been its own, and is not kept back, but
is adopted all the same if nobody has taken it when the worker comes.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final, NamedTuple

from understudy_runtime.core.matching import Matching
from understudy_runtime.core.messages import Dispatch, Identity, Token, identity_of
from understudy_runtime.core.needs import Offer, Reach, need_of

RECONNECT_S: Final = 6.0
"""How long workers of the node that was here before may take to come back: one pause of theirs, and a bit."""

MAX_PAST: Final = 64
"""So many more deadlines may be kept than attempts that wait, before those of others are cleared away."""


class Waits(NamedTuple):
    dispatch: Dispatch
    since: float
    reach: Reach = "far"


class Ready:
    """`matching` decides who gets what; this knows what it is about."""

    def __init__(self, matching: Matching[Token]) -> None:
        self._matching = matching
        self._waits: dict[Token, Waits] = {}
        self._again: dict[Identity, Token] = {}
        """Of those given out before, perhaps to somebody who is at it still."""
        self._kept: dict[Token, Waits] = {}
        """Of `_waits`, those that matching does not know yet."""
        self._deadlines: list[tuple[float, int, Token]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._waits)

    def add(self, dispatch: Dispatch, since: float, *, keep: bool = False, reach: Reach = "far") -> None:
        token = dispatch.token
        waits = self._waits[token] = Waits(dispatch, since, reach)
        if token.dispatch > 1:
            self._again[identity_of(token)] = token
        if dispatch.options.queue_timeout_s is not None:
            self._note_deadline(since + dispatch.options.queue_timeout_s, token)
        if keep:
            self._kept[token] = waits
        else:
            self._line_up(waits)

    def __contains__(self, token: Token) -> bool:
        return token in self._waits

    def get(self, token: Token) -> Waits:
        return self._waits[token]

    def __iter__(self) -> Iterator[Token]:
        return iter(self._waits)

    def release(self) -> None:
        """Let those that were kept back stand in line."""
        kept, self._kept = self._kept, {}
        for waits in kept.values():
            self._line_up(waits)

    def take(self, token: Token) -> Waits:
        """Somebody has been given it."""
        waits = self._waits.pop(token)
        if self._again.get(identity_of(token)) == token:
            del self._again[identity_of(token)]
        return waits

    def remove(self, token: Token) -> Waits | None:
        """Nobody is to be given it. None if it does not wait."""
        if token not in self._waits:
            return None
        if self._kept.pop(token, None) is None:
            self._matching.remove(token)
        return self.take(token)

    def adopt(self, token: Token, offer: Offer) -> Waits | None:
        """The attempt that a worker with this offer has under this token, if it waits here under a newer one."""
        newer = self._again.get(identity_of(token))
        if newer is None or newer.dispatch <= token.dispatch:
            return None
        return self.remove(newer) if offer.fits(need_of(self._waits[newer].dispatch)) else None

    # --- queue timeouts

    @property
    def next_deadline(self) -> float | None:
        """When `expired` will have something, at the earliest."""
        return self._deadlines[0][0] if self._deadlines else None

    def expired(self, now: float) -> list[Waits]:
        """Those that have waited for longer than they may; they wait no more."""
        found: list[Waits] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            waits = self.remove(heapq.heappop(self._deadlines)[2])
            if waits is not None:
                found.append(waits)
        return found

    # ---

    def _note_deadline(self, at: float, token: Token) -> None:
        self._count += 1
        heapq.heappush(self._deadlines, (at, self._count, token))
        if len(self._deadlines) > 2 * len(self._waits) + MAX_PAST:
            self._deadlines = [entry for entry in self._deadlines if entry[2] in self._waits]
            heapq.heapify(self._deadlines)

    def _line_up(self, waits: Waits) -> None:
        dispatch, since, reach = waits
        self._matching.add(dispatch.token, need_of(dispatch, reach), dispatch.options.priority, since)
