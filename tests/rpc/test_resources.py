"""Leases from outside, and what operators see and do, through both doors."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
import pytest

from tests.rpc.conftest import soon
from tests.rpc.shop import Till, Van
from understudy import BadInput, BadRequest, Client, LeaseLost, LeaseTimedOut, UnknownName, lock, semaphore
from understudy.resource_door import ResourceDoor, resource_door
from understudy_proto.v1 import resources_pb2, resources_pb2_grpc
from understudy_runtime.rpc.access import needed

pytestmark = pytest.mark.anyio


@pytest.fixture
def door(either: Client) -> ResourceDoor:
    return resource_door(either.door)


async def test_a_lease_is_held_for_as_long_as_its_block_lasts(either: Client, door: ResourceDoor) -> None:
    async with either.lease(lock("l")) as held:
        assert (held.fence, held.units, held.handle) == (1, 1, None)
        described = await soon(door.describe_resource("lock/l"))
        assert (described.state, described.held, described.used, described.type) == ("ready", 1, 1, "lock")
        assert described.leases[0].fence == 1
        assert "/client/" in described.leases[0].holder
        assert described.leases[0].expires_at is not None
    assert (await soon(door.describe_resource("lock/l"))).held == 0
    async with either.lease(semaphore("s", 5).lease(3)) as held:
        assert held.units == 3


async def test_a_wait_ends_when_it_was_to(either: Client, door: ResourceDoor) -> None:
    async with either.lease(lock("l")):
        with pytest.raises(LeaseTimedOut, match="no lease of lock/l within"):
            await soon(either.lease(lock("l").lease(wait=0.05)).__aenter__())


async def test_a_wait_that_is_cancelled_leaves_the_queue(either: Client, door: ResourceDoor) -> None:
    async with either.lease(lock("l")):
        waiting = asyncio.create_task(door.acquire_lease(lock("l").request, holder="b", ttl_s=30))
        await _waiting(door, 1)
        waiting.cancel()
        await _waiting(door, 0)


async def test_who_asks_again_gets_the_lease_there_is(door: ResourceDoor) -> None:
    request = lock("l").request
    first = await soon(door.acquire_lease(request, holder="a", ttl_s=30))
    assert await soon(door.acquire_lease(request, holder="a", ttl_s=30)) == first
    waiting = asyncio.create_task(door.acquire_lease(request, holder="b", ttl_s=30))
    await soon(door.release_lease("lock/l", holder="a", fence=first.fence))
    second = await soon(waiting)
    assert second.fence == first.fence + 1
    with pytest.raises(LeaseLost, match="was released"):
        await soon(door.renew_lease("lock/l", holder="a", fence=first.fence, ttl_s=30))
    await soon(door.renew_lease("lock/l", holder="b", fence=second.fence, ttl_s=30))


async def test_operators_drain_and_resume_and_the_history_says_who_and_why(either: Client, door: ResourceDoor) -> None:
    async with either.lease(lock("l")):
        pass
    await soon(door.drain_resource("lock/l", by="ada", note="audit"))
    with pytest.raises(LeaseTimedOut):
        await soon(either.lease(lock("l").lease(wait=0.05)).__aenter__())
    await soon(door.resume_resource("lock/l", by="ada", note="done"))
    async with either.lease(lock("l")) as held:
        assert held.fence > 1
    turns = await soon(door.resource_history("lock/l", 0, 1_000))
    moves = [record for turn in turns for record in turn.records if record["t"] == "ResourceMoved"]
    assert any(move["by"] == "ada" and "audit" in move["cause"] for move in moves)
    assert [turn.seq for turn in await soon(door.resource_history("lock/l", 1, 2))] == [2, 3]
    assert [each.key for each in await soon(door.list_resources(kind="lock", limit=10))] == ["default/lock/l"]


async def test_a_list_and_a_history_say_who_holds_what_and_by_which_node(either: Client, door: ResourceDoor) -> None:
    async with either.lease(lock("l")):
        [listed] = await soon(door.list_resources(kind="lock", limit=10))
    assert [each.holder.startswith("default/client/") for each in listed.leases] == [True]
    assert listed.node
    turns = await soon(door.resource_history("lock/l", 0, 1_000))
    leases = [record for turn in turns for record in turn.records if record["t"] in ("LeaseGranted", "LeaseOver")]
    assert [record["node"] for record in leases] == [listed.node] * 2


async def test_resources_are_listed_page_by_page(either: Client, door: ResourceDoor, channel: grpc.aio.Channel) -> None:
    for name in ("a", "b", "c"):
        till, van = Till.at(name, "desk").lease(), Van.at(name, "blue").lease()
        async with either.lease(till), either.lease(van), either.lease(lock(name)):
            pass
    every = [f"default/resource.{kind}/{name}" for kind in ("Till", "Van") for name in "cba"]
    stub: Any = resources_pb2_grpc.ResourceServiceStub(channel)
    request = resources_pb2.ListResourcesRequest(page_size=2)
    found: list[str] = []
    while not found or request.page_token:
        page = await soon(stub.ListResources(request))
        assert len(page.resources) == 2
        found += [each.key for each in page.resources]
        request.page_token = page.next_page_token
    assert found == every
    assert [each.key for each in await soon(door.list_resources(kind="", limit=4))] == every[:4]
    assert [each.key for each in await soon(door.list_resources(kind="lock", limit=100))] == [
        f"default/lock/{name}" for name in "cba"
    ]


async def test_a_handle_that_is_not_json_is_refused(channel: grpc.aio.Channel) -> None:
    stub: Any = resources_pb2_grpc.ResourceServiceStub(channel)
    request = resources_pb2.OperateResourceRequest(address="lock/l")
    request.settle.outcome, request.settle.handle = "created", b"{"
    with pytest.raises(grpc.aio.AioRpcError, match="the handle is not JSON"):
        await soon(stub.OperateResource(request))


async def test_a_capacity_is_set_and_taken_back(either: Client, door: ResourceDoor) -> None:
    async with either.lease(semaphore("s", 2)):
        pass
    await soon(door.set_capacity("semaphore/s", 7, by="ada", note=""))
    assert (await soon(door.describe_resource("semaphore/s"))).capacity == 7


async def test_what_cannot_be_is_refused(door: ResourceDoor) -> None:
    for address in ("lock", "lock/", "run/r", "resource./a", "actor.A/a"):
        with pytest.raises(BadInput, match="is no address"):
            await soon(door.describe_resource(address))
    with pytest.raises(UnknownName, match="there is no lock/nobody yet"):
        await soon(door.describe_resource("lock/nobody"))
    with pytest.raises(UnknownName, match="no resource type Nothing"):
        await soon(door.drain_resource("resource.Nothing/a", by="", note=""))
    with pytest.raises(BadRequest, match="a ttl of"):
        await soon(door.acquire_lease(lock("l").request, holder="a", ttl_s=0))


def test_looking_needs_read_and_all_else_operate() -> None:
    service = resources_pb2.DESCRIPTOR.services_by_name["ResourceService"]
    roles = {method.name: needed(f"/{service.full_name}/{method.name}") for method in service.methods}
    assert {name for name, role in roles.items() if role == "read"} == {
        "GetResource",
        "ListResources",
        "ListResourceTurns",
    }
    assert set(roles.values()) == {"read", "operate"}


async def _waiting(door: ResourceDoor, count: int) -> None:
    async with asyncio.timeout(30):
        while (await door.describe_resource("lock/l")).waiting != count:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.005)
