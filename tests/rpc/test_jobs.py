"""Jobs through both doors: who has which, how they are completed from outside, and settled when nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.rpc.conftest import soon
from tests.rpc.shop import Counter, Desk, app, brochure, checkout, send_fax
from understudy import BadInput, BadRequest, Client, RunFailed, RunHeld, UnknownName
from understudy.door import JobSummary
from understudy_proto.v1 import actors_pb2, jobs_pb2, jobs_pb2_grpc, values_pb2
from understudy_runtime.core.completion import completion_token
from understudy_runtime.core.keys import actor_key, run_key
from understudy_runtime.core.messages import Recovered, Token
from understudy_runtime.node import jobs as listing
from understudy_runtime.node.clocks import SystemClock
from understudy_runtime.node.node import Node, Settings, running
from understudy_runtime.rpc.access import needed
from understudy_runtime.storage.memory import MemoryStore

pytestmark = pytest.mark.anyio


async def seen(jobs: Callable[[], Awaitable[list[JobSummary]]], count: int, status: str = "open") -> list[JobSummary]:
    """The jobs, once so many stand so."""
    async with asyncio.timeout(30):
        while True:
            found = [job for job in await jobs() if job.status == status]
            if len(found) == count:
                return found
            await asyncio.sleep(0.005)


async def made_uncertain(node: Node, key: str, jobs: Callable[[], Awaitable[list[JobSummary]]]) -> JobSummary:
    """Its submit is under way, and its node is as good as lost."""
    await seen(jobs, 1, "submitting")
    node.engine.deliver(key, Recovered())
    return (await seen(jobs, 1, "uncertain"))[0]


async def test_jobs_of_a_run_are_listed_and_completed_by_their_tokens(either: Client) -> None:
    run = await either.start(brochure, ["a", "b"], id="r")
    first, second = await seen(run.jobs, 2)
    assert (first.address, first.execution, first.call, first.attempt) == ("run/r", 1, 1, 1)
    assert (first.task, first.handle, second.handle) == ("Print", "printed a", "printed b")
    assert first.since > 1e9
    await soon(either.complete(first.token, 3))
    assert [job.call for job in await soon(run.jobs())] == [2]
    await soon(either.complete(second.token, 4))
    assert await soon(run.result()) == 7
    assert await soon(run.jobs()) == []


async def test_a_job_is_failed_from_outside_and_may_not_be_completed_after_it(either: Client) -> None:
    run = await either.start(brochure, ["a"], id="r")
    [job] = await seen(run.jobs, 1)
    await soon(either.fail(job.token, ValueError("no paper")))
    with pytest.raises(RunFailed, match="ValueError: no paper"):
        await soon(run.result())
    with pytest.raises(BadRequest, match="no job waits for this completion"):
        await soon(either.complete(job.token, 1))


async def test_an_uncertain_job_is_settled_as_it_was_found(either: Client, node: Node) -> None:
    run = await either.start(send_fax, id="r")
    job = await made_uncertain(node, run_key("default", "r"), run.jobs)
    with pytest.raises(RunHeld, match="understudy jobs settle run/r 1"):
        await soon(run.result())
    with pytest.raises(BadRequest, match="understudy jobs settle run/r 1"):
        await soon(either.complete(job.token, "sent"))
    await soon(run.settle_job(job.call, "fax-7"))
    [found] = await seen(run.jobs, 1)
    assert found.handle == "fax-7"
    await soon(either.complete(found.token, "sent"))
    assert await soon(run.result()) == "sent"
    with pytest.raises(BadRequest, match="is no uncertain job"):
        await soon(run.settle_job(1, "fax-8"))


async def test_an_uncertain_job_that_is_not_there_has_failed(either: Client, node: Node) -> None:
    run = await either.start(send_fax, id="r")
    job = await made_uncertain(node, run_key("default", "r"), run.jobs)
    await soon(run.settle_job(job.call))
    with pytest.raises(RunFailed, match="it was never submitted, as a person found"):
        await soon(run.result())


async def test_jobs_of_an_actors_handler_are_listed_settled_and_completed(either: Client, node: Node) -> None:
    copied = asyncio.ensure_future(either.ask(Desk.at("a/1"), Desk.copy, "x"))
    [job] = await seen(either.jobs, 1)
    assert await soon(either.jobs(Desk.at("a/1"))) == [job]
    assert (job.address, job.execution, job.handle) == ("actor.Desk/a/1", 1, "printed x")
    await soon(either.complete(job.token, 2))
    assert await soon(copied) == 2

    sent = asyncio.ensure_future(either.ask(Desk.at("b"), Desk.send))
    job = await made_uncertain(node, actor_key("default", "Desk", "b"), either.jobs)
    await soon(either.settle_job(Desk.at("b"), job.call, "fax-7"))
    [job] = await seen(lambda: either.jobs(Desk.at("b")), 1)
    await soon(either.complete(job.token, "sent"))
    assert await soon(sent) == "sent"


async def test_all_jobs_of_a_namespace_are_listed_and_can_be_picked_by_how_they_stand(
    either: Client, node: Node
) -> None:
    await soon(either.run(checkout, 1))
    await soon(either.ask(Counter.at("idle"), Counter.add, 1))
    for name in ("r1", "r2"):
        await either.start(brochure, ["a", "b"], id=name)
    await either.start(send_fax, id="r3")
    copying = asyncio.ensure_future(either.ask(Desk.at("d"), Desk.copy, "x"))
    await made_uncertain(node, run_key("default", "r3"), lambda: either.jobs("r3"))
    await seen(lambda: either.jobs(), 5)
    listed = [(job.address, job.call, job.status) for job in await soon(either.jobs())]
    assert listed == [
        ("run/r3", 1, "uncertain"),
        ("run/r2", 1, "open"),
        ("run/r2", 2, "open"),
        ("run/r1", 1, "open"),
        ("run/r1", 2, "open"),
        ("actor.Desk/d", 1, "open"),
    ]
    assert [job.address for job in await soon(either.jobs(status="uncertain"))] == ["run/r3"]
    assert len(await soon(either.jobs(limit=3))) == 3
    with pytest.raises(BadInput, match="'odd' is not a status of jobs"):
        await soon(either.jobs(status="odd"))
    copying.cancel()


async def test_jobs_of_runs_that_are_parked_are_listed_without_bringing_them_back() -> None:
    settings = Settings(grace_s=0.1, resident_bytes=1)
    async with running([app], MemoryStore(), SystemClock(), settings, lambda _: None) as node:
        client = Client(node.door(asyncio.get_running_loop())[1], [app])
        for number in range(20):
            run = await client.start(brochure, ["a"], id=f"r{number}")
            await seen(run.jobs, 1)
        await soon(client.run(checkout, 1))
        resident = node.engine.resident
        assert resident < 20
        jobs = await soon(client.jobs())
        assert [job.address for job in jobs] == [f"run/r{number}" for number in reversed(range(20))]
        assert node.engine.resident <= resident
        await soon(client.complete(jobs[-1].token, 5))
        assert await soon(client.handle("r0", brochure).result()) == 5


async def test_what_is_not_there_or_has_no_jobs_is_refused(either: Client) -> None:
    with pytest.raises(UnknownName, match="there is no run"):
        await soon(either.jobs("nobody"))
    with pytest.raises(UnknownName, match="nothing has happened to"):
        await soon(either.jobs(Desk.at("nobody")))
    with pytest.raises(BadInput, match="has no jobs: give run/ID or"):
        await soon(either.door.list_jobs("schedule/x", status="", limit=1))


@pytest.mark.parametrize("key", ["default/schedule/x", "default/resource.R/x", "default/run/", "default", "", "//"])
async def test_a_token_that_is_of_no_run_and_no_actor_is_refused(either: Client, key: str) -> None:
    token = completion_token(Token(key, 1, 1, 1, 0))
    with pytest.raises(BadRequest, match="which is neither a run nor an actor"):
        await soon(either.complete(token, 1))


async def test_a_token_of_another_namespace_or_class_or_none_at_all_is_refused(either: Client) -> None:
    with pytest.raises(BadRequest, match="of another namespace"):
        await soon(either.complete(completion_token(Token("other/run/r", 1, 1, 1, 0)), 1))
    with pytest.raises(UnknownName, match="no actor named Nothing"):
        await soon(either.complete(completion_token(Token("default/actor.Nothing/r", 1, 1, 1, 0)), 1))
    for token in ("", "x", "!!!!", "é"):
        with pytest.raises(BadRequest, match="this is no completion token"):
            await soon(either.complete(token, 1))


# --- over plain gRPC


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Any:
    return jobs_pb2_grpc.JobServiceStub(channel)


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await soon(call)
    return refused.value.code(), refused.value.details() or ""


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        ({"result": b"{"}, "the result is not JSON that can be kept"),
        ({"result": b"\xff"}, "the result is not JSON that can be kept"),
        ({"result": b"[" * 300 + b"]" * 300}, "nested more than 200 deep"),
        ({"failure": values_pb2.Failure(type="E", arguments=b"{")}, "the failure's arguments is not JSON"),
        ({}, "an outcome is needed"),
    ],
)
async def test_a_result_that_cannot_be_kept_is_refused_before_the_run_hears_of_it(
    stub: Any, client: Client, outcome: dict[str, Any], why: str
) -> None:
    run = await client.start(brochure, ["a"], id="r")
    [job] = await seen(run.jobs, 1)
    code, told = await refusal(stub.CompleteJob(jobs_pb2.CompleteJobRequest(token=job.token, **outcome)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert why in told
    await soon(client.complete(job.token, 1))
    assert await soon(run.result()) == 1


async def test_a_completion_is_taken_once_by_its_key(stub: Any, client: Client) -> None:
    run = await client.start(brochure, ["a"], id="r")
    [job] = await seen(run.jobs, 1)
    said = jobs_pb2.CompleteJobRequest(token=job.token, result=b"1", idempotency_key="k")
    for _ in range(2):
        await soon(stub.CompleteJob(said))
    assert await soon(run.result()) == 1
    await soon(stub.CompleteJob(said))
    said.idempotency_key = "other"
    assert "no job waits" in (await refusal(stub.CompleteJob(said)))[1]


async def test_a_settling_is_taken_once_by_its_key(stub: Any, client: Client, node: Node) -> None:
    run = await client.start(send_fax, id="r")
    await made_uncertain(node, run_key("default", "r"), run.jobs)
    where = actors_pb2.Address(kind="run", id="r")
    for handle, why in (
        (b"{", "the handle is not JSON"),
        (b"null", "null is no handle"),
        (None, "an outcome is needed"),
    ):
        bad = jobs_pb2.SettleJobRequest(address=where, call=1, handle=handle)
        assert why in (await refusal(stub.SettleJob(bad)))[1]
    said = jobs_pb2.SettleJobRequest(address=where, call=1, handle=b'"f"', idempotency_key="k")
    for _ in range(2):
        await soon(stub.SettleJob(said))
    said.idempotency_key = "other"
    assert "is no uncertain job" in (await refusal(stub.SettleJob(said)))[1]


async def pages(stub: Any, request: jobs_pb2.ListJobsRequest) -> list[list[tuple[str, int]]]:
    found: list[list[tuple[str, int]]] = []
    while True:
        page = await soon(stub.ListJobs(request))
        found.append([(job.address.id, job.call) for job in page.jobs])
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_lists_come_in_pages_also_within_one_run(stub: Any, client: Client) -> None:
    for name in ("r1", "r2"):
        await client.start(brochure, ["a", "b", "c"], id=name)
    copying = asyncio.ensure_future(client.ask(Desk.at("d"), Desk.copy, "x"))
    await seen(client.jobs, 7)
    every = [("r2", 1), ("r2", 2), ("r2", 3), ("r1", 1), ("r1", 2), ("r1", 3), ("d", 1)]
    found = await pages(stub, jobs_pb2.ListJobsRequest(page_size=2))
    assert [job for page in found for job in page] == every
    assert [len(page) for page in found] == [2, 2, 2, 1]
    one = jobs_pb2.ListJobsRequest(page_size=2, address=actors_pb2.Address(kind="run", id="r1"))
    assert await pages(stub, one) == [[("r1", 1), ("r1", 2)], [("r1", 3)]]
    odd = jobs_pb2.ListJobsRequest(page_token="7b7d")
    assert "page_token is none" in (await refusal(stub.ListJobs(odd)))[1]
    copying.cancel()


@pytest.mark.parametrize("bound", ["MAX_ROWS", "MAX_LOOKED_AT"])
async def test_a_page_ends_after_so_many_rows_and_goes_on_there(
    stub: Any, client: Client, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        await client.start(brochure, ["a"], id=f"r{number}")
    await seen(client.jobs, 9)
    monkeypatch.setattr(listing, "LOOKS_AT_ONCE", 2)
    monkeypatch.setattr(listing, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(listing, bound, 2)
    found = await pages(stub, jobs_pb2.ListJobsRequest())
    assert [name for page in found for name, _ in page] == [f"r{number}" for number in reversed(range(9))]
    assert max(len(page) for page in found) == 2
    assert len(await soon(client.jobs())) == 9


def test_looking_needs_read_and_telling_needs_operate() -> None:
    service = jobs_pb2.DESCRIPTOR.services_by_name["JobService"]
    roles = {method.name: needed(f"/{service.full_name}/{method.name}") for method in service.methods}
    assert roles == {"ListJobs": "read", "CompleteJob": "operate", "SettleJob": "operate"}
