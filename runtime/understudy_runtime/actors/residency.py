"""Which actors stay in memory: the ones used of late, up to a bound in bytes.

Second chance instead of a strict order of use, so that a turn need only set a flag. An actor with work under way is
passed over; one that is asked to leave may refuse (attempts out) and is tried again later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from understudy_runtime.actors.cell import Cell

CELL_BYTES: Final = 3_000
"""Reckoned for a cell and its machine's state, measured for small ones."""

LOOKS: Final = 16
"""Actors looked at when one comes in. Beside n that cannot leave, n / 8 that can may stay until they are looked at."""


class Residency:
    def __init__(self, limit_bytes: int, park: Callable[[Cell], None]) -> None:
        self._limit = limit_bytes
        self._park = park
        self._cells: OrderedDict[str, Cell] = OrderedDict()
        self._bytes = 0

    def add(self, cell: Cell) -> None:
        self._cells[cell.key] = cell
        self.charge(cell, CELL_BYTES)

    def charge(self, cell: Cell, cost: int) -> None:
        """Reckon `cost` bytes for the cell from now on."""
        self._bytes += cost - cell.cost
        cell.cost = cost

    def left(self, cell: Cell) -> None:
        self.charge(cell, 0)
        del self._cells[cell.key]

    def sweep(self) -> None:
        """Ask the least used to leave until the rest fits, or `LOOKS` have been looked at; the next goes on there.

        Without that bound, each actor that comes in would look at all that cannot leave (ten thousand watched jobs).
        """
        for _ in range(min(LOOKS, 2 * len(self._cells))):
            if self._bytes <= self._limit:
                return
            cell = next(iter(self._cells.values()))
            self._cells.move_to_end(cell.key)
            if cell.touched:
                cell.touched = False
            elif cell.idle:
                self._park(cell)
