"""Who is let in when more comes than the node can carry: the rule at the door, for work that is new.

What a node has taken in it carries through, so the only place to refuse work is where it comes in. All that a node does
goes through its turns, and so does the time that anything takes: a turn that is to be taken now waits for those that
wait already. New work is refused while these would take longer than `TARGET_S`, by the rate at which the node has
lately got them done; so every step of what was accepted is done in about that time, at any load, and whoever is
refused is told how long the node will need to catch up. Looking, waiting and stopping are never refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from understudy.errors import Overloaded

TARGET_S: Final = 0.1
LEAST_WAITING: Final = 200
"""Turns that may wait at any rate: what comes at once, to a node that has nothing to do, is no overload."""
FIRST_RATE: Final = 5_000.0
"""Turns a second that a node is taken for until it has been busy."""
LOOK_S: Final = 0.1
FADING: Final = 0.2
"""The share of the latest look in the rate."""
LEAST_DELAY_S: Final = 0.1
LONGEST_DELAY_S: Final = 10.0


class Admission:
    """Called on the engine's loop for each piece of new work; raises Overloaded, or has it come in.

    `turns` counts the turns taken, `waiting` those that are still to be taken or made durable; `now` is in seconds.
    """

    def __init__(self, now: Callable[[], float], turns: Callable[[], int], waiting: Callable[[], int]) -> None:
        self._now = now
        self._turns = turns
        self._waiting = waiting
        self._rate = FIRST_RATE
        self._looked_at = now()
        self._seen = turns()
        self._was_busy = False

    def __call__(self) -> None:
        waiting = self._waiting()
        if waiting < LEAST_WAITING:
            self._was_busy = False
            return
        self._look()
        if waiting >= self._rate * TARGET_S:
            delay_s = min(max(waiting / self._rate, LEAST_DELAY_S), LONGEST_DELAY_S)
            raise Overloaded(f"{waiting} turns wait on this node, more than it can take soon; try again later", delay_s)

    def _look(self) -> None:
        """Measure the rate, between two looks in one stretch of being busy."""
        now, turns = self._now(), self._turns()
        if not self._was_busy:
            self._was_busy, self._looked_at, self._seen = True, now, turns
        elif (elapsed_s := now - self._looked_at) >= LOOK_S:
            self._rate += FADING * ((turns - self._seen) / elapsed_s - self._rate)
            self._looked_at, self._seen = now, turns
