"""Caution: what to make of nodes that die soon after they have begun with a shard.

Some actor may kill whatever process takes its turn, or runs its tasks: each node that takes the shard over would be the
next to die. A node that dies by itself, or is killed, looks the same from outside; so nobody is suspected until it has
happened `MANY` times in a row, each time within `SHORT_S` of the beginning. From then on the shard is run with care:
one thing at a time, and before each it is written down what is begun. If the same thing is found written down by many
nodes in a row, `TURNS` for a turn and `ATTEMPTS` for an attempt, its actor is poisoned, and is held until a person
releases it. The rest goes on. Attempts last, so that whatever kills nodes at random meets the same one more often.
A shard that is run for longer than `SHORT_S` is out of suspicion.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

MANY: Final = 3
SHORT_S: Final = 60.0
TURNS: Final = 3
ATTEMPTS: Final = 6


class Suspect(msgspec.Struct, frozen=True):
    """What is begun with: `which` turn or attempt of an actor, in a way that is the same when it is begun again."""

    actor: str
    kind: Literal["turn", "attempt"]
    which: str


class Caution(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is written down of one shard, for the node that has it next; nothing if it was given up in good order.

    `began_at`: when the term began, in seconds since 1970. `deaths`: of so many terms before it, in a row. `suspect`:
    what it is if the node dies now. `named`: what it was the last `times`, in a row.
    """

    began_at: float
    deaths: int = 0
    suspect: Suspect | None = None
    named: Suspect | None = None
    times: int = 0

    @property
    def careful(self) -> bool:
        """Whether the shard is to be run with care."""
        return self.deaths >= MANY


def begin(before: Caution | None, now: float) -> tuple[Caution, str]:
    """What to write down as a term begins, given what the last one left; and the actor that is poisoned, or ""."""
    if before is None or not 0 <= now - before.began_at < SHORT_S:
        return Caution(now), ""
    named = before.suspect
    times = 0 if named is None else before.times + 1 if named == before.named else 1
    if named is not None and times >= (TURNS if named.kind == "turn" else ATTEMPTS):
        # Once held it harms nobody; if it is released, it may be named again.
        return Caution(now, before.deaths + 1), named.actor
    return Caution(now, before.deaths + 1, named=named, times=times), ""


def suspecting(caution: Caution, suspect: Suspect | None) -> Caution:
    """Whatever happens next is this one's doing; nobody's, if it is None."""
    return msgspec.structs.replace(caution, suspect=suspect)


encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Caution).decode


def decode(note: bytes) -> Caution | None:
    """None if nothing is written down, or nothing that this release can read."""
    try:
        return _decode(note) if note else None
    except msgspec.MsgspecError:
        return None
