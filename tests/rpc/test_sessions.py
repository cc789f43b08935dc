"""Sessions: many calls over one stream, each answered once, within bounds, and none outliving its client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.rpc.conftest import Serve, soon, until
from tests.rpc.shop import Approval, Counter, app, checkout, echo
from understudy import BadInput, Client
from understudy.client import connect
from understudy_proto.v1 import actors_pb2, runs_pb2, sessions_pb2, sessions_pb2_grpc
from understudy_proto.v1.sessions_pb2 import Call, CallsRequest
from understudy_proto.v1.values_pb2 import Arguments
from understudy_runtime.node.node import Node
from understudy_runtime.rpc.limits import MAX_REQUEST_BYTES, Limits
from understudy_runtime.rpc.server import Serving

pytestmark = pytest.mark.anyio

WAIT = runs_pb2.WaitRunRequest(run_id="a")


@pytest.fixture
async def stream(channel: grpc.aio.Channel) -> AsyncGenerator[Any]:
    stub: Any = sessions_pb2_grpc.SessionServiceStub(channel)
    stream = stub.Calls()
    limits = (await soon(stream.read())).limits
    assert (limits.max_open_calls, limits.max_request_bytes) == (10_000, MAX_REQUEST_BYTES)
    yield stream
    stream.cancel()


async def results(stream: Any, count: int) -> dict[int, sessions_pb2.CallResult]:
    found: dict[int, sessions_pb2.CallResult] = {}
    while len(found) < count:
        found |= {result.number: result for result in (await soon(stream.read())).results}
    return found


def add(number: int, n: int, key: str = "") -> Call:
    to = actors_pb2.Address(kind="actor.Counter", id="hits")
    arguments = Arguments(json=b"%d" % n)
    return Call(
        number=number, ask=actors_pb2.AskRequest(address=to, handler="add", arguments=arguments, idempotency_key=key)
    )


async def test_calls_in_one_request_are_carried_out_in_order(stream: Any) -> None:
    await stream.write(CallsRequest(calls=[add(number, 1) for number in range(1, 101)]))
    found = await results(stream, 100)
    assert [found[number].ask.result for number in (1, 50, 100)] == [b"1", b"50", b"100"]


async def test_a_session_ends_when_the_client_has_ended_it_and_all_is_answered(stream: Any) -> None:
    await stream.write(CallsRequest(calls=[add(1, 1)]))
    await stream.done_writing()
    assert (await results(stream, 1))[1].ask.result == b"1"
    assert await soon(stream.read()) is grpc.aio.EOF
    assert await stream.code() is grpc.StatusCode.OK


async def test_what_cannot_be_done_is_told_call_by_call(stream: Any, local: Client) -> None:
    await local.start(Approval, id="a")
    start = runs_pb2.StartRunRequest(workflow="nothing")
    calls = [Call(number=1, start_run=start), Call(number=2), Call(number=3, wait_run=WAIT), add(4, 5)]
    await stream.write(CallsRequest(calls=calls))
    await stream.write(CallsRequest(calls=[Call(number=3, wait_run=WAIT)]))
    found = await results(stream, 4)
    assert {number: found[number].error.reason for number in (1, 2, 3)} == {
        1: "UNKNOWN_NAME",
        2: "BAD_REQUEST",
        3: "BAD_REQUEST",
    }
    assert found[1].error.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert found[4].ask.result == b"5"


async def test_too_many_open_calls_are_refused_with_a_delay(serve: Serve, local: Client) -> None:
    await local.start(Approval, id="a")
    async with serve(limits=Limits(max_open_calls=2)) as server, grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = sessions_pb2_grpc.SessionServiceStub(channel)
        stream = stub.Calls()
        assert (await soon(stream.read())).limits.max_open_calls == 2
        await stream.write(CallsRequest(calls=[Call(number=number, wait_run=WAIT) for number in (1, 2, 3)]))
        found = await results(stream, 1)
        assert found[3].error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        assert found[3].error.retry_delay.seconds == 1
        await stream.write(CallsRequest(abandoned=[1]))
        await until(lambda: server.waiting == 1)
        await local.handle("a").terminate()
        assert list(await results(stream, 1)) == [2]
        stream.cancel()


async def test_a_client_that_vanishes_leaves_no_watch_behind(server: Serving, node: Node, local: Client) -> None:
    await local.start(Approval, id="a")
    async with connect(server.address, app) as client:
        waits = [asyncio.ensure_future(client.handle("a").result()) for _ in range(10)]
        await until(lambda: server.waiting == 10)
    await until(lambda: server.waiting == 0)
    await until(lambda: not node.engine._watchers._watching)
    for wait in waits:
        with pytest.raises(Exception, match="the client has been closed"):
            await wait


async def test_a_wait_that_is_given_up_leaves_no_watch_behind(server: Serving, client: Client, node: Node) -> None:
    run = await client.start(Approval, id="a")
    wait = asyncio.ensure_future(run.result())
    await until(lambda: server.waiting == 1)
    wait.cancel()
    await until(lambda: server.waiting == 0 and not node.engine._watchers._watching)
    assert await soon(run.ask(Approval.decide, "yes")) == "yes"
    assert await soon(run.result()) == "yes"


async def test_an_oversize_value_is_refused_before_it_is_sent_and_costs_no_other_call(client: Client) -> None:
    run = await client.start(Approval, id="a")
    waiting = asyncio.ensure_future(run.result())
    with pytest.raises(BadInput, match=r"has \d+ bytes, and the node takes \d+"):
        await client.run(echo, "x" * MAX_REQUEST_BYTES)
    await soon(run.tell(Approval.decide, "yes"))
    assert await soon(waiting) == "yes"


async def test_large_calls_at_once_go_out_in_several_requests(client: Client) -> None:
    text = "x" * (MAX_REQUEST_BYTES // 3)
    values = await soon(asyncio.gather(*(client.run(echo, f"{n}{text}") for n in range(6))))
    assert [value[0] for value in values] == list("012345")


async def test_thousands_of_calls_at_once_are_all_answered(client: Client) -> None:
    asked = await soon(asyncio.gather(*(client.ask(Counter.at("hits"), Counter.add, 1) for _ in range(900))))
    assert sorted(asked) == list(range(1, 901))
    ran = await soon(asyncio.gather(*(client.run(checkout, n) for n in range(500))))
    assert ran == [str(n) for n in range(500)]
