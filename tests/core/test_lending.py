"""Who is given what when workers of other nodes are known too, and what nodes tell each other of their own."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy_runtime.core import lending
from understudy_runtime.core.distant import SPREAD, WINDOW
from understudy_runtime.core.lending import PRESS_S, STEPS, Ledger, Teller
from understudy_runtime.core.matching import Matching
from understudy_runtime.core.needs import Need, Offer, Offered, Reach
from understudy_runtime.core.transport import Offers

ONE = Need("t")
TASKS = frozenset({"t"})


def of(slots: int, used: int = 0, *, workers: int = 1) -> Offered:
    return Offered(Offer(TASKS, slots), workers, workers * slots, used, slots - used // workers)


def table(here: int, *elsewhere: Offered) -> Matching[int]:
    """A worker here with so many slots (0: none), and those of others, known as d0, d1, ..."""
    matching = Matching[int]()
    if here:
        matching.join("here", Offer(TASKS, here))
    for number, offered in enumerate(elsewhere):
        matching.told(f"d{number}", offered, 0)
    return matching


def given_out(matching: Matching[int], count: int, need: Need = ONE, first: int = 0) -> Counter[str]:
    for key in range(first, first + count):
        matching.add(key, need, 0, 0.0)
    return Counter(worker for _, worker in matching.match(0.0))


@given(slots=st.integers(1, 50), nodes=st.integers(1, 6), share=st.floats(0, 1))
def test_over_equal_idle_nodes_tasks_spread_evenly_within_the_stated_part_of_the_slots(
    slots: int, nodes: int, share: float
) -> None:
    matching = table(slots, *(of(slots) for _ in range(nodes - 1)))
    count = int(share * slots * nodes)
    counts = given_out(matching, count)
    each = [counts["here"], *(counts[f"d{n}"] for n in range(nodes - 1))]
    assert sum(each) == count
    assert max(each) - min(each) <= 1 + slots * SPREAD


def test_a_node_of_many_slots_keeps_a_few_tasks_more() -> None:
    counts = given_out(table(1_000, of(1_000), of(1_000)), 200)
    assert counts["here"] == 100
    assert counts["d0"] == counts["d1"] == 50


def test_no_more_is_given_than_was_told_to_be_free_and_what_comes_free_counts_at_once() -> None:
    matching = table(1, of(5, 3))
    assert given_out(matching, 10) == {"here": 1, "d0": 2}
    matching.freed("d0", 1)
    assert [worker for _, worker in matching.match(0.0)] == ["d0"]


def test_what_nobody_here_could_take_waits_elsewhere_up_to_the_window_and_at_the_least_burdened() -> None:
    matching = table(0, of(1, 1), of(3, 3))
    counts = given_out(matching, 100)
    assert counts == {"d0": WINDOW, "d1": WINDOW}
    few = given_out(table(0, of(1, 1), of(3, 3)), 4)
    assert few == {"d0": 1, "d1": 3}


@pytest.mark.parametrize(("reach", "here", "there"), [("far", 1, 1), ("stranded", 1, 0), ("home", 1, 0)])
def test_a_task_goes_no_further_than_it_may(reach: Reach, here: int, there: int) -> None:
    counts = given_out(table(1, of(1)), 2, Need("t", reach=reach))
    assert (counts["here"], counts["d0"]) == (here, there)
    nobody_here = given_out(table(0, of(1)), 1, Need("t", reach=reach))
    assert nobody_here["d0"] == (0 if reach == "home" else 1)


def test_a_task_of_many_slots_needs_them_at_one_worker() -> None:
    matching = table(0, Offered(Offer(TASKS, 4), 3, 12, 9, 1))
    matching.told("d1", of(4), 0)
    assert given_out(matching, 1, Need("t", slots=4)) == {"d1": 1}


def test_who_has_declined_is_given_nothing_until_something_is_told() -> None:
    matching = table(0, of(5))
    matching.set_distant_open("d0", False)
    assert not given_out(matching, 1)
    matching.told("d0", of(5), 0)
    assert len(matching.match(0.0)) == 1


def test_a_node_tells_what_its_open_workers_have_and_no_more() -> None:
    matching = Matching[int]()
    offer = Offer(TASKS, 4)
    for worker in ("a", "b", "c"):
        matching.join(worker, offer, used=1, credit=2)
    matching.set_open("c", False)
    assert matching.offered() == [Offered(offer, 2, 8, 4, 2)]
    given_out(matching, 3)
    assert matching.offered() == [Offered(offer, 2, 8, 7, 1)]
    matching.leave("a")
    matching.leave("b")
    assert matching.offered() == []


# --- telling and hearing


def news(teller: Teller, *offered: Offered, now: float = 0.0) -> dict[str, Offers]:
    return dict(teller.news(offered, now))


def test_only_news_is_told_and_an_offer_is_described_once() -> None:
    teller = Teller()
    teller.reached("bob")
    assert news(teller, of(10))["bob"].standings[0].offer == Offer(TASKS, 10)
    assert not news(teller, of(10))
    (standing,) = news(teller, of(10, 1))["bob"].standings
    assert (standing.offer, standing.used) == (None, 1)
    assert news(teller)["bob"].standings == ()
    teller.unreached("bob")
    assert not news(teller, of(10))


def test_a_small_change_of_many_slots_is_no_news() -> None:
    teller = Teller()
    teller.reached("bob")
    news(teller, of(10 * STEPS))
    assert not news(teller, of(10 * STEPS, 9))
    assert news(teller, of(10 * STEPS, 10))


def test_who_was_declined_something_is_told_again_but_not_at_once() -> None:
    teller = Teller()
    teller.reached("bob")
    news(teller, of(10))
    teller.press("bob")
    assert not news(teller, of(10), now=PRESS_S / 2)
    assert teller.pressed
    assert news(teller, of(10), now=PRESS_S)


def test_offers_beyond_the_bounds_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lending, "MAX_STANDINGS", 2)
    teller = Teller()
    teller.reached("bob")
    assert [each.slots for each in news(teller, of(1), of(3), of(2))["bob"].standings] == [3, 2]
    monkeypatch.setattr(lending, "MAX_TOLD_TASKS", 1)
    assert [each.slots for each in news(teller, of(1), of(3), of(2))["bob"].standings] == [3]


def test_what_was_lent_since_is_reckoned_with_and_nothing_twice() -> None:
    teller, ledger = Teller(), Ledger()
    teller.reached("ann")
    ((told,), _) = ledger.heard("bob", news(teller, of(10))["ann"])
    first, second = ledger.lend(told.name, 3), ledger.lend(told.name, 2)
    teller.lent("ann", first)
    ((told,), _) = ledger.heard("bob", news(teller, of(10, 3))["ann"])
    assert (told.offered.used, told.on_the_way) == (3, 2)
    teller.lent("ann", second)
    ((told,), _) = ledger.heard("bob", news(teller, of(10, 5))["ann"])
    assert (told.offered.used, told.on_the_way) == (5, 0)
    told_nothing, gone = ledger.heard("bob", news(teller)["ann"])
    assert (told_nothing, list(gone), told.name in ledger) == ([], [told.name], False)
