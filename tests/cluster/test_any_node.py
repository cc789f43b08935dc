"""Any node takes any call, wherever the actor is that it is for, and wherever that goes meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import anyio
import pytest

from tests.cluster.neighbourhood import LONG_S, Neighbourhood, neighbourhood
from tests.rpc.shop import Approval, Counter, app, brochure, checkout, tally
from understudy import AlreadyExists, BadRequest, Client, UnknownName, lock
from understudy.client import connect
from understudy.cluster import NodeInfo
from understudy.context import Granted
from understudy.remote.door import RemoteDoor
from understudy.resource_door import resource_door
from understudy_runtime.node.serving import OneNode
from understudy_runtime.rpc.methods import FULL_NAMES
from understudy_runtime.rpc.routing import ANYWHERE, KEY_OF

pytestmark = pytest.mark.anyio

NAMES = ("ann", "bob", "cyd")


@pytest.fixture
async def three() -> AsyncGenerator[Neighbourhood]:
    with anyio.fail_after(3 * LONG_S):
        async with neighbourhood(*NAMES) as made:
            yield made


def test_of_every_call_it_is_known_where_it_goes() -> None:
    assert set(FULL_NAMES) == KEY_OF.keys() | ANYWHERE
    assert not KEY_OF.keys() & ANYWHERE


def remote(client: Client) -> RemoteDoor:
    assert isinstance(client.door, RemoteDoor)
    return client.door


def each(three: Neighbourhood) -> list[Client]:
    return list(three.clients.values())


async def test_a_run_is_started_told_asked_and_awaited_through_any_node(three: Neighbourhood) -> None:
    owners = set[str]()
    for number in range(24):
        first, second, third = each(three)[number % 3 :] + each(three)[: number % 3]
        run = await first.start(Approval, id=f"a{number}")
        owners.add(three.owner(f"default/run/a{number}"))
        assert await second.ask(run, Approval.current) is None
        ended = asyncio.create_task(second.handle(run.run_id, Approval).result())
        await third.tell(run, Approval.decide, "yes")
        assert await ended == "yes"
        assert (await third.handle(run.run_id).describe()).status == "succeeded"
    assert owners == set(NAMES), "the runs are spread"


async def test_runs_without_an_id_are_spread_too_and_start_once(three: Neighbourhood) -> None:
    ann = three.clients["ann"]
    runs = await asyncio.gather(*(ann.start(checkout, number) for number in range(30)))
    assert {three.owner(f"default/run/{run.run_id}") for run in runs} == set(NAMES)
    assert [await run.result() for run in runs] == [str(number) for number in range(30)]
    listed = await three.clients["bob"].list(limit=100)
    assert len(listed) == 30


async def test_errors_are_the_same_from_any_node(three: Neighbourhood) -> None:
    await three.clients["ann"].start(checkout, 1, id="one")
    for client in each(three):
        with pytest.raises(AlreadyExists, match="one exists already"):
            await client.start(checkout, 1, id="one", if_exists="error")
        for number in range(6):
            with pytest.raises(UnknownName, match="there is no run"):
                await client.handle(f"nobody-{number}").describe()


async def test_actors_and_leases_are_the_same_from_any_node(three: Neighbourhood) -> None:
    fences = list[int]()
    for number in range(6):
        for client in each(three):
            await client.tell(Counter.at(f"hits-{number}"), Counter.add, 1)
            async with client.lease(lock(f"ledger-{number}")) as held:
                fences.append(held.fence)
        assert {await client.ask(Counter.at(f"hits-{number}"), Counter.get) for client in each(three)} == {3}
        assert fences[-3:] == sorted(set(fences[-3:])), "fences grow"


async def test_schedules_are_listed_by_every_node(three: Neighbourhood) -> None:
    for number in range(6):
        await each(three)[number % 3].schedules.create(f"s{number}", checkout, 1, every="1h")
    for client in each(three):
        assert {found.schedule_id for found in await client.schedules.list()} == {f"s{number}" for number in range(6)}


async def test_jobs_are_listed_completed_and_settled_through_any_node(three: Neighbourhood) -> None:
    runs = [await three.clients["ann"].start(brochure, ["a"], id=f"j{number}") for number in range(9)]
    assert {three.owner(f"default/run/j{number}") for number in range(9)} == set(NAMES)
    for client in each(three):
        with anyio.fail_after(LONG_S):
            while len(await client.jobs(status="open")) < 9:  # noqa: ASYNC110 - nobody says when it is so
                await anyio.sleep(0.005)
    for number, run in enumerate(runs):
        first, second, third = each(three)[number % 3 :] + each(three)[: number % 3]
        [job] = await first.jobs(run)
        with pytest.raises(BadRequest, match="is no uncertain job"):
            await third.settle_job(run, job.call, "x")
        await second.complete(job.token, number)
        assert await run.result() == number
        with pytest.raises(BadRequest, match="no job waits"):
            await third.complete(job.token, number)
    for client in each(three):
        assert await client.jobs() == []
        with pytest.raises(UnknownName):
            await client.jobs("nobody")


async def test_resources_are_listed_by_every_node(three: Neighbourhood) -> None:
    for number in range(9):
        async with each(three)[number % 3].lease(lock(f"l{number}")):
            pass
    assert {three.owner(f"default/lock/l{number}") for number in range(9)} == set(NAMES)
    for client in each(three):
        listed = await resource_door(client.door).list_resources(kind="lock", limit=100)
        assert [found.key for found in listed] == [f"default/lock/l{number}" for number in reversed(range(9))]


async def test_a_place_in_the_queue_for_a_lease_is_kept_when_the_lock_moves(three: Neighbourhood) -> None:
    ann = resource_door(three.clients["ann"].door)
    held, waits = list[Granted](), list[asyncio.Task[Granted]]()
    for number in range(9):
        request = lock(f"m{number}").request
        held.append(await ann.acquire_lease(request, holder="h", ttl_s=600))
        waits.append(asyncio.create_task(ann.acquire_lease(request, holder="w", ttl_s=600)))
        while not (await ann.describe_resource(request.address)).waiting:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.005)
    await three.begin("dan")
    await three.settled()
    await three.leave("cyd")
    await three.settled()
    assert not any(wait.done() for wait in waits)
    for number, granted in enumerate(held):
        assert (await ann.describe_resource(f"lock/m{number}")).waiting == 1
        await ann.release_lease(f"lock/m{number}", holder="h", fence=granted.fence)
    assert [granted.fence for granted in await asyncio.gather(*waits)] == [granted.fence + 1 for granted in held]


async def test_who_waits_for_a_run_goes_on_waiting_when_it_moves(three: Neighbourhood) -> None:
    runs = [await three.clients["ann"].start(Approval, id=f"w{number}") for number in range(12)]
    waits = [
        asyncio.create_task(client.handle(run.run_id, Approval).result())
        for client in (three.clients["ann"], three.clients["bob"])
        for run in runs
    ]
    await asyncio.sleep(0)
    await three.begin("dan")
    await three.settled()
    await three.leave("cyd")
    await three.settled()
    assert not any(wait.done() for wait in waits)
    for run in runs:
        await three.clients["dan"].tell(run, Approval.decide, "moved")
    assert set(await asyncio.gather(*waits)) == {"moved"}


async def test_calls_are_answered_while_shards_move(three: Neighbourhood) -> None:
    """A node that joins and one that leaves are noticed by nobody who calls another."""
    ann, over = three.clients["ann"], asyncio.Event()

    async def count() -> int:
        number = 0
        while not over.is_set():
            await ann.ask(Counter.at(f"c{number % 20}"), Counter.add, 1)
            number += 1
        return number

    counting = [asyncio.create_task(count()) for _ in range(4)]
    await three.begin("dan")
    await three.settled()
    await three.leave("cyd")
    await three.settled()
    over.set()
    asked = sum(await asyncio.gather(*counting))
    bob = three.clients["bob"]
    assert sum([await bob.ask(Counter.at(f"c{number}"), Counter.get) for number in range(20)]) == asked


async def test_the_shards_of_a_node_whose_session_ends_go_on_elsewhere(three: Neighbourhood) -> None:
    runs = [await three.clients["ann"].start(Approval, id=f"x{number}") for number in range(12)]
    waits = [asyncio.create_task(three.clients["ann"].handle(run.run_id, Approval).result()) for run in runs]
    three.cluster.expire("cyd")
    for run in runs:
        await three.clients["bob"].tell(run, Approval.decide, "gone on")
    assert set(await asyncio.gather(*waits)) == {"gone on"}


async def test_a_client_of_several_nodes_goes_on_when_one_leaves(three: Neighbourhood) -> None:
    both = f"{three.addresses['ann']}, {three.addresses['bob']}"
    async with connect(both, app) as client:
        waiting = asyncio.create_task((await client.start(Approval, id="w")).result())
        followed = asyncio.create_task(_statuses(client, "w"))
        asking = [asyncio.create_task(client.run(checkout, number)) for number in range(20)]
        await three.leave("ann")
        assert await asyncio.gather(*asking) == [str(number) for number in range(20)]
        await client.tell(client.handle("w"), Approval.decide, "yes")
        assert await waiting == "yes"
        assert (await followed)[-1] == "succeeded"


async def _statuses(client: Client, run_id: str) -> list[str]:
    return [described.status async for described in remote(client).watch(run_id)]


async def test_every_node_tells_of_all(three: Neighbourhood) -> None:
    for client in each(three):
        nodes = await remote(client).list_nodes()
        assert [node.node_id for node in nodes] == list(NAMES)
        assert sum(node.shards for node in nodes) == 16
        shards = await remote(client).list_shards()
        assert [shard.shard_id for shard in shards] == list(range(16))
        assert all(shard.node_id == shard.writer for shard in shards)
    three.cluster.expire("cyd")
    lost = await remote(three.clients["ann"]).list_nodes()
    assert next(node.status for node in lost if node.node_id == "cyd") in ("lost", "active")


async def test_who_asks_a_node_that_goes_meanwhile_gets_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing a channel cancels what waits on it, which must not pass for a caller who has given up."""
    asked = asyncio.Event()

    async def silent(self: OneNode) -> list[NodeInfo]:
        asked.set()
        await asyncio.Event().wait()
        return []

    async with neighbourhood("ann", "bob") as made:
        ann = remote(made.clients["ann"])
        real = OneNode.nodes

        async def nodes(self: OneNode) -> Sequence[NodeInfo]:
            return await (silent(self) if self.address == made.addresses["bob"] else real(self))

        monkeypatch.setattr(OneNode, "nodes", nodes)
        listing = asyncio.create_task(ann.list_nodes())
        await asked.wait()
        made.cluster.expire("bob")
        with anyio.fail_after(LONG_S):
            found = {node.node_id: node.trouble for node in await listing}
        assert found["bob"]


async def test_a_node_is_asked_to_leave_through_any_other() -> None:
    asked = list[float | None]()
    async with neighbourhood("ann") as made:
        await made.begin("bob", drain=asked.append)
        await made.settled()
        await remote(made.clients["ann"]).drain_node("bob", 3.0)
        assert asked == [3.0]
        with pytest.raises(UnknownName, match="there is no node eve; there are: ann, bob"):
            await remote(made.clients["ann"]).drain_node("eve", None)


async def test_what_a_workflow_sends_to_actors_of_other_nodes_arrives(three: Neighbourhood) -> None:
    """Through the store; the other node is woken, and does not wait for its next look."""
    with anyio.fail_after(LONG_S):
        assert await three.clients["ann"].run(tally, 12) == 12
