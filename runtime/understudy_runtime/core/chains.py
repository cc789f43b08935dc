"""Chains of asks: who waits for whom, so that a circle is found when it closes and not by waiting for ever.

An actor takes one message at a time. If a handler of A asks B, whose handler asks A, then A's second message waits for
the first to end, which waits for B, which waits for A: for ever. So an ask carries along who waits for its sender, and
who waits for them in turn, as the calls that are awaited:

    A's handler 7, call 1  ──►  B's handler 3, call 2  ──►  A      chain: (A, 7, 1); sender: (B, 3, 2)

A receiver that finds its own handler in flight in there, and that call still awaited, answers with the failure
`AskCycle` at once. A handler that has given the call up meanwhile, or has ended, is in nobody's way.

Child runs and the handlers of runs pass the chain on. A run is never where a circle closes by itself, because it takes
messages side by side; so a chain begins with its first actor, and runs alone have none. Two handlers that ask each
other at the same time are no chain, but each can see it: the other one asks while it is asked, and what one actor sends
another stays in order, so that the answer cannot be on its way. Larger rings of independent callers are not found; a
timeout around the ask ends those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from understudy_runtime.core.calls import AskCall, Caller, OpenCall
from understudy_runtime.core.deliveries import Open
from understudy_runtime.core.keys import ACTOR_PREFIX, RUN, kind_of, name_of
from understudy_runtime.core.kinds import Failure, Sender

MAX_CHAIN: Final = 100
"""Calls that may wait for one another; each carries all those before it along."""
MAX_NAMED: Final = 10
"""Actors named at either end of a chain."""


def waiting_for(waiting: Open | None) -> tuple[Sender, ...]:
    """The calls that wait for the handler of this delivery."""
    if waiting is None or not waiting.ask:
        return ()
    return joined(waiting.chain, waiting.sender)


def joined(chain: tuple[Sender, ...], last: Sender | None) -> tuple[Sender, ...]:
    """The chain with the call that waits at its end. Where it gets long, runs are left out: they are only named."""
    if last is None or (not chain and kind_of(last.key) == RUN):
        return ()
    whole = (*chain, last)
    return whole if len(whole) < MAX_CHAIN else tuple(link for link in whole if kind_of(link.key) != RUN)


def refusal(
    caller: Caller, open_calls: dict[int, OpenCall], before: tuple[Sender, ...], sender: Sender
) -> Failure | None:
    """Why this ask of an actor can never be answered; None: it can. `caller` is its handler in flight, if any, which
    awaits `open_calls`."""
    chain = (*before, sender)
    for at, waiting in enumerate(chain):
        if (waiting.key, waiting.execution) == (caller.key, caller.execution) and waiting.call in open_calls:
            return _cycle([link.key for link in chain[at:]] + [caller.key])
    asker = sender.key
    if kind_of(asker).startswith(ACTOR_PREFIX) and any(
        type(call) is AskCall and call.to == asker for call in open_calls.values()
    ):
        return _cycle([caller.key, asker, caller.key])
    return _too_long(chain, caller.key) if len(chain) > MAX_CHAIN else None


def _cycle(keys: Sequence[str]) -> Failure:
    why = "each waits for the next, and an actor takes one message at a time; tell instead of asking somewhere"
    return Failure("AskCycle", f"{_named(keys)}: {why}", final=True)


def _too_long(chain: Sequence[Sender], key: str) -> Failure:
    named = _named([*(link.key for link in chain), key])
    return Failure("AskTooDeep", f"more than {MAX_CHAIN} calls wait for one another: {named}", final=True)


def _named(keys: Sequence[str]) -> str:
    names = [f"run {name_of(key)}" if kind_of(key) == RUN else name_of(key).removeprefix(ACTOR_PREFIX) for key in keys]
    if len(names) > 2 * MAX_NAMED:
        names[MAX_NAMED:-MAX_NAMED] = ["..."]
    return " → ".join(names)
