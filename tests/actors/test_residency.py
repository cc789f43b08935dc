"""Who stays in memory: at most so many are looked at when one comes in, and whoever can leave is found nevertheless.

That what leaves comes back as it was is `test_parking`'s.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from understudy_runtime.actors.cell import Cell, Phase
from understudy_runtime.actors.residency import CELL_BYTES, LOOKS, Residency
from understudy_runtime.core.actor import ActorMachine

MACHINE = ActorMachine()


class Resident:
    """A residency with a limit in cells, and what it asked to leave. `may_leave` is what the engine says to that."""

    def __init__(self, limit: int, may_leave: Callable[[str], bool] = lambda key: True) -> None:
        self.asked: list[str] = []
        self.residency = Residency(limit * CELL_BYTES, self._park)
        self.inside: set[str] = set()
        self._may_leave = may_leave

    def _park(self, cell: Cell) -> None:
        self.asked.append(cell.key)
        if self._may_leave(cell.key):
            self.inside.discard(cell.key)
            self.residency.left(cell)

    def come(self, key: str, *, touched: bool = False) -> Cell:
        """As one comes in, whoever can is asked to leave."""
        cell = Cell(key, "actor.A", MACHINE)
        cell.phase, cell.touched = Phase.READY, touched
        self.inside.add(key)
        self.residency.add(cell)
        self.residency.sweep()
        return cell


def test_nobody_is_asked_while_all_fit() -> None:
    place = Resident(100)
    for number in range(100):
        place.come(str(number))
    assert place.asked == []


def test_the_least_used_leave_and_only_as_many_as_must() -> None:
    place = Resident(100)
    cells = [place.come(str(number)) for number in range(100)]
    for cell in cells[:10]:
        cell.touched = True
    place.come("new")
    assert place.asked == ["10"]


@pytest.mark.parametrize("residents", [LOOKS // 2, 1_000])
def test_one_that_comes_looks_at_no_more_than_the_bound_when_nobody_can_leave(residents: int) -> None:
    place = Resident(1, may_leave=lambda key: False)
    for number in range(residents):
        place.come(str(number))
    place.asked.clear()
    place.come("new")
    assert 0 < len(place.asked) <= LOOKS


def test_the_next_look_goes_on_where_the_last_one_ended() -> None:
    residents = 10 * LOOKS
    place = Resident(1, may_leave=lambda key: False)
    for number in range(residents):
        place.come(str(number))
    place.asked.clear()
    for number in range(residents // LOOKS + 1):
        place.come(f"new {number}")
    assert {str(number) for number in range(residents)} <= set(place.asked)


def test_those_who_can_leave_are_found_among_many_who_cannot() -> None:
    """A thousand watched jobs stay; everybody else leaves again, however many come."""
    jobs = 1_000
    place = Resident(1, may_leave=lambda key: not key.startswith("job"))
    for number in range(jobs):
        place.come(f"job {number}")
    most = 0
    for number in range(5 * jobs):
        place.come(f"passer-by {number}", touched=True)
        most = max(most, len(place.inside) - jobs)
    assert most <= 2 * (jobs + most) / LOOKS + 1, "whoever was used of late leaves when he is looked at again"


def test_one_with_work_under_way_is_passed_over() -> None:
    place = Resident(1)
    busy = place.come("busy")
    busy.uncommitted = 1
    place.come("idle")
    place.come("new")
    assert "busy" not in place.asked
    assert "busy" in place.inside
