"""The rule at the door: new work is refused while what waits would take too long, and only then."""

from __future__ import annotations

import pytest

from understudy.errors import Overloaded
from understudy_runtime.node.admission import (
    LEAST_WAITING,
    LONGEST_DELAY_S,
    LOOK_S,
    MOST_AT_ONCE,
    STRAINED,
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

    def kept_waiting(self, steps: int, looks: int = STRAINED, rate: float = 0.0) -> None:
        """For that many looks; then they are out of sight."""
        for _ in range(looks):
            self.waiting = steps
            self.refused()
            self.works(LOOK_S, rate)
        self.waiting = 0

    def works(self, seconds: float, turns_per_s: float) -> None:
        self.now += seconds * 1.001  # a look is over
        self.turns += int(seconds * turns_per_s)


@pytest.fixture
def world() -> World:
    return World()


def test_what_comes_at_once_is_let_in_up_to_a_bound(world: World) -> None:
    world.waiting = MOST_AT_ONCE - 1
    assert world.refused() is None
    world.waiting = MOST_AT_ONCE
    assert world.refused() is not None


def test_what_has_kept_waiting_is_refused_at_the_bound_even_if_it_is_out_of_sight(world: World) -> None:
    world.kept_waiting(LEAST_WAITING - 1)
    assert world.refused() is None
    world.kept_waiting(LEAST_WAITING)
    assert world.refused() is not None


def test_a_quick_node_may_let_more_wait(world: World) -> None:
    rate = 4 * LEAST_WAITING / TARGET_S
    world.kept_waiting(3 * LEAST_WAITING, rate=rate)
    assert world.refused() is None
    world.kept_waiting(5 * LEAST_WAITING, rate=rate)
    assert world.refused() is not None


def test_a_burst_is_no_overload(world: World) -> None:
    world.kept_waiting(MOST_AT_ONCE - 1, looks=STRAINED - 1)
    assert world.refused() is None


def test_a_node_that_was_overloaded_just_now_refuses_sooner(world: World) -> None:
    world.kept_waiting(LEAST_WAITING, looks=2 * STRAINED)
    world.kept_waiting(0, looks=1)
    assert world.refused() is None
    world.kept_waiting(LEAST_WAITING, looks=1)
    assert world.refused() is not None


def test_a_node_that_has_caught_up_lets_in_again(world: World) -> None:
    world.kept_waiting(LEAST_WAITING)
    assert world.refused() is not None
    world.works(LOOK_S, 0)
    assert world.refused() is None


def test_a_node_that_nobody_asked_for_a_while_has_caught_up(world: World) -> None:
    world.kept_waiting(LEAST_WAITING, looks=100)
    world.works(100 * LOOK_S, 0)
    world.kept_waiting(LEAST_WAITING, looks=STRAINED - 1)
    assert world.refused() is None


def test_the_delay_grows_with_what_waits_up_to_a_bound(world: World) -> None:
    delays: list[float] = []
    for waiting in (MOST_AT_ONCE, 2 * MOST_AT_ONCE, 10**6):
        world.waiting = waiting
        refused = world.refused()
        assert refused is not None
        assert str(waiting) in str(refused)
        delays.append(refused.retry_after_s)
    assert 0 < delays[0] < delays[1] <= delays[2] == LONGEST_DELAY_S
