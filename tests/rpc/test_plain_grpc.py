"""The door for clients that have only gRPC and the .proto files."""

from __future__ import annotations

import json
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.rpc.conftest import Serve, soon, until
from tests.rpc.shop import Approval, Counter, checkout
from understudy import Client
from understudy_proto.v1 import actors_pb2, actors_pb2_grpc, nodes_pb2, nodes_pb2_grpc, runs_pb2, runs_pb2_grpc
from understudy_proto.v1.values_pb2 import Arguments
from understudy_runtime.node.node import Node
from understudy_runtime.rpc.limits import MAX_REQUEST_BYTES, Limits
from understudy_runtime.rpc.server import Serving

pytestmark = pytest.mark.anyio


def details(error: grpc.aio.AioRpcError) -> tuple[str, float | None]:
    """The reason and the retry delay in seconds."""
    reason, delay_s = "", None
    value = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    assert isinstance(value, bytes)
    for detail in status_pb2.Status.FromString(value).details:
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            assert info.domain == "understudy"
            reason = info.reason
        if detail.Unpack(retry):
            delay_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    return reason, delay_s


@pytest.fixture
def runs(channel: grpc.aio.Channel) -> Any:
    return runs_pb2_grpc.RunServiceStub(channel)


@pytest.fixture
def actors(channel: grpc.aio.Channel) -> Any:
    return actors_pb2_grpc.ActorServiceStub(channel)


@pytest.mark.parametrize(
    "input",
    [
        Arguments(json=b'[5, "!"]'),
        Arguments(json=b'{"cents": 5, "note": "!"}'),
        Arguments(call=b'{"args": [5], "kwargs": {"note": "!"}}'),
    ],
)
async def test_input_is_json_in_any_of_its_forms(runs: Any, client: Client, input: Arguments) -> None:
    started = await runs.StartRun(runs_pb2.StartRunRequest(workflow="checkout", input=input))
    waited = await soon(runs.WaitRun(runs_pb2.WaitRunRequest(run_id=started.run_id)))

    assert json.loads(waited.outcome.result) == "5!"
    assert waited.outcome.status == runs_pb2.RUN_STATUS_SUCCEEDED
    # However it was written, the digest by which a retry reuses what was done is that of the Python client.
    by_hand = await client.start(checkout, 5, "!")
    digests = [
        (await client.handle(run_id).history())[0].records[0]["digest"] for run_id in (started.run_id, by_hand.run_id)
    ]
    assert digests[0] == digests[1]


async def test_start_and_wait_is_one_call(runs: Any) -> None:
    start = runs_pb2.StartRunRequest(workflow="checkout", input=Arguments(json=b"7"), run_id="a")
    ended = await soon(runs.StartAndWait(runs_pb2.StartAndWaitRequest(start=start)))
    assert (ended.run_id, ended.outcome.result) == ("a", b'"7"')


async def test_a_wait_may_be_cut_short(runs: Any, server: Serving) -> None:
    start = runs_pb2.StartRunRequest(workflow="Approval", run_id="a")
    request = runs_pb2.StartAndWaitRequest(start=start)
    request.timeout.FromMilliseconds(1)
    assert not (await soon(runs.StartAndWait(request))).HasField("outcome")
    wait = runs_pb2.WaitRunRequest(run_id="a")
    wait.timeout.FromMilliseconds(1)
    assert not (await soon(runs.WaitRun(wait))).HasField("outcome")
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await runs.WaitRun(runs_pb2.WaitRunRequest(run_id="a"), timeout=0.05)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: server.waiting == 0)


@pytest.mark.parametrize(
    ("request_", "code", "reason", "message"),
    [
        (runs_pb2.StartRunRequest(workflow="nothing"), "NOT_FOUND", "UNKNOWN_NAME", "no workflow named nothing"),
        (
            runs_pb2.StartRunRequest(workflow="checkout", input=Arguments(json=b'"five"')),
            "INVALID_ARGUMENT",
            "BAD_INPUT",
            r"checkout\(\).*cents",
        ),
        (
            runs_pb2.StartRunRequest(workflow="checkout", input=Arguments(json=b"[1,")),
            "INVALID_ARGUMENT",
            "BAD_INPUT",
            "not JSON",
        ),
        (
            runs_pb2.StartRunRequest(workflow="checkout", input=Arguments(call=b"{}")),
            "INVALID_ARGUMENT",
            "BAD_INPUT",
            "args",
        ),
        (
            runs_pb2.StartRunRequest(workflow="echo", input=Arguments(json=b"[" * 500 + b"]" * 500)),
            "INVALID_ARGUMENT",
            "BAD_INPUT",
            "nested more than 200 deep",
        ),
        (
            runs_pb2.StartRunRequest(workflow="Approval", namespace="a/b"),
            "INVALID_ARGUMENT",
            "BAD_INPUT",
            "is not a namespace",
        ),
        (
            runs_pb2.StartRunRequest(workflow="Approval", idempotency_key="k" * 257),
            "INVALID_ARGUMENT",
            "BAD_INPUT",
            "idempotency_key",
        ),
    ],
)
async def test_what_cannot_be_started_is_refused_with_details(
    runs: Any, request_: runs_pb2.StartRunRequest, code: str, reason: str, message: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=message) as refused:
        await runs.StartRun(request_)
    assert refused.value.code() is grpc.StatusCode[code]
    assert details(refused.value) == (reason, None)


async def test_an_id_that_is_taken_has_a_status_of_its_own(runs: Any) -> None:
    request = runs_pb2.StartRunRequest(workflow="Approval", run_id="a", if_exists=runs_pb2.IF_EXISTS_ERROR)
    await runs.StartRun(request)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await runs.StartRun(request)
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert details(refused.value)[0] == "ALREADY_EXISTS"


async def test_a_request_repeated_with_its_key_is_carried_out_once(runs: Any, actors: Any, client: Client) -> None:
    start = runs_pb2.StartRunRequest(
        workflow="checkout",
        input=Arguments(json=b"5"),
        idempotency_key="k",
        if_exists=runs_pb2.IF_EXISTS_ERROR,
    )
    first, again = await runs.StartRun(start), await runs.StartRun(start)
    assert first.run_id == again.run_id
    assert (first.existed, again.existed) == (False, True)
    await soon(client.handle(first.run_id).result())

    retry = runs_pb2.RetryRunRequest(run_id=first.run_id, idempotency_key="r")
    executions = [(await soon(runs.RetryRun(retry))).execution for _ in range(2)]
    assert executions == [2, 2]

    to = actors_pb2.Address(kind="actor.Counter", id="hits")
    tell = actors_pb2.TellRequest(address=to, handler="add", arguments=Arguments(json=b"1"), idempotency_key="t")
    await actors.Tell(tell)
    await actors.Tell(tell)
    ask = actors_pb2.AskRequest(address=to, handler="add", arguments=Arguments(json=b"10"), idempotency_key="a")
    answers = [(await soon(actors.Ask(ask))).result for _ in range(2)]
    assert answers == [b"11", b"11"]


async def test_handlers_take_json_and_raise_data(actors: Any, client: Client) -> None:
    await client.start(Approval, id="a")
    run = actors_pb2.Address(kind="run", id="a")
    ask = actors_pb2.AskRequest(address=run, handler="decide", arguments=Arguments(json=b'{"verdict": ""}'))
    assert (await soon(actors.Ask(ask))).failure.type == "ValueError"
    current = actors_pb2.AskRequest(address=run, handler="current", readonly=True)
    assert (await soon(actors.Ask(current))).result == b"null"
    with pytest.raises(grpc.aio.AioRpcError, match="Approval has no handler named nothing"):
        await actors.Tell(actors_pb2.TellRequest(address=run, handler="nothing", arguments=Arguments(json=b"1")))
    with pytest.raises(grpc.aio.AioRpcError, match="no actor named Nothing"):
        await actors.Tell(
            actors_pb2.TellRequest(address=actors_pb2.Address(kind="actor.Nothing", id="x"), handler="add")
        )


async def test_lists_come_in_pages_that_hold_while_runs_are_added(runs: Any, client: Client) -> None:
    for number in range(5):
        await soon(client.run(checkout, number, id=f"r{number}"))
    request = runs_pb2.ListRunsRequest(page_size=2)
    seen: list[str] = []
    while True:
        page = await runs.ListRuns(request)
        seen += [run.run_id for run in page.runs]
        assert len(page.runs) <= 2
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
        await soon(client.run(checkout, 1, id=f"new{len(seen)}"))
    assert seen == ["r4", "r3", "r2", "r1", "r0"]


async def test_histories_come_in_pages(runs: Any, client: Client) -> None:
    run = await client.start(Approval, id="a")
    for number in range(4):
        with pytest.raises(Exception, match="say something"):
            await soon(run.ask(Approval.decide, ""))
        assert number < 4
    request = runs_pb2.ListTurnsRequest(run_id="a", page_size=2)
    pages: list[list[int]] = []
    while True:
        page = await runs.ListTurns(request)
        pages.append([turn.seq for turn in page.turns])
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert pages == [[1, 2], [3, 4], [5]]
    assert json.loads(page.turns[0].records)[0]["t"] == "Delivered"


@pytest.mark.parametrize("token", ["zz", "00", "7b7d", "22"])
async def test_a_made_up_page_token_is_refused(runs: Any, token: str) -> None:
    for call in (
        runs.ListRuns(runs_pb2.ListRunsRequest(page_token=token)),
        runs.ListTurns(runs_pb2.ListTurnsRequest(run_id="a", page_token=token)),
    ):
        with pytest.raises(grpc.aio.AioRpcError, match="page_token"):
            await call


async def test_a_run_is_watched_to_its_end(runs: Any, client: Client, node: Node) -> None:
    run = await client.start(Approval, id="a")
    watch = runs.WatchRun(runs_pb2.WatchRunRequest(run_id="a", with_turns=True))
    first = await soon(watch.read())
    assert (first.run.status, [turn.seq for turn in first.turns]) == (runs_pb2.RUN_STATUS_RUNNING, [1])
    await soon(run.tell(Approval.decide, "yes"))
    seen: list[int] = []
    last = first
    while (response := await soon(watch.read())) is not grpc.aio.EOF:
        seen += [turn.seq for turn in response.turns]
        last = response
    assert (last.run.status, last.run.result, seen) == (runs_pb2.RUN_STATUS_SUCCEEDED, b'"yes"', [2])
    assert await watch.code() is grpc.StatusCode.OK
    await until(lambda: not node.engine._watchers._following)


async def test_watching_nobody_is_refused_and_leaves_nothing(runs: Any, node: Node) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await soon(runs.WatchRun(runs_pb2.WatchRunRequest(run_id="nobody")).read())
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    await until(lambda: not node.engine._watchers._following)


async def test_an_oversize_message_is_refused_and_the_connection_goes_on(runs: Any) -> None:
    large = Arguments(call=b'{"args":["' + b"x" * MAX_REQUEST_BYTES + b'"],"kwargs":{}}')
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await runs.StartRun(runs_pb2.StartRunRequest(workflow="echo", input=large))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not (await runs.ListRuns(runs_pb2.ListRunsRequest())).runs


async def test_too_many_waits_are_refused_with_a_delay(serve: Serve, local: Client) -> None:
    await local.start(Approval, id="a")
    async with serve(limits=Limits(max_waiting=1)) as server, grpc.aio.insecure_channel(server.address) as channel:
        runs: Any = runs_pb2_grpc.RunServiceStub(channel)
        waiting = runs.WaitRun(runs_pb2.WaitRunRequest(run_id="a"))
        await until(lambda: server.waiting == 1)
        with pytest.raises(grpc.aio.AioRpcError, match="1 calls are waiting") as refused:
            await runs.WaitRun(runs_pb2.WaitRunRequest(run_id="a"))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert details(refused.value) == ("OVERLOADED", 1.0)
        await local.handle("a").terminate()
        assert (await soon(waiting)).outcome.status == runs_pb2.RUN_STATUS_TERMINATED


async def test_nodes_and_definitions_are_listed(channel: grpc.aio.Channel, server: Serving) -> None:
    nodes: Any = nodes_pb2_grpc.NodeServiceStub(channel)
    (node,) = (await nodes.ListNodes(nodes_pb2.ListNodesRequest())).nodes
    assert (node.address, node.status) == (server.address, nodes_pb2.NODE_STATUS_ACTIVE)
    found = (await nodes.ListDefinitions(nodes_pb2.ListDefinitionsRequest())).definitions
    by_name = {definition.name: definition for definition in found}
    assert by_name["checkout"].signature == "(cents: 'int', note: 'str' = '') -> 'str'"
    assert [(h.name, h.readonly) for h in by_name["Counter"].handlers] == [("add", False), ("get", True)]
    assert by_name["charge"].kind == nodes_pb2.DEFINITION_KIND_TASK
    await nodes.DrainNode(nodes_pb2.DrainNodeRequest(node_id=node.node_id))
    (node,) = (await nodes.ListNodes(nodes_pb2.ListNodesRequest())).nodes
    assert node.status == nodes_pb2.NODE_STATUS_DRAINING
    with pytest.raises(grpc.aio.AioRpcError, match="there is no node nobody"):
        await nodes.DrainNode(nodes_pb2.DrainNodeRequest(node_id="nobody"))


async def test_health_says_serving_until_the_node_leaves(channel: grpc.aio.Channel, server: Serving) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)
    for service in ("", "understudy.v1.RunService", "understudy.v1.SessionService"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    await server.leave()
    answer = await health.Check(health_pb2.HealthCheckRequest(service=""))
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_reflection_tells_all_services_and_their_files(channel: grpc.aio.Channel) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub
    reflect = stub(channel)

    async def ask(**question: Any) -> Any:
        call = reflect.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**question)]))
        return await soon(call.read())

    services = {each.name for each in (await ask(list_services="")).list_services_response.service}
    ours = {f"understudy.v1.{name}Service" for name in ("Run", "Actor", "Session", "Node")}
    assert ours | {"grpc.health.v1.Health"} <= services
    for name in ours:
        answer = await ask(file_containing_symbol=name)
        files = [FileDescriptorProto.FromString(f) for f in answer.file_descriptor_response.file_descriptor_proto]
        assert any(name == f"{file.package}.{service.name}" for file in files for service in file.service)


async def test_a_watched_actor_costs_nothing_when_its_watcher_is_gone(runs: Any, client: Client, node: Node) -> None:
    await client.start(Approval, id="a")
    watch = runs.WatchRun(runs_pb2.WatchRunRequest(run_id="a"))
    await soon(watch.read())
    assert node.engine._watchers._following
    watch.cancel()
    await until(lambda: not node.engine._watchers._following)
    assert await soon(client.ask(Counter.at("x"), Counter.add, 1)) == 1
