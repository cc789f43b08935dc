"""The client's promises about types and errors. What becomes of a run is the node's to prove.

The door here runs nothing durably: it keeps what it was given and hands back what a test put into it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from understudy import (
    Actor,
    AlreadyExists,
    App,
    AskFailed,
    BadInput,
    BadRequest,
    Client,
    HistoryTurn,
    RetryPlan,
    RunCancelled,
    RunDescription,
    RunFailed,
    RunHandle,
    RunHeld,
    RunSummary,
    RunTerminated,
    RunTimedOut,
    UnknownName,
    handler,
    readonly,
)
from understudy.actors import MAX_ID_CHARS
from understudy.client import MAX_HISTORY_TURNS
from understudy.door import AskReply, IfExists, JobSummary, Outcome, StartedRun
from understudy.failures import MAX_MESSAGE_CHARS, FailureFields, encode_failure
from understudy.schedules import IfScheduleExists
from understudy.scheduling import RangeOverlap, ScheduleDescription, ScheduleSpec

pytestmark = pytest.mark.anyio

app = App("shop")


@dataclass
class Order:
    id: str
    cents: int = 1


class Declined(Exception):
    pass


@app.workflow(raises=(Declined,))
async def checkout(order: Order, note: str = "") -> Order:
    return order


@app.workflow
class Approval:
    async def run(self, order: Order) -> bytes:
        return b""

    @handler
    def decide(self, verdict: Order) -> Order:
        return verdict

    @readonly
    def current(self) -> str | None:
        return None


@app.actor
class Counter(Actor):
    value: int = 0

    @handler
    async def add(self, n: int) -> int:
        return n


class KeepingDoor:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.outcome = Outcome("r", "checkout", "succeeded", result=Raw(b'{"id":"a","cents":2}'))
        self.reply = AskReply(Raw(b"null"))

    async def start(
        self, workflow: str, input: bytes, digest: str, *, run_id: str | None, if_exists: IfExists
    ) -> StartedRun:
        if if_exists == "error":
            raise AlreadyExists(f"run {run_id} exists")
        self.calls.append(("start", workflow, msgspec.json.decode(input), run_id))
        return StartedRun(run_id or "made-up")

    async def run(
        self, workflow: str, input: bytes, digest: str, *, run_id: str | None, if_exists: IfExists
    ) -> Outcome:
        started = await self.start(workflow, input, digest, run_id=run_id, if_exists=if_exists)
        return await self.wait(started.run_id)

    async def wait(self, run_id: str) -> Outcome:
        return msgspec.structs.replace(self.outcome, run_id=run_id)

    async def complete_job(self, token: str, result: bytes | None, failure: FailureFields | None) -> None:
        self.calls.append(("complete_job", token, result))

    async def settle_job(self, address: str, call: int, handle: bytes | None) -> None:
        self.calls.append(("settle_job", address, call, handle))

    async def list_jobs(self, address: str, *, status: str, limit: int) -> list[JobSummary]:
        self.calls.append(("list_jobs", address, status, limit))
        return []

    async def tell(self, address: str, handler: str, args: bytes, *, by_name: bool = False) -> None:
        self.calls.append(("tell", address, handler, msgspec.json.decode(args)["args"], by_name))

    async def ask(self, address: str, handler: str, args: bytes, *, readonly: bool, by_name: bool = False) -> AskReply:
        assert not by_name or not readonly
        self.calls.append(("ask", address, handler, msgspec.json.decode(args)["args"], readonly))
        return self.reply

    async def cancel(self, run_id: str, reason: str) -> None:
        self.calls.append(("cancel", run_id, reason))

    async def terminate(self, run_id: str, reason: str) -> None:
        self.calls.append(("terminate", run_id, reason))

    async def release(self, run_id: str) -> None:
        self.calls.append(("release", run_id))

    async def retry(
        self, run_id: str, input: bytes | None, digest: str, *, redo: Sequence[str], keep: Sequence[str], dry_run: bool
    ) -> RetryPlan:
        self.calls.append(("retry", run_id, input and msgspec.json.decode(input)["args"], redo, keep))
        return RetryPlan(run_id, 2, dry_run=dry_run)

    async def describe(self, run_id: str) -> RunDescription:
        return RunDescription(run_id, "checkout", "running")

    async def history(self, run_id: str, after: int, limit: int) -> list[HistoryTurn]:
        self.calls.append(("history", after, limit))
        return []

    async def list_runs(self, *, status: str, workflow: str, limit: int) -> list[RunSummary]:
        self.calls.append(("list", status, workflow, limit))
        return []

    async def run_pages(self, *, status: str, workflow: str, size: int) -> AsyncGenerator[list[RunSummary]]:
        for number in range(3):
            self.calls.append(("page", status, workflow, number))
            yield [RunSummary(f"r{number}", workflow, "succeeded")] * 2

    async def set_schedule(
        self, schedule_id: str, spec: ScheduleSpec, *, if_exists: IfScheduleExists, paused: bool, note: str
    ) -> None:
        self.calls.append(("set_schedule", schedule_id, spec, if_exists))

    async def describe_schedule(self, schedule_id: str) -> ScheduleDescription:
        return ScheduleDescription(schedule_id, ScheduleSpec("checkout", Raw(b"null"), every_s=60, tz="Asia/Tokyo"))

    async def list_schedules(self, *, limit: int) -> list[ScheduleDescription]:
        self.calls.append(("list_schedules", limit))
        return []

    async def pause_schedule(self, schedule_id: str, note: str) -> None:
        self.calls.append(("pause_schedule", schedule_id, note))

    async def resume_schedule(self, schedule_id: str, note: str) -> None:
        self.calls.append(("resume_schedule", schedule_id, note))

    async def trigger_schedule(self, schedule_id: str) -> str:
        return "r1"

    async def backfill_schedule(self, schedule_id: str, since: float, until: float, overlap: RangeOverlap) -> int:
        return 0

    async def delete_schedule(self, schedule_id: str) -> None:
        self.calls.append(("delete_schedule", schedule_id))


@pytest.fixture
def door() -> KeepingDoor:
    return KeepingDoor()


@pytest.fixture
def client(door: KeepingDoor) -> Client:
    return Client(door, [app])


async def test_a_run_is_started_with_encoded_input_and_its_result_is_typed(client: Client, door: KeepingDoor) -> None:
    handle = await client.start(checkout, Order("a"), id="r1")

    assert door.calls == [("start", "checkout", {"args": [{"id": "a", "cents": 1}], "kwargs": {}}, "r1")]
    assert handle.run_id == "r1"
    assert await handle.result() == Order("a", 2)


async def test_a_class_workflow_is_started_like_a_function(client: Client, door: KeepingDoor) -> None:
    await client.start(Approval, Order("a"))

    assert door.calls[0][:2] == ("start", "Approval")


async def test_run_starts_and_awaits(client: Client) -> None:
    assert await client.run(checkout, Order("a"), id="r1") == Order("a", 2)


async def test_an_id_that_is_taken_is_an_error_if_asked_for(client: Client) -> None:
    with pytest.raises(AlreadyExists):
        await client.start(checkout, Order("a"), id="r1", if_exists="error")


@pytest.mark.parametrize("order", [{"id": 1}, Order(id=3), 7])  # type: ignore[arg-type] # pyright: ignore
async def test_input_that_does_not_fit_is_refused_before_anything_is_sent(
    client: Client, door: KeepingDoor, order: Any
) -> None:
    with pytest.raises(BadInput, match=r"checkout\(\): order"):
        await client.start(checkout, order)
    assert door.calls == []


@pytest.mark.parametrize(
    ("outcome", "error", "message"),
    [
        (
            Outcome("", "checkout", "failed", failure=FailureFields("KeyError", "'a'")),
            RunFailed,
            "r1 failed: KeyError: 'a'",
        ),
        (
            Outcome("", "checkout", "failed", failure=encode_failure(Declined("no"), (Declined,))),
            Declined,
            "no",
        ),
        (Outcome("", "checkout", "cancelled", reason="by hand"), RunCancelled, "run r1 was cancelled: by hand"),
        (Outcome("", "checkout", "terminated"), RunTerminated, "run r1 was terminated"),
        (Outcome("", "checkout", "timed_out"), RunTimedOut, "run r1 timed out"),
        (
            Outcome("", "checkout", "held", held_why="diverged", reason="the code changed"),
            RunHeld,
            r"run r1 is held \(diverged\): the code changed",
        ),
    ],
)
async def test_a_run_that_did_not_succeed_raises_how_it_ended(
    client: Client, door: KeepingDoor, outcome: Outcome, error: type[Exception], message: str
) -> None:
    door.outcome = outcome

    with pytest.raises(error, match=message):
        await client.handle("r1", checkout).result()


async def test_a_handle_by_id_alone_types_the_result_by_the_apps_workflows(client: Client, door: KeepingDoor) -> None:
    assert await client.handle("r1").result() == Order("a", 2)

    door.outcome = msgspec.structs.replace(door.outcome, workflow="of another app")
    assert await client.handle("r1").result() == {"id": "a", "cents": 2}


async def test_asking_a_run_and_an_actor(client: Client, door: KeepingDoor) -> None:
    door.reply = AskReply(Raw(b'{"id":"x"}'))
    handle = client.handle("r1", Approval)
    assert await handle.ask(Approval.decide, Order("x")) == Order("x")
    door.reply = AskReply(Raw(b"3"))
    assert await client.ask(Counter.at("hits"), Counter.add, 3) == 3
    door.reply = AskReply(Raw(b"null"))
    assert await client.ask("r1", Approval.current) is None

    assert door.calls == [
        ("ask", "run/r1", "decide", [{"id": "x", "cents": 1}], False),
        ("ask", "actor.Counter/hits", "add", [3], False),
        ("ask", "run/r1", "current", [], True),
    ]


async def test_a_handler_that_raises_raises_where_it_was_asked(client: Client, door: KeepingDoor) -> None:
    door.reply = AskReply(failure=FailureFields("ValueError", "bad"))

    with pytest.raises(AskFailed, match="ValueError: bad"):
        await client.ask("r1", Approval.current)


async def test_telling_a_run_and_an_actor(client: Client, door: KeepingDoor) -> None:
    handle = client.handle("r1", Approval)
    await handle.tell(Approval.decide, Order("x"))
    await client.tell(handle, Approval.decide, Order("y"))
    await client.tell(Counter.at("hits"), Counter.add, 3)

    assert [call[1:3] for call in door.calls] == [
        ("run/r1", "decide"),
        ("run/r1", "decide"),
        ("actor.Counter/hits", "add"),
    ]


async def test_a_handler_may_be_given_by_its_name(client: Client, door: KeepingDoor) -> None:
    door.reply = AskReply(Raw(b'{"id":"x"}'))
    handle = client.handle("r1")
    assert await handle.ask("decide", Order("x")) == {"id": "x"}
    await handle.tell("decide", Order("y"))
    await client.tell(Counter.at("hits"), "add", 3)

    assert door.calls == [
        ("ask", "run/r1", "decide", [{"id": "x", "cents": 1}], False),
        ("tell", "run/r1", "decide", [{"id": "y", "cents": 1}], True),
        ("tell", "actor.Counter/hits", "add", [3], True),
    ]
    door.reply = AskReply(failure=FailureFields("ValueError", "bad"))
    with pytest.raises(AskFailed, match="ValueError: bad"):
        await client.ask("r1", "decide")
    with pytest.raises(UnknownName, match="nothing can be called"):
        await client.tell("r1", "d\udce9cide")


async def test_an_update_of_a_schedule_changes_what_is_given(client: Client, door: KeepingDoor) -> None:
    await client.schedules.update("s", cron="0 3 * * *", overlap="allow")

    _, schedule_id, spec, if_exists = door.calls[0]
    assert (schedule_id, if_exists) == ("s", "update")
    assert (spec.cron, spec.every_s, spec.overlap, spec.tz) == (("0 3 * * *",), None, "allow", "Asia/Tokyo")


async def test_messages_that_do_not_fit_are_refused_before_anything_is_sent(client: Client, door: KeepingDoor) -> None:
    with pytest.raises(BadInput, match=r"decide\(\): verdict"):
        await client.tell("r1", Approval.decide, 5)  # type: ignore[call-overload] # pyright: ignore
    with pytest.raises(BadRequest, match="telling it has no effect"):
        await client.tell("r1", Approval.current)
    assert door.calls == []


async def test_a_retry_keeps_the_input_or_takes_a_new_one(client: Client, door: KeepingDoor) -> None:
    handle: RunHandle[Any] = client.handle("r1")

    assert (await handle.retry(dry_run=True)).dry_run
    await handle.retry(Order("b"), redo=["charge"])

    assert door.calls == [
        ("retry", "r1", None, (), ()),
        ("retry", "r1", [{"id": "b", "cents": 1}], ["charge"], ()),
    ]
    with pytest.raises(BadInput):
        await handle.retry("not an order")


async def test_the_rest_of_a_handle_goes_to_the_door(client: Client, door: KeepingDoor) -> None:
    handle = client.handle("r1")
    await handle.cancel("enough")
    await handle.terminate()
    await handle.release()

    assert door.calls == [("cancel", "r1", "enough"), ("terminate", "r1", ""), ("release", "r1")]
    assert (await handle.describe()).status == "running"


async def test_runs_are_read_in_pages_as_one_goes_on(client: Client, door: KeepingDoor) -> None:
    async for run in client.iter_runs(status="failed", workflow="w"):
        if run.run_id == "r1":
            break
    assert door.calls == [("page", "failed", "w", 0), ("page", "failed", "w", 1)]
    assert [run.run_id async for run in client.iter_runs()] == ["r0", "r0", "r1", "r1", "r2", "r2"]


async def test_lists_are_as_long_as_was_asked_for_and_histories_are_bounded(client: Client, door: KeepingDoor) -> None:
    await client.list(status="failed", limit=10**9)
    await client.handle("r1").history(after=5, limit=10**9)
    await client.schedules.list(limit=10**9)

    assert door.calls == [
        ("list", "failed", "", 10**9),
        ("history", 5, MAX_HISTORY_TURNS),
        ("list_schedules", 10**9),
    ]


@pytest.mark.parametrize("run_id", ["", "x" * (MAX_ID_CHARS + 1), "a\nb", "\udce9"])
async def test_an_id_that_could_not_be_written_down_is_refused(client: Client, door: KeepingDoor, run_id: str) -> None:
    with pytest.raises(BadInput, match="is not an id"):
        await client.start(checkout, Order("a"), id=run_id)
    with pytest.raises(BadInput, match="is not an id"):
        client.handle(run_id)
    with pytest.raises(BadInput, match="is not an id"):
        Counter.at(run_id)
    assert door.calls == []
    assert client.handle("x" * MAX_ID_CHARS).run_id


async def test_a_reason_may_be_any_text(client: Client, door: KeepingDoor) -> None:
    await client.handle("r1").cancel("caf\udce9" + "x" * 10_000)

    reason = door.calls[0][2]
    assert reason.startswith("caf\\udce9x")
    assert len(reason) == MAX_MESSAGE_CHARS
