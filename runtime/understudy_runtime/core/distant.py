"""Workers of other nodes, as matching sees them: all that a node has with one offer are one."""

from __future__ import annotations

from typing import Final

from understudy_runtime.core.needs import Need, Offer, Offered

SPREAD: Final = 0.05
"""So much lower must the share in use be at another node for a task to go there although there is room here."""
WINDOW: Final = 16
"""Slots of tasks that may wait for workers with one offer at another node, which nobody here could take."""


class Distant:
    """Workers of another node that have the same offer. `out` are slots of what they were given from here, whether or
    not it waits there."""

    __slots__ = ("name", "offer", "open", "out", "room", "slots", "touched", "used", "workers")

    def __init__(self, name: str, offer: Offer) -> None:
        self.name = name
        self.offer = offer
        self.open = True
        self.workers = self.slots = self.used = self.room = self.out = self.touched = 0

    def share(self, need: Need, *, stranded: bool) -> float | None:
        """How much of it is in use, to be compared; 1 or above if the task would have to wait. None: it gets nothing.

        `stranded`: nobody here could ever take such a task.
        """
        if not self.open:
            return None
        if need.slots <= self.room and self.used + need.slots <= self.slots:
            return self.used / self.slots
        if stranded and self.out < WINDOW and self.slots:
            return 1.0 + self.out / self.slots
        return None

    def take(self, slots: int) -> None:
        self.used += slots
        self.out += slots
        self.room = min(self.room, self.slots - self.used)

    def freed(self, slots: int) -> None:
        self.out = max(0, self.out - slots)
        self.used = max(0, self.used - slots)
        self.room = min(max(self.room, slots), self.slots - self.used)

    def tell(self, offered: Offered, on_the_way: int) -> None:
        """`on_the_way`: slots of what it has been given that are not in these figures yet."""
        self.open = True
        self.workers, self.slots = offered.workers, offered.slots
        self.used = offered.used + on_the_way
        self.room = min(offered.room, self.slots - self.used)
