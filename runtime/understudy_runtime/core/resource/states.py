"""The states of a resource, and every way from one to another: the one table that decisions and documents go by."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

State = Literal["absent", "creating", "uncertain", "ready", "draining", "destroying", "failed"]


class Transition(NamedTuple):
    """`why` says for people when it happens."""

    before: State
    after: State
    why: str


TRANSITIONS: Final = (
    Transition("absent", "creating", "a lease is wanted"),
    Transition("absent", "ready", "a lease is wanted of what is there already (static)"),
    Transition("creating", "ready", "created, and healthy if that can be checked"),
    Transition("creating", "failed", "given up, unfit, or out of time"),
    Transition("creating", "draining", "created, but meanwhile told to go"),
    Transition("creating", "uncertain", "nobody can tell whether it was created"),
    Transition("uncertain", "creating", "settled by a person, or `find` tells"),
    Transition("uncertain", "absent", "it was not created, and nobody waits"),
    Transition("ready", "draining", "idle, too old, or told to"),
    Transition("ready", "failed", "unhealthy, or gone"),
    Transition("draining", "ready", "resumed"),
    Transition("draining", "destroying", "no lease, no operation"),
    Transition("draining", "absent", "gone by itself"),
    Transition("destroying", "absent", "destroyed"),
    Transition("failed", "destroying", "no lease, no operation"),
    Transition("failed", "creating", "a lease is wanted, and nothing is left of it"),
    Transition("failed", "absent", "resumed, or nothing is left of it"),
    Transition("failed", "ready", "healthy again"),
)
_WAYS: Final = frozenset((each.before, each.after) for each in TRANSITIONS)

GRANTING: Final[frozenset[State]] = frozenset({"ready"})
"""Where leases are granted."""
HOLDING: Final[frozenset[State]] = frozenset({"ready", "draining", "failed"})
"""Where leases may be held."""


def allowed(before: State, after: State) -> bool:
    return (before, after) in _WAYS


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = [f"    {each.before} --> {each.after}: {each.why}" for each in TRANSITIONS]
    return "\n".join(["stateDiagram-v2", "    [*] --> absent", *lines])
