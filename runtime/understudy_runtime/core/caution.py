"""Caution: what to make of nodes that die soon after they have begun with a shard.

Some actor may kill whatever process takes its turn, or runs its tasks: each node that takes the shard over would be the
next to die. A node that dies by itself, or is killed, looks the same from outside; so nobody is suspected until it has
happened `MANY` times in a row, each time within `SHORT_S` of the beginning. From then on the shard is run with care:
one thing at a time, and before each it is written down whose doing it will be. Who is found written down when the next
node takes over has been named; who was named `TWICE` is poisoned, and is held until a person releases it. The rest goes
on. A shard that is run for longer than `SHORT_S` is out of suspicion, and all names are forgotten.
"""

from __future__ import annotations

from typing import Final

import msgspec

MANY: Final = 3
SHORT_S: Final = 60.0
TWICE: Final = 2
MAX_NAMED: Final = 1_000
"""Actors named once that are remembered of a shard."""


class Caution(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is written down of one shard, for the node that has it next; nothing if it was given up in good order.

    `began_at`: when the term began, in seconds since 1970. `deaths`: of so many terms before it, in a row. `suspect`:
    the actor whose doing it is if the node dies now. `named`: how often each actor was.
    """

    began_at: float
    deaths: int = 0
    suspect: str = ""
    named: dict[str, int] = {}

    @property
    def careful(self) -> bool:
        """Whether the shard is to be run with care."""
        return self.deaths >= MANY


def begin(before: Caution | None, now: float) -> tuple[Caution, frozenset[str]]:
    """What to write down as a term begins, given what the last one left; and the actors that are poisoned."""
    if before is None or not 0 <= now - before.began_at < SHORT_S:
        return Caution(now), frozenset()
    named = dict(before.named)
    if before.suspect and (before.suspect in named or len(named) < MAX_NAMED):
        named[before.suspect] = named.get(before.suspect, 0) + 1
    poisoned = frozenset(key for key, times in named.items() if times >= TWICE)
    # Once held they harm nobody; who is released may be named again.
    left = {key: times for key, times in named.items() if key not in poisoned}
    return Caution(now, before.deaths + 1, named=left), poisoned


def suspecting(caution: Caution, actor: str) -> Caution:
    """Whatever happens next is this actor's doing; of nobody's, if it is empty."""
    return msgspec.structs.replace(caution, suspect=actor)


encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Caution).decode


def decode(note: bytes) -> Caution | None:
    """None if nothing is written down, or nothing that this release can read."""
    try:
        return _decode(note) if note else None
    except msgspec.MsgspecError:
        return None
