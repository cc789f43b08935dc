"""What a busy node lets in: repetitions of what it has taken get the first answer, new work is refused."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.rpc.conftest import Serve, soon
from understudy import Overloaded
from understudy_proto.v1 import (
    actors_pb2,
    actors_pb2_grpc,
    resources_pb2,
    resources_pb2_grpc,
    runs_pb2,
    runs_pb2_grpc,
    sessions_pb2,
    sessions_pb2_grpc,
)
from understudy_proto.v1.values_pb2 import Arguments
from understudy_runtime.rpc.entrance import Entrance

pytestmark = pytest.mark.anyio


class Node:
    """Lets everything in until it is busy."""

    def __init__(self) -> None:
        self.busy = False

    def admit(self) -> None:
        if self.busy:
            raise Overloaded("too much to do", 0.25)


@pytest.fixture
def load() -> Node:
    return Node()


@pytest.fixture
async def channel(serve: Serve, load: Node) -> AsyncGenerator[grpc.aio.Channel]:
    async with serve(admit=load.admit) as server, grpc.aio.insecure_channel(server.address) as channel:
        yield channel


def start(key: str) -> runs_pb2.StartRunRequest:
    return runs_pb2.StartRunRequest(workflow="checkout", input=Arguments(json=b"[5]"), idempotency_key=key)


def add(key: str) -> actors_pb2.AskRequest:
    to = actors_pb2.Address(kind="actor.Counter", id="hits")
    return actors_pb2.AskRequest(address=to, handler="add", arguments=Arguments(json=b"1"), idempotency_key=key)


def calls(key: str) -> list[sessions_pb2.Call]:
    asked = add(key)
    tell = actors_pb2.TellRequest(
        address=asked.address, handler="add", arguments=asked.arguments, idempotency_key=f"{key} told"
    )
    return [
        sessions_pb2.Call(number=1, start_run=start(key)),
        sessions_pb2.Call(number=2, start_and_wait=runs_pb2.StartAndWaitRequest(start=start(f"{key} awaited"))),
        sessions_pb2.Call(number=3, tell=tell),
        sessions_pb2.Call(number=4, ask=asked),
    ]


async def answers(channel: grpc.aio.Channel, key: str) -> dict[int, sessions_pb2.CallResult]:
    stub: Any = sessions_pb2_grpc.SessionServiceStub(channel)
    stream = stub.Calls()
    await soon(stream.read())
    await stream.write(sessions_pb2.CallsRequest(calls=calls(key)))
    found: dict[int, sessions_pb2.CallResult] = {}
    while len(found) < 4:
        found |= {result.number: result for result in (await soon(stream.read())).results}
    stream.cancel()
    return found


async def test_a_repetition_in_a_session_gets_the_first_answer_from_a_busy_node(
    channel: grpc.aio.Channel, load: Node
) -> None:
    first = await answers(channel, "a")
    load.busy = True
    again = await answers(channel, "a")
    assert again[1].start_run.run_id == first[1].start_run.run_id
    assert again[2].start_and_wait == first[2].start_and_wait
    assert again[3].HasField("tell")
    assert again[4].ask.result == first[4].ask.result
    new = await answers(channel, "b")
    assert [new[number].error.reason for number in (1, 2, 3, 4)] == ["OVERLOADED"] * 4


async def test_a_repeated_unary_call_gets_the_first_answer_from_a_busy_node(
    channel: grpc.aio.Channel, load: Node
) -> None:
    runs: Any = runs_pb2_grpc.RunServiceStub(channel)
    actors: Any = actors_pb2_grpc.ActorServiceStub(channel)
    started, asked = await soon(runs.StartRun(start("a"))), await soon(actors.Ask(add("a")))
    load.busy = True
    assert (await soon(runs.StartRun(start("a")))).run_id == started.run_id
    assert (await soon(actors.Ask(add("a")))).result == asked.result
    for new in (runs.StartRun(start("b")), actors.Ask(add("")), actors.Ask(add("b"))):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await soon(new)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_who_waits_for_a_lease_may_ask_again_and_give_back_at_a_busy_node(
    channel: grpc.aio.Channel, load: Node
) -> None:
    resources: Any = resources_pb2_grpc.ResourceServiceStub(channel)

    def wanted(holder: str, patience_ms: int = 1) -> resources_pb2.AcquireRequest:
        asked = resources_pb2.AcquireRequest(address="lock/l", holder=holder)
        asked.patience.FromMilliseconds(patience_ms)
        return asked

    held = await soon(resources.Acquire(resources_pb2.AcquireRequest(address="lock/l", holder="h")))
    assert not (await soon(resources.Acquire(wanted("a")))).granted
    load.busy = True
    assert not (await soon(resources.Acquire(wanted("a")))).granted
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await soon(resources.Acquire(wanted("b")))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await soon(resources.Renew(resources_pb2.RenewRequest(address="lock/l", holder="h", fence=held.fence)))
    await soon(resources.Release(resources_pb2.ReleaseRequest(address="lock/l", holder="h", fence=held.fence)))
    assert (await soon(resources.Acquire(wanted("a", 10_000)))).fence == held.fence + 1


def test_so_many_keys_are_remembered_and_twice_as_many_at_most() -> None:
    load = Node()
    entrance = Entrance(load.admit, keys=10)
    for number in range(25):
        entrance.let_in(start(str(number)))
    load.busy = True
    for number in range(15, 25):
        entrance.let_in(start(str(number)))
    with pytest.raises(Overloaded):
        entrance.let_in(start("4"))


def test_a_refused_call_is_new_when_it_comes_again() -> None:
    load = Node()
    load.busy = True
    entrance = Entrance(load.admit)
    for _ in range(2):
        with pytest.raises(Overloaded):
            entrance.let_in(start("a"))
