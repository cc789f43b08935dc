"""The workers that wait at a node's table: who has how much room, and who is next."""

from __future__ import annotations

import heapq
from typing import Final

from understudy_runtime.core.needs import Offer

UNLIMITED: Final = 2**62
MAX_GONE: Final = 64
"""So many more tasks may have been taken back from a line than stand in it, before it is cleared of them."""


class Seat:
    """A worker at the table. `touched` orders workers by when they were last given or rid of something."""

    __slots__ = ("counted", "credit", "group", "name", "open", "touched", "used")

    def __init__(self, name: str, group: Group, used: int, credit: int, touched: int) -> None:
        self.name = name
        self.counted = 0
        self.group = group
        self.used = used
        self.credit = credit
        self.open = True
        self.touched = touched

    @property
    def free(self) -> int:
        return min(self.group.offer.slots - self.used, self.credit) if self.open else 0


class Group:
    """Workers with the same offer. The heap has an entry for each that has room; entries that no longer hold are
    passed over when they come up: (used, touched) says of when they are. `free` is the sum of what each seat `counted`.
    """

    __slots__ = ("free", "heap", "offer", "seats")

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.seats: set[Seat] = set()
        self.heap: list[tuple[int, int, Seat]] = []
        self.free = 0

    def note(self, seat: Seat) -> None:
        """Something about the seat has changed."""
        free = max(0, seat.free)
        self.free += free - seat.counted
        seat.counted = free
        if not free:
            return
        if len(self.heap) > 2 * len(self.seats) + MAX_GONE:
            self.heap = [_entry(each) for each in self.seats if each.free > 0]
            heapq.heapify(self.heap)
        else:
            heapq.heappush(self.heap, _entry(seat))

    def first(self, slots: int = 1, kept: Seat | None = None) -> Seat | None:
        """The seat with the lowest share that has so many slots free and is not `kept`."""
        passed: list[tuple[int, int, Seat]] = []
        found: Seat | None = None
        while self.heap:
            seat = self.heap[0][2]
            if seat.free <= 0 or self.heap[0] != _entry(seat) or seat.group is not self:
                heapq.heappop(self.heap)
            elif seat.free >= slots and seat is not kept:
                found = seat
                break
            else:
                passed.append(heapq.heappop(self.heap))
        for entry in passed:
            heapq.heappush(self.heap, entry)
        return found


def _entry(seat: Seat) -> tuple[int, int, Seat]:
    return seat.used, seat.touched, seat
