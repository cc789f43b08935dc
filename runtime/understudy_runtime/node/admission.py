"""Who is let in when more comes than the node can carry: the rule at the door, for work that is new.

What a node has taken in it carries through, so the only place to refuse work is where it comes in. Everything that
happens needs turns and short steps of tasks, and each of these waits for those that were there before it. New work is
refused while what waits would take longer than `TARGET_S`, by the rate at which the node has lately taken turns: so
every step of what was accepted is done in about that time, at any load. What comes all at once is no overload yet, so a
node that had little to do just now takes it, up to a bound. Whoever is refused is told when to try again.

What waits for a slot of a worker, for a timer or for an answer is not counted: a long queue of long tasks is no
overload. Looking, waiting and stopping are never refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from understudy.errors import Overloaded

TARGET_S: Final = 0.03
LEAST_WAITING: Final = 200
"""Steps that may wait at any rate."""
MOST_AT_ONCE: Final = 2_000
"""Steps that may wait for a moment."""
LOOK_S: Final = 0.1
"""What waits goes round between the node's threads, out of sight at times: the most of the last such time counts."""
STRAINED: Final = 2
"""Looks with too much waiting, one after the other, that make an overload of it: less is a burst."""
MOST_STRAINED: Final = 10
"""So many looks less `STRAINED` without, and it takes a whole overload again."""
DELAY_S: Final = 0.2
"""After which to try again, times what waits to what may."""
LONGEST_DELAY_S: Final = 10.0


class Admission:
    """Called on the engine's loop for each piece of new work; raises Overloaded, or lets it in.

    `turns` counts the turns taken, `waiting` the steps that are still to be done; `now` is in seconds.
    """

    def __init__(self, now: Callable[[], float], turns: Callable[[], int], waiting: Callable[[], int]) -> None:
        self._now = now
        self._turns = turns
        self._waiting = waiting
        self._looked_at = now()
        self._turns_then = turns()
        self._most = self._most_before = self._strain = 0
        self.bound = LEAST_WAITING
        """How many steps may wait."""

    def __call__(self) -> None:
        elapsed_s = self._now() - self._looked_at
        if elapsed_s >= LOOK_S:
            self._look(elapsed_s)
        waiting = self._waiting()
        self._most = max(self._most, waiting)
        if (self._strain >= STRAINED and self._most_before >= self.bound) or waiting >= MOST_AT_ONCE:
            most = max(self._most, self._most_before)
            delay_s = min(DELAY_S * most / self.bound, LONGEST_DELAY_S)
            raise Overloaded(f"this node is busy: {most} steps wait, and {self.bound} may; try again later", delay_s)

    def _look(self, elapsed_s: float) -> None:
        turns = self._turns()
        self.bound = max(LEAST_WAITING, int((turns - self._turns_then) / elapsed_s * TARGET_S))
        looks = int(elapsed_s / LOOK_S)
        self._most_before, self._most = self._most if looks < 2 else 0, 0
        change = 1 if self._most_before >= self.bound else -looks
        self._strain = min(max(self._strain + change, 0), MOST_STRAINED)
        self._looked_at += elapsed_s
        self._turns_then = turns
