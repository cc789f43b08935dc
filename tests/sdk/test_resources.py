"""Resources, leases, locks and semaphores as users write and use them, in a real node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

import understudy
from understudy import (
    Actor,
    App,
    AskFailed,
    BadDefinition,
    BadInput,
    BadRequest,
    Client,
    Health,
    LeaseLost,
    LeaseTimedOut,
    Resource,
    ResourceFailed,
    ResourceRef,
    Retry,
    RunFailed,
    TaskFailed,
    UnknownName,
    handler,
    leases,
    lock,
    operation,
    semaphore,
    testing,
)
from understudy.resource_door import ResourceDoor, resource_door

pytestmark = pytest.mark.anyio

app = App("clusters")


class Refused(Exception):
    """What a driver may say."""


class Outside:
    """What has been asked of the outside system, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.inside: dict[str, int] = {}
        self.most: dict[str, int] = {}

    def enter(self, name: str) -> None:
        self.inside[name] = self.inside.get(name, 0) + 1
        self.most[name] = max(self.most.get(name, 0), self.inside[name])

    def leave(self, name: str) -> None:
        self.inside[name] -= 1


outside = Outside()


@app.resource(capacity=2, create_retry=Retry(attempts=1), check_every="50ms")
class Cluster(Resource[dict[str, int], str]):
    async def create(self, spec: dict[str, int], fence: int) -> str:
        if spec["nodes"] > 9:
            raise Refused("too many nodes")
        outside.calls.append(("create", spec, fence))
        return f"j-{fence}"

    async def check(self, handle: str) -> Health:
        return "healthy"

    async def destroy(self, handle: str, fence: int) -> None:
        outside.calls.append(("destroy", handle, fence))

    @operation(rate="1000/s", concurrency=4, raises=[Refused])
    async def add_step(self, handle: str, step: list[str], fence: int = 0) -> str:
        if not step:
            raise Refused("an empty step")
        return f"{step[0]} on {handle} under {fence}"

    @operation
    def break_down(self, handle: str, fence: int = 0) -> None:
        raise ValueError("broken")


@app.resource(capacity=3)
class Database(Resource[str, str]):
    @operation(concurrency=1)
    def query(self, handle: str, sql: str, fence: int = 0) -> str:
        return f"{sql} at {handle}"


@app.task
async def work(name: str, seconds: float = 0.01) -> None:
    outside.enter(name)
    await asyncio.sleep(seconds)
    outside.leave(name)


@app.task
async def hang(name: str) -> None:
    outside.enter(name)
    try:
        await asyncio.Event().wait()
    finally:
        outside.leave(name)


@pytest.fixture
async def client() -> AsyncGenerator[Client]:
    outside.__init__()  # type: ignore[misc]  # the module's driver knows this one
    async with understudy.embedded(app, store="memory://") as client:
        yield client


# --- workflows


@app.workflow
async def steps(nodes: int, step: list[str]) -> list[Any]:
    async with Cluster.at("a", {"nodes": nodes}).lease(units=2) as cluster:
        return [cluster.fence, cluster.handle, cluster.units, await cluster.add_step(step)]


@app.workflow
async def breaks() -> None:
    async with Cluster.at("b", {"nodes": 1}).lease() as cluster:
        await cluster.break_down()


@app.workflow
async def queries(database: ResourceRef[Database]) -> str:
    async with database.lease() as db:
        return await db.query("select")


@app.workflow
async def one_at_a_time(name: str) -> int:
    async with lock(name) as held:
        await work(name)
        return held.fence


@app.workflow
async def at_most(name: str, units: int, capacity: int) -> None:
    async with semaphore(name, capacity).lease(units):
        await work(name)


@app.workflow
async def in_any_order(names: list[str]) -> list[int]:
    async with leases(*(lock(name) for name in names)) as held:
        await asyncio.gather(*(work(name, 0.001) for name in names))
        return [each.fence for each in held]


@app.workflow
async def impatient(name: str) -> int:
    async with lock(name).lease(wait="50ms") as held:
        return held.fence


@app.workflow
async def hangs_in(name: str) -> None:
    async with lock(name):
        await hang(name)


@app.workflow
async def gives_up(name: str) -> int:
    try:
        async with asyncio.timeout(0.05), lock(name) as held:
            return held.fence
    except TimeoutError:
        return 0


@app.workflow
async def twice(name: str) -> None:
    async with lock(name), lock(name):
        pass


@app.workflow
async def too_late(name: str) -> str:
    async with Database.at(name, "host").lease() as db:
        pass
    return await db.query("select")


@app.workflow
async def alone(name: str) -> int:
    async with Database.at(name, "host").exclusive() as db:
        await work(name)
        return db.fence


@app.workflow
async def shares(name: str) -> None:
    async with Database.at(name, "host").lease():
        await work(name)


@app.actor
class Clerk(Actor):
    fences: list[int] = []

    @handler
    async def book(self, name: str) -> int:
        async with leases(lock(name), Database.at(name, "host").lease()) as (held, db):
            await work(name)
            await db.query("insert")
            self.fences.append(held.fence)
            return held.fence

    @handler
    async def fail_in(self, name: str) -> None:
        async with lock(name):
            await work(name)
            raise ValueError("no")


# --- what they come to


async def test_a_resource_is_made_when_it_is_first_wanted_and_shared_by_later_runs(client: Client) -> None:
    assert await client.run(steps, 3, ["load"]) == [2, "j-1", 2, "load on j-1 under 2"]
    assert await client.run(steps, 3, ["sort"]) == [3, "j-1", 2, "sort on j-1 under 3"]
    assert outside.calls == [("create", {"nodes": 3}, 1)]


async def test_a_static_resource_has_its_spec_as_handle_and_its_address_travels(client: Client) -> None:
    assert await client.run(queries, Database.at("main", "db.example")) == "select at db.example"


async def test_errors_of_operations_reach_the_run_as_those_of_tasks_do(client: Client) -> None:
    with pytest.raises(RunFailed, match="Refused: an empty step"):
        await client.run(steps, 3, [])
    with pytest.raises(RunFailed, match="ValueError: broken") as failed:
        await client.run(breaks)
    assert failed.value.type == TaskFailed.__name__


async def test_a_resource_that_cannot_be_made_fails_those_who_wait_for_it(client: Client) -> None:
    with pytest.raises(RunFailed, match="too many nodes") as failed:
        await client.run(steps, 10, ["load"])
    assert failed.value.type == ResourceFailed.__name__


async def test_a_lock_has_one_holder_and_its_fence_grows_with_each(client: Client) -> None:
    fences = await asyncio.gather(*(client.run(one_at_a_time, "ledger") for _ in range(8)))
    assert sorted(fences) == list(range(1, 9))
    assert outside.most == {"ledger": 1}


async def test_a_semaphore_has_no_more_holders_than_units(client: Client) -> None:
    await asyncio.gather(*(client.run(at_most, "licences", 2, 5) for _ in range(8)))
    assert outside.most["licences"] <= 2
    await asyncio.gather(*(client.run(at_most, "licences", 1, 5) for _ in range(12)))
    assert 1 < outside.most["licences"] <= 5


async def test_locks_taken_together_never_deadlock(client: Client) -> None:
    orders = [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"], ["c", "a", "b"]] * 3
    async with asyncio.timeout(30):
        fences = await asyncio.gather(*(client.run(in_any_order, names) for names in orders))
    assert sorted(fence for held, names in zip(fences, orders, strict=True) for fence in [held[names.index("a")]]) == [
        *range(1, 13)
    ]
    assert set(outside.most.values()) == {1}


async def test_waiting_ends_when_it_was_to(client: Client) -> None:
    holder = await client.start(hangs_in, "l")
    await until(lambda: outside.inside.get("l") == 1)
    with pytest.raises(RunFailed, match=r"no lease of lock/l within .* look who has it") as failed:
        await client.run(impatient, "l")
    assert failed.value.type == LeaseTimedOut.__name__
    assert await client.run(gives_up, "l") == 0
    await holder.terminate()
    assert await client.run(impatient, "l") == 2


async def test_a_terminated_run_gives_its_lease_back_when_its_task_has_ended(client: Client) -> None:
    for end in ("terminate", "cancel"):
        holder = await client.start(hangs_in, "l")
        await until(lambda: outside.inside.get("l") == 1)
        next_one = asyncio.create_task(client.run(one_at_a_time, "l"))
        await getattr(holder, end)()
        await next_one
        assert outside.most["l"] == 1, "the next holder's task began only when the last one's had ended"


async def test_exclusive_means_alone(client: Client) -> None:
    runs = [client.run(alone if n % 3 == 0 else shares, "main", id=f"{n}") for n in range(9)]
    await asyncio.gather(*runs)
    assert outside.most["main"] <= 3
    assert outside.inside["main"] == 0


async def test_a_block_that_waits_for_itself_is_refused(client: Client) -> None:
    with pytest.raises(RunFailed, match="would wait for itself for ever"):
        await client.run(twice, "l")
    assert await client.run(impatient, "l") > 0


async def test_operations_end_with_their_block(client: Client) -> None:
    with pytest.raises(RunFailed, match="call operations inside it") as failed:
        await client.run(too_late, "main")
    assert failed.value.type == LeaseLost.__name__


async def test_handlers_of_actors_hold_leases_that_end_with_them(client: Client) -> None:
    clerks = [Clerk.at(str(n)) for n in range(3)]
    with pytest.raises(AskFailed, match="ValueError: no"):
        await client.ask(clerks[0], Clerk.fail_in, "l")
    fences = await asyncio.gather(*(client.ask(clerk, Clerk.book, "l") for clerk in clerks * 2))
    assert sorted(fences) == list(range(2, 8))
    assert outside.most == {"l": 1}
    assert (await resource_door(client.door).describe_resource("lock/l")).held == 0


async def test_a_run_with_leases_replays_as_it_was() -> None:
    async with testing.node(app) as client:
        await client.run(steps, 3, ["load"], id="r")
        assert await client.run(in_any_order, ["b", "a"]) == [1, 1]


# --- from outside


async def test_a_program_outside_holds_a_lease_like_any_run(client: Client) -> None:
    async with client.lease(lock("l")) as held:
        assert held.fence == 1
        with pytest.raises(RunFailed, match="no lease of lock/l"):
            await client.run(impatient, "l")
    assert await client.run(impatient, "l") == 2
    async with client.lease(Database.at("main", "host").lease(3)) as db:
        assert (db.handle, db.units) == ("host", 3)
    with pytest.raises(LeaseTimedOut):
        async with client.lease(lock("l")), client.lease(lock("l").lease(wait=0.05)):
            pass


async def test_a_wait_outside_that_is_given_up_gives_its_place_back(client: Client) -> None:
    door = resource_door(client.door)
    async with client.lease(lock("l")):
        waiting = asyncio.create_task(anext(_entered(client.lease(lock("l")))))
        await until_async(lambda: _waiting(door, "lock/l"), 1)
        waiting.cancel()
        await until_async(lambda: _waiting(door, "lock/l"), 0)
    assert await client.run(impatient, "l") == 2


async def test_a_holder_that_was_paused_is_refused_and_the_next_has_a_greater_fence() -> None:
    async with testing.node(app) as client:
        door = resource_door(client.door)
        request = lock("l").request
        first = await door.acquire_lease(request, holder="a", ttl_s=30.0)
        await client.advance("20s")
        await door.renew_lease("lock/l", holder="a", fence=first.fence, ttl_s=30.0)
        await client.advance("20s")
        assert (await door.acquire_lease(request, holder="a", ttl_s=30.0)).fence == first.fence
        await client.advance("31s")
        second = await door.acquire_lease(request, holder="b", ttl_s=30.0)
        assert second.fence > first.fence
        with pytest.raises(LeaseLost, match="was not renewed in time and expired"):
            await door.renew_lease("lock/l", holder="a", fence=first.fence, ttl_s=30.0)
        await door.release_lease("lock/l", holder="a", fence=first.fence)
        assert (await door.describe_resource("lock/l")).held == 1


async def test_a_block_whose_lease_is_revoked_is_cancelled(client: Client) -> None:
    door = resource_door(client.door)
    address = "resource.Cluster/a"

    async def hold() -> None:
        async with client.lease(Cluster.at("a", {"nodes": 1}).lease(), ttl=1):
            await door.destroy_resource(address, force=True, by="ada", note="costs too much")
            await asyncio.Event().wait()

    with pytest.raises(LeaseLost, match=r"was revoked.*by ada"):
        await hold()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    await until_async(lambda: _state(door, address), "absent")
    assert ("destroy", "j-1") in [call[:2] for call in outside.calls]
    history = [record for turn in await door.resource_history(address, 0, 100) for record in turn.records]
    assert any(record["t"] == "ResourceMoved" and "costs too much" in record["cause"] for record in history)


async def test_an_operator_sees_who_holds_and_who_waits(client: Client) -> None:
    door = resource_door(client.door)
    await client.start(hangs_in, "l", id="holder")
    await until(lambda: outside.inside.get("l") == 1)
    waiting = await client.start(one_at_a_time, "l", id="waiting")
    await until_async(lambda: _waiting(door, "lock/l"), 1)
    described = await door.describe_resource("lock/l")
    assert [lease.holder for lease in described.leases] == ["default/run/holder:1:1"]
    assert [wait.holder for wait in described.queue] == ["default/run/waiting:1:1"]
    assert [each.key for each in await door.list_resources(kind="lock", limit=10)] == ["default/lock/l"]
    with pytest.raises(UnknownName, match="there is no lock/nobody yet"):
        await door.describe_resource("lock/nobody")
    with pytest.raises(UnknownName, match="no resource type Nothing"):
        await door.describe_resource("resource.Nothing/a")
    await client.handle("holder").terminate()
    await waiting.result()


# --- refused where it is written


def test_what_could_not_be_served_is_refused_where_it_is_decorated() -> None:
    other = App("other")

    with pytest.raises(BadDefinition, match="no destroy"):

        @other.resource
        class Eternal(Resource[None, str]):
            async def create(self, spec: None, fence: int) -> str:
                return ""

    with pytest.raises(BadDefinition, match=r"check_every and no check"):

        @other.resource(check_every="1s")
        class Unseen(Resource[None, None]): ...

    with pytest.raises(BadDefinition, match="the same type"):

        @other.resource
        class Odd(Resource[str, int]): ...

    with pytest.raises(BadDefinition, match=r"must be act\(self, handle, ..., fence: int = 0\)"):

        @other.resource
        class Unfenced(Resource[None, None]):
            @operation
            def act(self, handle: None) -> None: ...

    with pytest.raises(BadDefinition, match=r"is called as create\(self, spec, fence\)"):

        @other.resource
        class Unspecified(Resource[None, None]):
            async def create(self, fence: int) -> None: ...
            async def destroy(self, handle: None, fence: int) -> None: ...

    with pytest.raises(BadDefinition, match="must take no arguments"):

        @other.resource
        class Demanding(Resource[None, None]):
            def __init__(self, url: str) -> None: ...

    with pytest.raises(BadDefinition, match="must derive from"):
        other.resource(dict)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.mark.parametrize("rate", ["20", "x/s", "0/s", "5/0s", -1, 0])
def test_a_rate_is_a_number_of_starts_in_some_time(rate: Any) -> None:
    with pytest.raises(BadDefinition, match="is not a rate"):
        operation(rate=rate)


def test_what_does_not_fit_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(BadInput, match="the spec of Cluster"):
        Cluster.at("a", {"nodes": "three"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput, match="the spec of Cluster"):
        Cluster.at("a")
    with pytest.raises(BadRequest, match="units=0"):
        Cluster.at("a", {"nodes": 1}).lease(0)
    with pytest.raises(BadRequest, match="has only 2"):
        semaphore("s", 2).lease(3)
    with pytest.raises(BadRequest, match="twice"):
        leases(lock("a"), lock("a"))


async def test_outside_a_workflow_a_block_says_where_to_go() -> None:
    with pytest.raises(BadRequest, match=r"client\.lease"):
        async with lock("l"):
            pass


async def _entered(block: AbstractAsyncContextManager[Any]) -> AsyncGenerator[Any]:
    async with block as held:
        yield held


async def _waiting(door: ResourceDoor, address: str) -> int:
    return (await door.describe_resource(address)).waiting


async def _state(door: ResourceDoor, address: str) -> str:
    return (await door.describe_resource(address)).state


async def until_async(look: Callable[[], Coroutine[Any, Any, Any]], wanted: Any) -> None:
    async with asyncio.timeout(30):
        while await look() != wanted:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.002)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.002)
