"""What matching promises, whatever arrives and whoever waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy_runtime.core.matching import AGE_S, PATIENCE_S, Matching
from understudy_runtime.core.needs import Need, Offer
from understudy_runtime.core.seats import Seat

ONE = Need("t")


def table(*slots: int, tasks: frozenset[str] = frozenset({"t"})) -> Matching[int]:
    """Workers w0, w1, ... with so many slots each, all idle."""
    matching = Matching[int]()
    for number, count in enumerate(slots):
        matching.join(f"w{number}", Offer(tasks, count))
    return matching


def arrive(matching: Matching[int], *keys: int, need: Need = ONE, priority: int = 0, at: float = 0.0) -> None:
    for key in keys:
        matching.add(key, need, priority, at)


def given_out(matching: Matching[int], now: float = 0.0) -> list[tuple[int, str]]:
    return [(task, worker) for task, worker in matching.match(now)]


# --- the spread


@given(
    workers=st.integers(1, 8),
    slots=st.integers(1, 6),
    batches=st.lists(st.integers(0, 10), max_size=8),
)
def test_tasks_up_to_the_free_slots_spread_evenly_over_equal_idle_workers(
    workers: int, slots: int, batches: list[int]
) -> None:
    matching = table(*[slots] * workers)
    counts = Counter({f"w{n}": 0 for n in range(workers)})
    left, key = workers * slots, 0
    for batch in batches:
        batch = min(batch, left)
        left -= batch
        arrive(matching, *range(key, key := key + batch))
        counts.update(worker for _, worker in given_out(matching))
        assert sum(counts.values()) == key
        assert max(counts.values()) - min(counts.values()) <= 1


@given(workers=st.integers(1, 6), rounds=st.integers(1, 5))
def test_n_tasks_on_n_idle_workers_land_one_each_round_after_round(workers: int, rounds: int) -> None:
    matching = table(*[5] * workers)
    for round_ in range(rounds):
        arrive(matching, *range(round_ * workers, (round_ + 1) * workers))
        assignments = given_out(matching)
        assert sorted(worker for _, worker in assignments) == [f"w{n}" for n in range(workers)]
        for _, worker in assignments:
            matching.freed(worker, 1)


def test_the_lowest_share_wins_not_the_lowest_count() -> None:
    matching = table(2, 10)
    arrive(matching, *range(6))
    assert Counter(worker for _, worker in given_out(matching)) == {"w0": 1, "w1": 5}


def test_among_equals_the_one_left_alone_for_longest_is_next() -> None:
    matching = table(1, 1, 1)
    arrive(matching, 1, 2, 3)
    assert given_out(matching) == [(1, "w0"), (2, "w1"), (3, "w2")]
    for worker in ("w2", "w0", "w1"):
        matching.freed(worker, 1)
    arrive(matching, 4, 5, 6)
    assert given_out(matching) == [(4, "w2"), (5, "w0"), (6, "w1")]


@given(
    workers=st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["", "gpu"])), min_size=1, max_size=6),
    steps=st.lists(st.tuples(st.sampled_from(["task", "end", "close", "open", "grant", "again"]), st.integers(0, 99))),
)
def test_whatever_happens_to_workers_the_lowest_share_with_room_is_next(
    workers: list[tuple[int, str]], steps: list[tuple[str, int]]
) -> None:
    """As a look at every worker would have it."""
    matching = Matching[int]()
    slots = {f"w{n}": count for n, (count, _) in enumerate(workers)}
    used, credit, closed = dict.fromkeys(slots, 0), dict.fromkeys(slots, 2), set[str]()
    for n, (count, label) in enumerate(workers):
        matching.join(f"w{n}", Offer(frozenset({"t"}), count, frozenset({label})), credit=2)
    for key, (step, chance) in enumerate(steps):
        name = f"w{chance % len(slots)}"
        if step == "task":
            room = {w for w in slots if w not in closed and min(slots[w] - used[w], credit[w]) > 0}
            arrive(matching, key)
            given = given_out(matching)
            assert len(given) == bool(room)
            for _, worker in given:
                assert worker in room
                assert used[worker] / slots[worker] == min(used[w] / slots[w] for w in room)
                used[worker] += 1
                credit[worker] -= 1
            matching.remove(key)
        elif step == "end" and used[name]:
            used[name] -= 1
            matching.freed(name, 1)
        elif step in ("close", "open"):
            matching.set_open(name, step == "open")
            closed = closed | {name} if step == "close" else closed - {name}
        elif step == "grant":
            credit[name] += 1
            matching.grant(name, 1)
        elif step == "again":
            count, label = workers[int(name[1:])]
            credit[name] = 1
            closed -= {name}
            matching.join(name, Offer(frozenset({"t"}), count, frozenset({label, f"{chance % 3}"})), used[name], 1)


def test_a_decision_does_not_look_at_every_worker() -> None:
    """Counted, because time tells little: how often a seat's room is looked at for one more task among very many."""
    looked = {10: 0, 10_000: 0}
    for workers in looked:
        matching = table(*[3] * workers)
        arrive(matching, *range(2 * workers))
        given_out(matching)
        with counting_looks() as looks:
            for task in range(100):
                arrive(matching, -1 - task)
                ((_, worker),) = given_out(matching)
                matching.freed(worker, 1)
        looked[workers] = looks[0]
    assert looked[10_000] <= 2 * looked[10]


@contextmanager
def counting_looks() -> Generator[list[int]]:
    looks, free = [0], cast("property", Seat.__dict__["free"])

    def counted(seat: Seat) -> int:
        looks[0] += 1
        return int(free.__get__(seat))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Seat, "free", property(counted))
        yield looks


# --- who may take what


def test_a_worker_gets_only_tasks_it_has_in_queues_it_takes_from_with_labels_it_offers() -> None:
    matching = Matching[int]()
    matching.join("plain", Offer(frozenset({"t"}), 5, queues=frozenset({"default"})))
    matching.join("gpu", Offer(frozenset({"t"}), 5, frozenset({"gpu", "fast"}), frozenset({"heavy"})))
    arrive(matching, 1, need=Need("u"))
    arrive(matching, 2, need=Need("t", labels=("gpu",)))
    arrive(matching, 3, need=Need("t", "heavy", labels=("gpu",)))
    arrive(matching, 4, need=Need("t", "heavy", labels=("gpu", "red")))
    arrive(matching, 5, need=Need("t"))
    assert sorted(given_out(matching)) == [(3, "gpu"), (5, "plain")]
    assert {(line.need.task, line.need.labels, line.workers) for line in matching.waiting()} == {
        ("u", (), 0),
        ("t", ("gpu",), 0),
        ("t", ("gpu", "red"), 0),
    }


def test_a_worker_that_names_no_queue_takes_from_every_queue() -> None:
    matching = table(2)
    arrive(matching, 1, need=Need("t", "any"))
    assert given_out(matching) == [(1, "w0")]


def test_a_task_nobody_can_take_waits_in_sight_until_somebody_comes_who_can() -> None:
    matching = table(5)
    arrive(matching, 1, 2, need=Need("u"), at=3.0)
    assert given_out(matching) == []
    (line,) = matching.waiting()
    assert (line.need, line.count, line.since, line.workers) == (Need("u"), 2, 3.0, 0)
    matching.join("late", Offer(frozenset({"u"}), 1))
    assert given_out(matching) == [(1, "late")]


def test_a_worker_that_is_closed_gets_nothing_until_it_is_open_again() -> None:
    matching = table(2, 2)
    matching.set_open("w0", False)
    arrive(matching, 1, 2, 3)
    assert given_out(matching) == [(1, "w1"), (2, "w1")]
    matching.set_open("w0", True)
    assert given_out(matching) == [(3, "w0")]


def test_a_worker_that_comes_again_has_what_it_held() -> None:
    matching = table(2)
    arrive(matching, 1, 2)
    given_out(matching)
    matching.leave("w0")
    matching.join("w0", Offer(frozenset({"t"}), 3), used=2)
    arrive(matching, 3, 4)
    assert given_out(matching) == [(3, "w0")]


# --- the order


def test_first_in_first_out_within_a_priority() -> None:
    matching = table(1)
    arrive(matching, 1, 2, 3)
    served: list[int] = []
    while assignments := given_out(matching):
        served += [task for task, _ in assignments]
        matching.freed("w0", 1)
    assert served == [1, 2, 3]


def test_a_point_of_priority_is_worth_so_much_waiting_and_no_more() -> None:
    matching = table(1)
    arrive(matching, 1, at=0.0)
    arrive(matching, 2, priority=1, at=AGE_S - 1)
    arrive(matching, 3, priority=1, at=AGE_S + 1)
    served: list[int] = []
    while assignments := given_out(matching, AGE_S + 1):
        served += [task for task, _ in assignments]
        matching.freed("w0", 1)
    assert served == [2, 1, 3]


@given(
    arrivals=st.lists(st.tuples(st.sampled_from(["t", "u"]), st.integers(-3, 3)), min_size=1, max_size=40),
    data=st.data(),
)
def test_no_task_is_passed_by_one_that_came_later_than_its_priority_is_worth(
    arrivals: list[tuple[str, int]], data: st.DataObject
) -> None:
    matching = table(1, tasks=frozenset({"t", "u"}))
    served: list[int] = []
    for key, (task, priority) in enumerate(arrivals):
        arrive(matching, key, need=Need(task), priority=priority, at=float(key))
        if data.draw(st.booleans()):
            assignments = given_out(matching, float(key))
            served += [key for key, _ in assignments]
            matching.freed("w0", len(assignments))
    while assignments := given_out(matching, 1e9):
        served += [key for key, _ in assignments]
        matching.freed("w0", 1)
    assert sorted(served) == list(range(len(arrivals)))
    for place, key in enumerate(served):
        for later in served[:place]:
            assert later <= key + (arrivals[later][1] - arrivals[key][1]) * AGE_S or later < key


def test_a_task_of_many_slots_is_not_passed_over_for_ever() -> None:
    matching = table(4)
    arrive(matching, *range(4))
    given_out(matching)
    big = Need("t", slots=4)
    arrive(matching, 100, need=big, at=0.0)
    now, small = 0.0, 4
    while 100 in matching:
        assert now < PATIENCE_S + 10, "starved"
        now, small = now + 1, small + 1
        matching.freed("w0", 1)
        arrive(matching, small, at=now)
        given_out(matching, now)
    assert len(matching) > 0, "the small ones waited meanwhile"


# --- capacity

needs = st.builds(
    Need,
    st.sampled_from(["t", "u"]),
    st.sampled_from(["default", "heavy"]),
    st.integers(1, 3),
    st.sampled_from([(), ("gpu",)]),
)
offers = st.builds(
    Offer,
    st.frozensets(st.sampled_from(["t", "u"])),
    st.integers(1, 5),
    st.frozensets(st.sampled_from(["gpu"])),
    st.frozensets(st.sampled_from(["default", "heavy"])),
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), offers), st.lists(needs, max_size=30), st.data())
def test_nobody_is_overloaded_nothing_is_handed_out_twice_and_nobody_idles_while_a_task_fits(
    workers: dict[str, Offer], tasks: list[Need], data: st.DataObject
) -> None:
    matching = Matching[int]()
    for name, offer in workers.items():
        matching.join(name, offer)
    used = dict.fromkeys(workers, 0)
    held: dict[int, str] = {}
    done: set[int] = set()
    for key, need in enumerate(tasks):
        matching.add(key, need, data.draw(st.integers(-5, 5)), 0.0)
        if data.draw(st.integers(0, 4)) == 0:
            removed = data.draw(st.integers(0, key))
            if matching.remove(removed):
                done.add(removed)
        if data.draw(st.booleans()):
            continue
        for task, worker in matching.match(0.0):
            assert task not in held
            assert task not in done
            assert workers[worker].fits(tasks[task])
            held[task] = worker
            used[worker] += tasks[task].slots
        assert all(used[name] <= offer.slots for name, offer in workers.items())
        for waiting in range(key + 1):
            if waiting in matching:
                assert not any(
                    offer.fits(tasks[waiting]) and offer.slots - used[name] >= tasks[waiting].slots
                    for name, offer in workers.items()
                )
        if not held:
            continue
        if data.draw(st.booleans()):
            ended = data.draw(st.sampled_from(sorted(held)))
            worker = held.pop(ended)
            used[worker] -= tasks[ended].slots
            matching.freed(worker, tasks[ended].slots)
            done.add(ended)
    assert len(matching) + len(held) + len(done) == len(tasks)


def test_what_was_taken_back_is_neither_handed_out_nor_kept() -> None:
    matching = table(1)
    arrive(matching, *range(1_000))
    for key in range(1, 1_000):
        assert matching.remove(key)
    assert not matching.remove(1)
    assert given_out(matching) == [(0, "w0")]
    assert (len(matching), list(matching.waiting())) == (0, [])


@pytest.mark.parametrize("again", [1, 2])
def test_a_task_taken_back_may_come_again(again: int) -> None:
    matching = table(2)
    arrive(matching, 1, 2)
    matching.remove(again)
    arrive(matching, again)
    assert [task for task, _ in given_out(matching)] == [3 - again, again]


def test_a_worker_that_grants_credit_gets_no_more_than_that() -> None:
    matching = Matching[int]()
    matching.join("w0", Offer(frozenset({"t"}), 5), credit=0)
    arrive(matching, 1, 2, 3)
    assert given_out(matching) == []
    matching.grant("w0", 2)
    assert given_out(matching) == [(1, "w0"), (2, "w0")]
    matching.freed("w0", 1)
    assert given_out(matching) == [], "a slot that comes free is no credit"
    matching.grant("w0", 1)
    assert given_out(matching) == [(3, "w0")]


def test_a_worker_gets_tasks_of_its_namespace_only() -> None:
    matching = Matching[int]()
    matching.join("w0", Offer(frozenset({"t"}), 5, namespace="a"))
    arrive(matching, 1, need=Need("t", namespace="b"))
    arrive(matching, 2, need=Need("t", namespace="a"))
    assert given_out(matching) == [(2, "w0")]
