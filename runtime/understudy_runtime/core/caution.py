"""Caution: what to make of nodes that die soon after they have begun with a shard.

Some actor may kill whatever process takes its turn, or runs its tasks: each node that takes the shard over would be the
next to die. A node that dies by itself, or is killed, looks the same from outside; so nobody is suspected until it has
happened `MANY` times in a row, each time within `SHORT_S` of the beginning. From then on the shard is run with care:
one thing at a time, and before each it is written down whose doing it will be, and what it does. Who is found written
down when the next node takes over has been named; who was named `TURNS` times, or `ATTEMPTS` times if the last was for
an attempt, is poisoned, and is held until a person releases it. Attempts last, so that whatever kills nodes at random
meets the same one more often. The rest goes on. A shard that is run for longer than `SHORT_S` is out of suspicion, and
all names are forgotten.

A busy actor is written down most of the time, and is named whenever its node is killed at random. What tells it from
one that kills its nodes is what the next node sees: a killer does it again, and the other one survives.

    it does what it was named for, and nothing happens        its name is forgotten
    it does something else, and nothing happens               its name counts only if it dies of the same once more
    it is only loaded                                         that says nothing: a killer survives it, too
"""

from __future__ import annotations

from typing import Final

import msgspec

MANY: Final = 3
SHORT_S: Final = 60.0
TURNS: Final = 3
ATTEMPTS: Final = 6
MAX_NAMED: Final = 1_000
"""Actors named that are remembered of a shard."""
LOADED: Final = "Recovered"
"""What every actor does first on a node."""
ATTEMPT: Final = "attempt"
"""How what is done begins if it is an attempt."""


class Name(msgspec.Struct, frozen=True, array_like=True):
    """An actor that was named so many `times` in a row, last for `doing` this. `survived`: it has done others since."""

    times: int
    doing: str
    survived: bool = False

    @property
    def poisoned(self) -> bool:
        return self.times >= (ATTEMPTS if self.doing.startswith(ATTEMPT) else TURNS)


class Caution(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is written down of one shard, for the node that has it next; nothing if it was given up in good order.

    `began_at`: when the term began, in seconds since 1970. `deaths`: of so many terms before it, in a row. `suspects`:
    the actors whose doing it is if the node dies now, and what each does. `named`: those who were.
    """

    began_at: float
    deaths: int = 0
    suspects: dict[str, str] = {}
    named: dict[str, Name] = {}

    @property
    def careful(self) -> bool:
        """Whether the shard is to be run with care."""
        return self.deaths >= MANY


def begin(before: Caution | None, now: float) -> tuple[Caution, frozenset[str]]:
    """What to write down as a term begins, given what the last one left; and the actors that are poisoned."""
    if before is None or not 0 <= now - before.began_at < SHORT_S:
        return Caution(now), frozenset()
    named = dict(before.named)
    for actor, doing in before.suspects.items():
        if actor in named or len(named) < MAX_NAMED:
            named[actor] = _once_more(named.get(actor), doing)
    poisoned = frozenset(key for key, name in named.items() if name.poisoned)
    # Once held they harm nobody; who is released may be named again.
    left = {key: name for key, name in named.items() if key not in poisoned}
    return Caution(now, before.deaths + 1, named=left), poisoned


def taken_again(before: Caution) -> Caution:
    """What to write down as a term begins at the node that wrote `before`: it lives, so nothing has killed it."""
    return msgspec.structs.replace(before, suspects={})


def _once_more(known: Name | None, doing: str) -> Name:
    if known is None or (known.survived and known.doing != doing):
        return Name(1, doing)
    return Name(known.times + 1, doing)


def suspecting(caution: Caution, suspects: dict[str, str]) -> Caution:
    """Whatever happens next is the doing of these actors, each of which does what is said of it; or of nobody."""
    return msgspec.structs.replace(caution, suspects=suspects)


def survived(caution: Caution, actor: str, doing: str) -> Caution:
    """The actor has done this, and the node lives."""
    known = caution.named.get(actor)
    if known is None or (doing == LOADED and known.doing != LOADED):
        return caution
    named = {key: name for key, name in caution.named.items() if key != actor}
    if known.doing != doing:
        named[actor] = msgspec.structs.replace(known, survived=True)
    return msgspec.structs.replace(caution, named=named)


encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Caution).decode


def decode(note: bytes) -> Caution | None:
    """None if nothing is written down, or nothing that this release can read."""
    try:
        return _decode(note) if note else None
    except msgspec.MsgspecError:
        return None
