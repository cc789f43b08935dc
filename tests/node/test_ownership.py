"""Which node runs which shard: every shard is run by one node, and goes on elsewhere when that node goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection

import anyio
import pytest

from understudy.errors import StoreError
from understudy_runtime.cluster.local import LocalCluster, LocalCoordinator
from understudy_runtime.core.membership import CoordinatorError, Member
from understudy_runtime.node.clocks import SystemClock
from understudy_runtime.node.ownership import Ownership
from understudy_runtime.storage.memory import MemoryData, MemoryStore

pytestmark = pytest.mark.anyio

SHARDS = 24


class Host:
    """Stands for an engine: it knows which shards are open in it."""

    def __init__(self, floor: Floor) -> None:
        self.open: set[int] = set()
        self.dropped: list[int] = []
        self.told: list[tuple[str, tuple[int, ...]]] = []
        self.waits: anyio.Event | None = None
        """What opening and sealing wait for, as if for a store that does not answer."""
        self.trouble: list[Exception] = []
        """What becomes of the next times that it is to open any."""
        self._floor = floor

    async def open_shards(self, shards: Collection[int]) -> None:
        if self.trouble:
            raise self.trouble.pop()
        await self._wait()
        self.open |= set(shards)
        self._floor.look()

    async def seal_shards(self, shards: Collection[int]) -> None:
        self.open -= set(shards)
        await self._wait()

    async def _wait(self) -> None:
        self._floor.look()
        if self.waits is not None:
            await self.waits.wait()

    async def hand_over(self, shards: Collection[int], to: str) -> None:
        assert not self.open & set(shards), "they are sealed first"
        self.told.append((to, tuple(shards)))

    def drop_shards(self, shards: Collection[int], why: str) -> None:
        self.open -= set(shards)
        self.dropped += shards
        self._floor.look()


class Store(MemoryStore):
    """One that may have been silent for a while."""

    silence_s = 0.0

    @property
    def silent_s(self) -> float:
        return self.silence_s


class Coordinator(LocalCoordinator):
    """One that cannot be reached while it is `away`."""

    away = False

    async def announce(self, member: Member) -> None:
        self._come()
        await super().announce(member)

    async def give_up(self, shards: Collection[int]) -> None:
        self._come()
        await super().give_up(shards)

    def _come(self) -> None:
        if self.away:
            raise CoordinatorError("it is away")


class Node:
    def __init__(self, name: str, floor: Floor) -> None:
        self.host = Host(floor)
        self.store = Store(floor.data)
        self.coordinator = Coordinator(floor.cluster, SystemClock())
        self.ownership = Ownership(
            self.coordinator, self.store, self.host, Member(name, f"{name}-1", f"{name}:1"), SystemClock()
        )


class Floor:
    """A cluster of such nodes. Tests wait for what they want of all of them."""

    def __init__(self) -> None:
        self.data = MemoryData(SHARDS)
        self.cluster = LocalCluster(SHARDS)
        self.nodes: dict[str, Node] = {}
        self._news = anyio.Event()

    async def add(self, name: str, waits: anyio.Event | None = None) -> Node:
        node = self.nodes[name] = Node(name, self)
        node.host.waits = waits
        await node.store.join(name, f"{name}-1", 0.0)
        await node.ownership.start()
        return node

    def look(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()

    async def until(self, wanted: Callable[[], bool]) -> None:
        with anyio.fail_after(10):
            while not wanted():
                await self._news.wait()

    def settled(self) -> bool:
        """Every shard is open at one node, and none has two more than another."""
        open_ = [shard for node in self.nodes.values() for shard in node.host.open]
        loads = [len(node.host.open) for node in self.nodes.values()]
        return sorted(open_) == list(range(SHARDS)) and max(loads) - min(loads) <= 1


@pytest.fixture
async def floor() -> AsyncIterator[Floor]:
    made = Floor()
    yield made
    for node in made.nodes.values():
        await node.ownership.leave()
        await node.store.close()


async def test_three_nodes_share_the_shards(floor: Floor) -> None:
    for name in ("a", "b", "c"):
        await floor.add(name)
    await floor.until(floor.settled)
    assert sorted(len(node.host.open) for node in floor.nodes.values()) == [8, 8, 8]


async def test_a_node_that_joins_takes_its_share_and_nothing_is_dropped_for_it(floor: Floor) -> None:
    for name in ("a", "b", "c"):
        await floor.add(name)
    await floor.until(floor.settled)
    await floor.add("d")
    await floor.until(floor.settled)
    assert not any(node.host.dropped for node in floor.nodes.values())


async def test_the_shards_of_a_node_that_stops_go_on_elsewhere(floor: Floor) -> None:
    for name in ("a", "b", "c"):
        await floor.add(name)
    await floor.until(floor.settled)
    gone = floor.nodes.pop("b")
    await gone.ownership.leave()
    await floor.until(floor.settled)
    await gone.store.close()


async def test_a_node_that_leaves_hands_everything_over(floor: Floor) -> None:
    a, b = await floor.add("a"), await floor.add("b")
    await floor.until(floor.settled)
    had, b.host.told = sorted(b.host.open), []
    await b.ownership.give_away(30.0)
    await b.ownership.leave()
    assert not b.host.open
    assert not b.host.dropped
    assert sorted(shard for to, shards in b.host.told for shard in shards if to == "a") == had
    del floor.nodes["b"]
    await floor.until(floor.settled)
    assert len(a.host.open) == SHARDS


async def test_a_drained_node_keeps_nothing_until_it_is_wanted_again(floor: Floor) -> None:
    a, b = await floor.add("a"), await floor.add("b")
    await floor.until(floor.settled)
    await a.coordinator.drain("b", wanted=True)
    await floor.until(lambda: len(a.host.open) == SHARDS and not b.host.open)
    await a.coordinator.drain("b", wanted=False)
    await floor.until(floor.settled)


async def test_a_node_whose_session_ended_drops_what_others_have_taken(floor: Floor) -> None:
    """As after a pause: it comes back, finds its shards in other hands, and takes its share anew by hand-over."""
    a, b = await floor.add("a"), await floor.add("b")
    await floor.until(floor.settled)
    floor.cluster.expire("b")
    await floor.until(lambda: len(a.host.open) == SHARDS and not b.host.open)
    assert b.host.dropped
    await b.coordinator.announce(b.ownership.member)
    await floor.until(floor.settled)


async def test_what_the_store_refuses_is_dropped_at_once(floor: Floor) -> None:
    a = await floor.add("a")
    await floor.until(floor.settled)
    a.ownership.lost([3, 4])
    assert a.host.dropped == [3, 4]
    assert not {3, 4} & a.host.open
    await floor.until(floor.settled)


async def test_shards_that_another_has_run_unnoticed_are_begun_anew(floor: Floor) -> None:
    """As after a pause in which they were taken by a node that has died since: what is in memory of them is old."""
    a = await floor.add("a")
    await floor.until(floor.settled)
    other = MemoryStore(floor.data)
    await other.join("b", "b-1", 0.0)
    await other.claim({shard.id: shard.term for shard in floor.data.shards if shard.id in (3, 4)})
    await other.close()
    floor.cluster.own({shard: owner for shard, owner in floor.cluster.view.owners.items() if shard > 5})
    await floor.until(lambda: sorted(a.host.dropped) == [3, 4] and floor.settled())
    assert a.store.terms == {shard.id: shard.term for shard in floor.data.shards}


@pytest.mark.parametrize("trouble", [StoreError("not now"), RuntimeError("a fault of ours")])
async def test_shards_that_could_not_be_opened_are_begun_anew(floor: Floor, trouble: Exception) -> None:
    """Else nobody would run them: the others see that they are this node's."""
    a = await floor.add("a")
    await floor.until(floor.settled)
    a.host.trouble = [trouble]
    a.ownership.lost([3, 4])
    await floor.until(lambda: not a.host.trouble and floor.settled())


async def test_a_node_without_a_store_gives_way_although_it_could_not_say_so_at_once(floor: Floor) -> None:
    a, b = await floor.add("a"), await floor.add("b")
    await floor.until(floor.settled)
    b.coordinator.away = True
    b.store.silence_s = 60.0
    await floor.until(lambda: not b.host.open)
    assert len(a.host.open) < SHARDS
    b.coordinator.away = False
    await floor.until(lambda: len(a.host.open) == SHARDS)
    b.store.silence_s = 0.0
    await floor.until(floor.settled)


@pytest.mark.parametrize("speaks", [(2, 3), (0, 0)])
async def test_a_node_that_some_other_could_not_speak_with_does_not_join(floor: Floor, speaks: tuple[int, int]) -> None:
    a = await floor.add("a")
    await floor.until(floor.settled)
    b = Node("b", floor)
    b.ownership.member = Member("b", "b-1", "", speaks=speaks)
    with pytest.raises(CoordinatorError, match=r"node a speaks versions 1 to 1 .*: upgrade one release at a time"):
        await b.ownership.start()
    assert b.coordinator.view.members.keys() == {"a"}
    assert len(a.host.open) == SHARDS


async def test_a_node_of_the_release_before_or_after_joins(floor: Floor) -> None:
    await floor.add("a")
    b = floor.nodes["b"] = Node("b", floor)
    b.ownership.member = Member("b", "b-1", "b:1", speaks=(1, 2))
    await b.store.join("b", "b-1", 0.0)
    await b.ownership.start()
    await floor.until(floor.settled)


async def test_a_cluster_and_a_store_of_different_sizes_do_not_go_together(floor: Floor) -> None:
    node = Node("a", floor)
    node.coordinator = Coordinator(LocalCluster(SHARDS + 1), SystemClock())
    node.ownership = Ownership(node.coordinator, node.store, node.host, Member("a", "a-1", ""), SystemClock())
    await node.store.join("a", "a-1", 0.0)
    with pytest.raises(CoordinatorError, match="the cluster has 25 shards and the store 24"):
        await node.ownership.start()
    await node.store.close()


async def test_a_node_that_waits_for_a_silent_store_to_seal_shards_drops_all_of_them(floor: Floor) -> None:
    ann = await floor.add("ann")
    await floor.until(floor.settled)
    ann.host.waits = anyio.Event()
    await floor.add("bob")
    await floor.until(lambda: len(ann.host.open) < SHARDS)
    ann.store.silence_s = 6.0
    await floor.until(lambda: not ann.host.open and not ann.ownership.ours)
    ann.host.waits.set()
    await floor.until(lambda: len(floor.nodes["bob"].host.open) == SHARDS)


async def test_what_is_opened_only_after_the_store_was_silent_is_dropped_again(floor: Floor) -> None:
    ann = await floor.add("ann")
    await floor.until(floor.settled)
    bob = await floor.add("bob", waits=anyio.Event())
    await floor.until(lambda: bool(bob.ownership.ours))
    assert not bob.host.open
    bob.store.silence_s = 6.0
    await floor.until(lambda: not bob.ownership.ours)
    assert bob.host.waits is not None
    bob.host.waits.set()
    await floor.until(lambda: not bob.host.open and len(ann.host.open) == SHARDS)
