"""The rule at the door: new work is refused while what waits would take too long, and only then."""

from __future__ import annotations

import pytest

from understudy.errors import Overloaded
from understudy_runtime.node.admission import (
    LEAST_WAITING,
    LONGEST_DELAY_S,
    LOOK_S,
    TARGET_S,
    Admission,
)


class World:
    """A node that takes turns and keeps others waiting as the test says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = 0
        self.waiting = 0
        self.admit = Admission(lambda: self.now, lambda: self.turns, lambda: self.waiting)

    def refused(self) -> Overloaded | None:
        try:
            self.admit()
        except Overloaded as refused:
            return refused
        return None

    def works(self, seconds: float, turns_per_s: float) -> None:
        self.now += seconds
        self.turns += int(seconds * turns_per_s)


@pytest.fixture
def world() -> World:
    return World()


def test_a_burst_is_let_in_up_to_the_bound(world: World) -> None:
    world.waiting = LEAST_WAITING - 1
    assert world.refused() is None
    world.waiting = LEAST_WAITING
    assert world.refused() is not None


def test_a_quick_node_may_let_more_wait(world: World) -> None:
    rate = 4 * LEAST_WAITING / TARGET_S
    world.works(LOOK_S, rate)
    world.waiting = 4 * LEAST_WAITING - 1
    assert world.refused() is None
    world.waiting = 4 * LEAST_WAITING
    assert world.refused() is not None


def test_a_slow_node_still_takes_a_burst(world: World) -> None:
    world.works(LOOK_S, 10)
    world.waiting = LEAST_WAITING - 1
    assert world.refused() is None


def test_what_is_out_of_sight_for_a_moment_still_counts(world: World) -> None:
    world.waiting = LEAST_WAITING
    assert world.refused() is not None
    world.waiting = 0
    assert world.refused() is not None
    world.works(LOOK_S, 0)
    assert world.refused() is not None


def test_a_node_that_has_caught_up_lets_in_again(world: World) -> None:
    world.waiting = LEAST_WAITING
    assert world.refused() is not None
    world.waiting = 0
    world.works(2 * LOOK_S, 0)
    assert world.refused() is None


def test_a_node_that_is_in_demand_all_the_time_lets_in_again(world: World) -> None:
    world.waiting = LEAST_WAITING
    assert world.refused() is not None
    world.waiting = 0
    refusals = []
    for _ in range(3):
        world.works(LOOK_S, 0)
        refusals.append(world.refused() is not None)
    assert refusals == [True, False, False]


def test_the_delay_grows_with_what_waits_up_to_a_bound(world: World) -> None:
    delays = []
    for waiting in (LEAST_WAITING, 2 * LEAST_WAITING, 10**6):
        world.waiting = waiting
        refused = world.refused()
        assert refused is not None
        assert str(waiting) in str(refused)
        delays.append(refused.retry_after_s)
    assert delays == sorted(delays)
    assert delays[0] > 0
    assert delays[1] == 2 * delays[0]
    assert delays[-1] == LONGEST_DELAY_S
