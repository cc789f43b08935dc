"""What happens to nodes when etcd is away, or forgets what was: they wait, and are right again by themselves."""

from __future__ import annotations

import base64

import anyio
import pytest

from tests.cluster.servers import EtcdServer
from tests.cluster.test_coordinators import Places, Seat
from understudy_runtime.cluster.etcd import EtcdCoordinator, EtcdOptions
from understudy_runtime.cluster.etcd.endpoints import is_safe
from understudy_runtime.core.membership import CoordinatorError, Member

pytestmark = pytest.mark.anyio


async def test_in_an_outage_the_view_stays_and_nothing_is_claimed(own_etcd: EtcdServer) -> None:
    places = Places(own_etcd, "outage")
    seat = await places.join("a")
    await seat.coordinator.claim({1})
    known = await seat.sees(lambda view: 1 in view.owners)
    own_etcd.stop()
    with pytest.raises(CoordinatorError, match="etcd cannot be reached"):
        await seat.coordinator.claim({2})
    view = seat.coordinator.view
    assert (view.members, view.owners) == (known.members, known.owners)
    own_etcd.start()
    await claims(seat, 2)
    await seat.sees(lambda view: 2 in view.owners)
    await places.close()


async def claims(seat: Seat, shard: int) -> None:
    """As soon as the node has a session again."""
    with anyio.fail_after(30):
        while True:
            try:
                assert await seat.coordinator.claim({shard})
                return
            except CoordinatorError:
                await anyio.sleep(0.05)  # between two tries, as a node makes them


async def test_a_session_that_ended_meanwhile_is_replaced(own_etcd: EtcdServer) -> None:
    places = Places(own_etcd, "expired")
    a, b = await places.join("a"), await places.join("b")
    await a.coordinator.claim({1})
    await b.sees(lambda view: 1 in view.owners)
    a.lives = False
    await b.sees(lambda view: list(view.members) == ["b"] and not view.owners)
    a.lives = True
    await b.sees(lambda view: sorted(view.members) == ["a", "b"])
    with anyio.fail_after(30):
        while a.coordinator.session_left_s <= 0:  # noqa: ASYNC110 - the others may see it first
            await anyio.sleep(0.01)
    assert await a.coordinator.claim({1})
    await places.close()


async def test_a_watch_whose_history_was_thrown_away_sees_what_comes(own_etcd: EtcdServer) -> None:
    places = Places(own_etcd, "compacted")
    seat = await places.join("a")
    await seat.sees(lambda view: bool(view.members))
    own_etcd.pause()
    own_etcd.resume()
    for _ in range(3):
        key = base64.b64encode(b"/elsewhere").decode()
        put = own_etcd.post("/kv/put", {"key": key, "value": key})
        own_etcd.post("/kv/compaction", {"revision": put["header"]["revision"], "physical": True})
    assert await seat.coordinator.claim({5})
    await seat.sees(lambda view: 5 in view.owners)
    await places.close()


async def test_another_endpoint_answers_for_one_that_is_away(shared_etcd: EtcdServer) -> None:
    options = EtcdOptions(("http://127.0.0.1:9", shared_etcd.url), "endpoints", ttl_s=1.0, shards=4)
    coordinator = EtcdCoordinator(options, lambda: True)
    seat = Seat(coordinator, Member("a", "a-1", ""))
    assert await coordinator.join(seat.member, seat.changed) == 4
    assert await coordinator.claim({0})
    await coordinator.leave()


async def test_a_cluster_keeps_the_number_of_its_shards(shared_etcd: EtcdServer) -> None:
    for shards in (4, 16):
        coordinator = EtcdCoordinator(EtcdOptions((shared_etcd.url,), "kept", ttl_s=1.0, shards=shards), lambda: True)
        assert await coordinator.join(Member("a", f"a-{shards}", ""), lambda view: None) == 4
        await coordinator.leave()


async def test_without_any_etcd_the_error_names_the_endpoints() -> None:
    coordinator = EtcdCoordinator(EtcdOptions(("http://127.0.0.1:9",), "none"), lambda: True)
    with pytest.raises(CoordinatorError, match=r"etcd cannot be reached: http://127\.0\.0\.1:9"):
        await coordinator.join(Member("a", "a-1", ""), lambda view: None)


@pytest.mark.parametrize(
    ("version", "safe"),
    [("3.5.1", False), ("3.5.28", True), ("3.6.8", False), ("3.6.9", True), ("3.7.0", True), ("3.4.30", False)],
)
def test_releases_with_known_faults_are_known(version: str, safe: bool) -> None:
    assert is_safe(version) is safe
