"""What type checkers must make of user code. Never run: `test_typing.py` gives it to the type checkers."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, assert_type

from understudy import (
    Actor,
    ActorRef,
    App,
    Client,
    Health,
    Held,
    Resource,
    ResourceRef,
    Retry,
    RunHandle,
    Task,
    Workflow,
    ask,
    call,
    embedded,
    handler,
    leases,
    lock,
    now,
    operation,
    readonly,
    semaphore,
    start,
    tell,
    wait_until,
)

app = App("typing")


@app.task
async def charge(order: str, cents: int = 1) -> str:
    return order


@app.task
def render(order: str) -> bytes:
    return order.encode()


@app.task(optional=True, timeout="5s", retry=Retry(attempts=3))
async def guess(order: str) -> int:
    return len(order)


@app.task(isolate="process", memory_mb=100)
def compute(order: str) -> float:
    return 1.0


@app.workflow
async def checkout(order: str, cents: int = 1) -> float:
    return 1.0


@app.workflow(name="named", timeout="3d", raises=(ValueError,))
async def named(order: str) -> int:
    return 1


@app.workflow
class Approval:
    verdict: str | None = None

    async def run(self, order: str, cents: int) -> bytes:
        assert_type(await wait_until(lambda: self.verdict), str)
        return b""

    @handler
    def decide(self, verdict: str) -> int:
        return 1

    @handler
    async def consider(self, verdict: str = "") -> float:
        return 1.0

    @readonly
    def current(self) -> str | None:
        return None


@app.workflow(name="other")
class Other:
    async def run(self) -> None: ...


@app.actor
class Counter(Actor):
    value: int = 0

    @handler
    async def add(self, n: int = 1) -> int:
        return n

    @readonly
    def get(self) -> str:
        return ""


async def decorated() -> None:
    assert_type(charge, Task[[str, int], str])  # type: ignore[assert-type] # mypy keeps the parameters' names
    assert_type(await charge("a", cents=2), str)
    assert_type(await render("a"), bytes)
    assert_type(await guess("a"), int | None)
    assert_type(await compute("a"), float)
    assert_type(await charge.with_(timeout=3)("a"), str)
    assert_type(await charge.with_(optional=True)("a"), str | None)
    assert_type(await charge.optional(1)("a"), str | int)
    assert_type(await charge.optional(None)("a"), str | None)
    assert_type(await asyncio.gather(charge("a"), render("a")), tuple[str, bytes])
    assert_type(now(), datetime)
    assert_type(Approval(), Approval)


async def children() -> None:
    assert_type(await checkout("a"), float)
    assert_type(await named(order="a"), int)
    assert_type(checkout.start("a", cents=3), str)
    assert_type(await call(checkout, "a", 2, id="x"), float)
    assert_type(await call(Approval, "a", 2, id="x"), bytes)
    assert_type(await call(Approval, "a", cents=2), bytes)
    assert_type(start(Approval, "a", 2, id="x"), str)
    assert_type(start(checkout, "a", id="x"), str)
    assert_type(await ask("run", Approval.decide, "yes"), int)
    assert_type(await ask(Counter.at("x"), Counter.add, 2), int)
    tell("run", Approval.consider, verdict="no")


async def actors() -> None:
    ref = Counter.at("x")
    assert_type(ref, ActorRef[Counter])
    assert_type(await ref.ask(Counter.add), int)
    assert_type(await ref.ask(Counter.get), str)
    ref.tell(Counter.add, 3)


async def clients() -> None:
    async with embedded(app, store="memory://") as client:
        assert_type(client, Client)
        assert_type(await client.start(checkout, "a"), RunHandle[float])
        assert_type(await client.start(checkout, "a", id="x"), RunHandle[float])
        assert_type(await client.start(checkout, "a", 2, id="x", if_exists="error"), RunHandle[float])
        assert_type(await client.start(Approval, "a", 2, id="x"), RunHandle[bytes])
        assert_type(await client.start(Approval, "a", cents=2), RunHandle[bytes])
        assert_type(await client.start(Other, id="x"), RunHandle[None])
        assert_type(await client.run(checkout, "a", id="x"), float)
        assert_type(await client.run(Approval, "a", 2, id="x"), bytes)
        assert_type(client.handle("x"), RunHandle[Any])
        assert_type(client.handle("x", checkout), RunHandle[float])
        assert_type(client.handle("x", Approval), RunHandle[bytes])
        run = client.handle("x", Approval)
        assert_type(await run.result(), bytes)
        assert_type(await run.ask(Approval.decide, "yes"), int)
        assert_type(await run.ask(Approval.consider), float)
        assert_type(await client.ask(run, Approval.current), str | None)
        assert_type(await client.ask(Counter.at("x"), Counter.get), str)
        await client.tell("x", Approval.decide, "yes")
        await client.tell(Counter.at("x"), Counter.add, 3)
        assert_type(await client.ask("x", "decide", "yes", late=True), Any)
        assert_type(await run.ask("decide", "yes"), Any)
        await client.tell(Counter.at("x"), "add", 3)
        await run.tell("decide", "yes")


async def mistakes(client: Client) -> None:
    await charge(1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    await charge.with_(attempts=2)("a")  # type: ignore[call-overload] # pyright: ignore
    await checkout()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    await client.start(checkout, 1)  # type: ignore[arg-type] # pyright: ignore
    await client.start(checkout, 1, id="x")  # type: ignore[arg-type, call-arg] # pyright: ignore
    await client.start(Approval, "a", "b", id="x")  # type: ignore[arg-type, call-arg] # pyright: ignore
    await client.start(checkout, "a", id="x", if_exists="maybe")  # type: ignore[call-arg] # pyright: ignore
    await client.tell("x", Approval.decide, 5)  # type: ignore[call-overload] # pyright: ignore
    await Counter.at("x").ask(Counter.add, "a")  # type: ignore[call-overload] # pyright: ignore
    await Counter.at("x").ask(Approval.current)  # type: ignore[call-overload] # pyright: ignore


def held(task: Task[[str], int], workflow: Workflow[[str], int]) -> None:
    assert_type(task.fn("a"), Any)


@app.resource(capacity=8, idle_timeout="10m")
class Cluster(Resource[dict[str, int], str]):
    async def create(self, spec: dict[str, int], fence: int) -> str:
        return "j-1"

    async def check(self, handle: str) -> Health:
        return "healthy"

    async def destroy(self, handle: str, fence: int) -> None: ...

    @operation(rate="20/s", concurrency=4)
    async def add_step(self, handle: str, step: list[str], fence: int = 0) -> bytes:
        return b""

    @operation
    def ping(self, handle: str, fence: int = 0) -> bool:
        return True


@app.resource
class Printer(Resource[None, None]): ...


@app.workflow
async def prints(name: str) -> None:
    at = Cluster.at("a", {"nodes": 1})
    assert_type(at, ResourceRef[Cluster])
    async with at.lease(units=2, wait="10m") as cluster:
        assert_type(cluster, Cluster)
        assert_type(cluster.fence, int)
        assert_type(cluster.handle, str)
        assert_type(await cluster.add_step(["x"]), bytes)
        assert_type(await cluster.ping(), bool)
        await cluster.add_step("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with Printer.at("hall").exclusive() as printer:
        assert_type(printer.handle, None)
    async with lock("ledger") as held, semaphore("licences", 5).lease(2) as more:
        assert_type(held, Held)
        assert_type(more.units, int)
    async with leases(lock("b"), at.lease(), semaphore("a", 3)) as (b, other, _):
        assert_type(b, Held)
        assert_type(other.handle, str)
    Cluster.at("a", 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
