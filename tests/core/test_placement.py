"""Placement: every shard once, balanced to within one, the least possible moves, and no flapping."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from understudy_runtime.core.placement import plan

NAMES = [f"node-{n}" for n in range(9)]

nodes = st.sets(st.sampled_from(NAMES), min_size=1)
owners = st.dictionaries(st.integers(0, 63), st.sampled_from([*NAMES, None]), max_size=64)


@given(nodes, owners)
def test_every_shard_goes_to_one_node_that_is_there(nodes: set[str], owners: dict[int, str | None]) -> None:
    planned = plan(nodes, owners)
    assert planned.keys() == owners.keys()
    assert set(planned.values()) <= nodes


@given(nodes, owners)
def test_no_node_has_two_shards_more_than_another(nodes: set[str], owners: dict[int, str | None]) -> None:
    loads = Counter(dict.fromkeys(nodes, 0)) + Counter(plan(nodes, owners).values())
    counts = [loads[node] for node in nodes]
    assert max(counts) - min(counts) <= 1


@given(nodes, owners)
def test_no_balanced_plan_moves_fewer(nodes: set[str], owners: dict[int, str | None]) -> None:
    planned = plan(nodes, owners)
    moved = sum(planned[shard] != owner for shard, owner in owners.items())
    held = sorted((sum(owner == node for owner in owners.values()) for node in nodes), reverse=True)
    each, odd = divmod(len(owners), len(nodes))
    stay = sum(min(count, each + (place < odd)) for place, count in enumerate(held))
    assert moved == len(owners) - stay


@given(nodes, owners)
def test_a_plan_that_was_carried_out_is_its_own_plan(nodes: set[str], owners: dict[int, str | None]) -> None:
    planned = plan(nodes, owners)
    assert plan(nodes, dict(planned)) == planned


@given(nodes, owners)
def test_the_order_in_which_nodes_and_shards_are_seen_is_of_no_matter(
    nodes: set[str], owners: dict[int, str | None]
) -> None:
    shuffled = dict(reversed(list(owners.items())))
    assert plan(sorted(nodes, reverse=True), shuffled) == plan(sorted(nodes), owners)


@given(nodes, owners)
def test_views_that_differ_for_a_while_settle_in_one_round(nodes: set[str], owners: dict[int, str | None]) -> None:
    """Each node hands over by its own old view; once all see the same again, one plan ends the moving."""
    narrower = set(sorted(nodes)[:1])
    astray: dict[int, str | None] = dict(plan(narrower, owners))
    settled = plan(nodes, astray)
    assert plan(nodes, dict(settled)) == settled


def test_a_fourth_node_takes_a_quarter_from_three_and_gives_it_back() -> None:
    three: dict[int, str | None] = dict(plan(NAMES[:3], dict.fromkeys(range(256))))
    four: dict[int, str | None] = dict(plan(NAMES[:4], three))
    assert sum(four[shard] != three[shard] for shard in three) == 64
    back = plan(NAMES[:3], four)
    assert sum(back[shard] != four[shard] for shard in four) == 64


def test_without_nodes_there_is_no_plan() -> None:
    assert plan([], {0: None}) == {}
