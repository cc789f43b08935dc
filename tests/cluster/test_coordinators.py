"""What every coordinator promises, asked of a cluster in one process and of one that meets in a real etcd."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import anyio
import pytest

from tests.cluster.servers import EtcdServer
from understudy_runtime.cluster.etcd import EtcdCoordinator, EtcdOptions
from understudy_runtime.cluster.local import LocalCluster, LocalCoordinator
from understudy_runtime.core.membership import Coordinator, CoordinatorError, Member, Owner, View
from understudy_runtime.node.clocks import SystemClock

pytestmark = pytest.mark.anyio

SHARDS = 8
TTL_S = 1.0


class Seat:
    """A node's coordinator, and what it was told."""

    def __init__(self, coordinator: Coordinator, member: Member) -> None:
        self.coordinator = coordinator
        self.member = member
        self.lives = True
        self._news = anyio.Event()

    def changed(self, view: View) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def sees(self, wanted: Callable[[View], bool]) -> View:
        """The first view that is wanted."""
        with anyio.fail_after(30):
            while not wanted(view := self.coordinator.view):
                await self._news.wait()
        return view


class Places:
    """Makes seats of one cluster, of either kind."""

    def __init__(self, etcd: EtcdServer | None, name: str) -> None:
        self.etcd = etcd
        self._name = name
        self._local = LocalCluster(SHARDS)
        self._left = AsyncExitStack()

    async def join(self, node: str, incarnation: str = "1") -> Seat:
        member = Member(node, f"{node}-{incarnation}", "127.0.0.1:1")
        if self.etcd is None:
            seat = Seat(LocalCoordinator(self._local, SystemClock()), member)
        else:
            options = EtcdOptions((self.etcd.url,), self._name, ttl_s=TTL_S, shards=SHARDS)
            seat = Seat(EtcdCoordinator(options, lambda: seat.lives), member)
        assert await seat.coordinator.join(member, seat.changed) == SHARDS
        self._left.push_async_callback(seat.coordinator.leave)
        return seat

    def die(self, seat: Seat) -> None:
        """The node makes no progress any more."""
        seat.lives = False
        if self.etcd is None:
            self._local.expire(seat.member.node)

    async def close(self) -> None:
        await self._left.aclose()


@pytest.fixture(params=["local", "etcd"])
async def places(request: pytest.FixtureRequest) -> AsyncIterator[Places]:
    etcd = request.getfixturevalue("shared_etcd") if request.param == "etcd" else None
    made = Places(etcd, request.node.name)
    yield made
    await made.close()


def owner(seat: Seat) -> Owner:
    return Owner(seat.member.node, seat.member.incarnation)


async def test_members_see_each_other_and_leave(places: Places) -> None:
    a, b = await places.join("a"), await places.join("b")
    for seat in (a, b):
        view = await seat.sees(lambda view: len(view.members) == 2)
        assert view.members == {"a": a.member, "b": b.member}
        assert seat.coordinator.session_left_s > 0
    await b.coordinator.leave()
    assert (await a.sees(lambda view: len(view.members) == 1)).takers == ["a"]


async def test_an_orphan_is_claimed_by_one_node_alone(places: Places) -> None:
    a, b = await places.join("a"), await places.join("b")
    assert await a.coordinator.claim({3})
    assert not await b.coordinator.claim({3})
    assert await a.coordinator.claim({3}), "a claim whose answer was lost can be made again"
    assert (await b.sees(lambda view: 3 in view.owners)).owners == {3: owner(a)}


async def test_only_its_owner_hands_a_shard_over_and_only_to_who_is_there(places: Places) -> None:
    a, b = await places.join("a"), await places.join("b")
    await a.coordinator.claim({3})
    assert not await b.coordinator.hand_over({3}, b.member)
    assert not await a.coordinator.hand_over({3}, Member("c", "c-1", ""))
    assert await a.coordinator.hand_over({3}, b.member)
    assert (await a.sees(lambda view: view.owners.get(3) == owner(b))).owners == {3: owner(b)}
    await a.coordinator.leave()
    await b.sees(lambda view: "a" not in view.members)
    assert b.coordinator.view.owners == {3: owner(b)}, "it stands under the session of its new owner"


async def test_of_many_shards_those_are_had_that_can_be(places: Places) -> None:
    a, b = await places.join("a"), await places.join("b")
    assert await b.coordinator.claim({2, 70}) == {2, 70}
    assert await a.coordinator.claim(range(100)) == set(range(100)) - {2, 70}
    assert await a.coordinator.hand_over(range(90, 100), b.member) == set(range(90, 100))
    assert await a.coordinator.hand_over({1, 2, 3}, b.member) == {1, 2, 3}, "2 was there already"
    await a.coordinator.give_up(range(80, 95))
    expected = {shard: owner(b if shard in {1, 2, 3, 70} or shard >= 90 else a) for shard in range(100)}
    expected = {shard: who for shard, who in expected.items() if not 80 <= shard < 90}
    assert (await b.sees(lambda view: view.owners == expected)).owners == expected


async def test_a_node_sees_at_once_what_it_has_done_itself(places: Places) -> None:
    """Or it would take back what it has just handed over."""
    a, b = await places.join("a"), await places.join("b")
    for seat in (a, b):
        await seat.sees(lambda view: len(view.members) == 2)
    for shard in range(20):
        await a.coordinator.claim({shard})
        assert a.coordinator.view.owners[shard] == owner(a)
        await a.coordinator.hand_over({shard}, b.member)
        assert a.coordinator.view.owners[shard] == owner(b)
        await b.sees(lambda view: owner(b) in view.owners.values())
        await b.coordinator.give_up({shard})
        assert shard not in b.coordinator.view.owners
    assert not (await a.sees(lambda view: not view.owners)).owners


async def test_a_shard_that_was_given_up_is_anybodys(places: Places) -> None:
    a, b = await places.join("a"), await places.join("b")
    await a.coordinator.claim({3})
    await b.coordinator.give_up({3})
    assert not await b.coordinator.claim({3}), "nobody gives up what is not his"
    await a.coordinator.give_up({3})
    assert await b.coordinator.claim({3})


async def test_the_shards_of_a_node_that_died_become_orphans(places: Places) -> None:
    a, b = await places.join("a"), await places.join("b")
    await a.coordinator.claim({3})
    await b.sees(lambda view: 3 in view.owners)
    places.die(a)
    await b.sees(lambda view: not view.owners and list(view.members) == ["b"])
    assert a.coordinator.session_left_s <= 0
    assert await b.coordinator.claim({3})


async def test_a_node_that_is_to_be_drained_takes_nothing(places: Places) -> None:
    a, b = await places.join("a"), await places.join("b")
    await a.coordinator.drain("b", wanted=True)
    assert (await b.sees(lambda view: "b" in view.draining)).takers == ["a"]
    await a.coordinator.drain("b", wanted=False)
    assert sorted((await b.sees(lambda view: not view.draining)).takers) == ["a", "b"]
    leaving = Member("b", b.member.incarnation, "", leaving=True)
    await b.coordinator.announce(leaving)
    assert (await a.sees(lambda view: view.members["b"].leaving)).takers == ["a"]


async def test_the_next_life_of_a_node_that_was_to_be_drained_is_wanted_again(places: Places) -> None:
    """Else it would leave as soon as it has come."""
    a, b = await places.join("a"), await places.join("b")
    await a.coordinator.drain("b", wanted=True)
    await a.sees(lambda view: "b" in view.draining)
    await b.coordinator.leave()
    again = await places.join("b", "2")
    assert sorted((await again.sees(lambda view: len(view.members) == 2)).takers) == ["a", "b"]


async def test_a_name_is_taken_by_one_node_at_a_time(places: Places) -> None:
    await places.join("a")
    with pytest.raises(CoordinatorError, match="a node named a is"):
        await places.join("a", "2")


async def test_the_next_life_of_a_node_may_have_its_name(places: Places) -> None:
    places.die(await places.join("a"))
    again = await places.join("a", "2")
    assert (await again.sees(lambda view: "a" in view.members)).members["a"].incarnation == "a-2"
