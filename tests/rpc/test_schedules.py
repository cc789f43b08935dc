"""Schedules through both doors. What a schedule does as time goes by is shown on virtual time, elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
import msgspec
import pytest
from google.protobuf.message import Message

from tests.rpc.conftest import LONG_S, soon
from tests.rpc.shop import Approval, app, checkout, echo
from understudy import AlreadyExists, BadDefinition, BadInput, BadRequest, Client, UnknownName
from understudy.client import connect
from understudy.schedules import Schedules
from understudy.scheduling import MAX_SCHEDULE_ID_CHARS, timing
from understudy_proto.v1 import schedules_pb2, values_pb2
from understudy_runtime.core.schedule.decide import MAX_BACKFILL
from understudy_runtime.rpc.access import needed
from understudy_runtime.rpc.limits import MAX_PAGE, PAGE_BYTES
from understudy_runtime.rpc.server import Serving

pytestmark = pytest.mark.anyio

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
FAR = datetime(2999, 1, 1, tzinfo=UTC)


@pytest.fixture
def schedules(either: Client) -> Schedules:
    return either.schedules


async def never(schedules: Schedules, *ids: str, value: object = None) -> None:
    """Schedules that start nothing by themselves."""
    for schedule_id in ids:
        await soon(schedules.create(schedule_id, echo, value, every="1h", starts=FAR))


# --- both doors


async def test_a_schedule_is_as_it_was_made(schedules: Schedules) -> None:
    ends = FAR + timedelta(days=400, milliseconds=1)
    options: dict[str, Any] = {
        "cron": ("0 3 * * *", "30 12 1 * MON"),
        "tz": "Europe/Berlin",
        "starts": FAR,
        "ends": ends,
        "jitter": "90.5s",
        "catch_up": "all",
        "overlap": "buffer_one",
    }
    await soon(schedules.create("s", checkout, 5, paused=True, note="not yet", **options))
    described = await soon(schedules.get("s"))
    assert (described.schedule_id, described.status, described.note) == ("s", "paused", "not yet")
    spec = described.spec
    assert (spec.workflow, msgspec.json.decode(spec.input)) == ("checkout", {"args": [5], "kwargs": {}})
    wanted = timing(**options)
    for field in ("timing", "jitter_s", "catch_up", "overlap"):
        assert getattr(spec, field) == getattr(wanted, field)


async def test_a_schedule_is_made_once_and_changed_if_that_is_asked_for(schedules: Schedules) -> None:
    await never(schedules, "s", "s")
    with pytest.raises(AlreadyExists, match="s exists already"):
        await soon(schedules.create("s", echo, None, every="2h", starts=FAR))
    await soon(schedules.create("s", echo, None, every="2h", starts=FAR, if_exists="update"))
    await soon(schedules.update("s", every="3.001s", overlap="terminate", jitter=0.25))
    spec = (await soon(schedules.get("s"))).spec
    assert (spec.every_s, spec.jitter_s, spec.overlap, spec.starts_at) == (3.001, 0.25, "terminate", FAR.timestamp())


async def test_what_was_read_can_be_set_again_and_is_the_same(either: Client) -> None:
    await never(either.schedules, "s", value={"é": [1, 2.5, None]})
    first = await soon(either.schedules.get("s"))
    await soon(either.door.set_schedule("s", first.spec, if_exists="error", paused=False, note=""))
    assert await soon(either.schedules.get("s")) == first


async def test_a_schedule_is_paused_and_resumed(schedules: Schedules) -> None:
    await never(schedules, "s")
    await soon(schedules.pause("s", "holi\udce9day" + "x" * 100_000))
    paused = await soon(schedules.get("s"))
    assert (paused.status, paused.next_at) == ("paused", None)
    assert paused.note.startswith("holi\\udce9dayx")
    assert len(paused.note) < 10_000
    await soon(schedules.resume("s"))
    resumed = await soon(schedules.get("s"))
    assert (resumed.status, resumed.note, resumed.next_at) == ("active", "", FAR.timestamp())


async def test_a_triggered_run_is_that_of_the_schedule(either: Client) -> None:
    await never(either.schedules, "s", value="tea")
    first, second = await soon(either.schedules.trigger("s")), await soon(either.schedules.trigger("s"))
    assert first != second
    assert await soon(either.handle(first).result()) == "tea"


async def test_a_backfill_makes_up_for_nominal_times(either: Client) -> None:
    schedules = either.schedules
    await never(schedules, "s", value=1)
    until = NEW_YEAR + timedelta(hours=2)
    assert await soon(schedules.backfill("s", NEW_YEAR, until, overlap="allow")) == 3
    for hour in range(3):
        assert await soon(either.handle(f"s/2026-01-01T0{hour}:00:00Z").result()) == 1
    assert await soon(schedules.backfill("s", NEW_YEAR + timedelta(minutes=1), NEW_YEAR + timedelta(minutes=2))) == 0
    with pytest.raises(BadRequest, match=f"more than {MAX_BACKFILL} nominal times"):
        await soon(schedules.backfill("s", NEW_YEAR, FAR))


async def test_a_deleted_schedule_is_gone_and_its_runs_go_on(either: Client) -> None:
    schedules = either.schedules
    await soon(schedules.create("s", Approval, every="1h", starts=FAR))
    run = await soon(schedules.trigger("s"))
    assert [each.run_id for each in (await soon(schedules.get("s"))).running] == [run]
    await soon(schedules.delete("s"))
    assert await soon(schedules.list()) == []
    await soon(either.tell(run, Approval.decide, "yes"))
    assert await soon(either.handle(run).result()) == "yes"
    for asking in (
        schedules.get("s"),
        schedules.pause("s"),
        schedules.resume("s"),
        schedules.trigger("s"),
        schedules.backfill("s", NEW_YEAR, NEW_YEAR),
        schedules.delete("s"),
    ):
        with pytest.raises(UnknownName, match="no schedule s"):
            await soon(asking)


async def test_the_list_is_newest_first_and_bounded(schedules: Schedules) -> None:
    assert await soon(schedules.list()) == []
    await never(schedules, "a", "b", "c")
    await soon(schedules.pause("b"))
    assert [each.schedule_id for each in await soon(schedules.list())] == ["c", "b", "a"]
    assert [each.schedule_id for each in await soon(schedules.list(limit=2))] == ["c", "b"]


async def test_what_cannot_be_is_refused(either: Client) -> None:
    schedules = either.schedules
    fits = timing(every="1h")
    for spec, error, told in (
        (msgspec.structs.replace(fits, workflow="nothing"), UnknownName, "no workflow named nothing; it has: "),
        (msgspec.structs.replace(fits, workflow="checkout", input=call(["x"])), BadInput, "cents"),
        (msgspec.structs.replace(fits, workflow="echo", input=call([1]), every_s=0.5), BadRequest, "1 second"),
        (msgspec.structs.replace(fits, workflow="echo", input=call([1]), every_s=None), BadRequest, "either cron"),
        (msgspec.structs.replace(fits, workflow="echo", input=call([1]), tz="Berlin"), BadRequest, "no time zone"),
        (msgspec.structs.replace(fits, workflow="echo", input=call([1]), ends_at=1e12), BadRequest, "year 9000"),
    ):
        with pytest.raises(error, match=told):
            await soon(either.door.set_schedule("s", spec, if_exists="error", paused=False, note=""))
    for schedule_id in ("", "\n", "x" * (MAX_SCHEDULE_ID_CHARS + 1)):
        with pytest.raises(BadDefinition, match="no id of a schedule"):
            await soon(schedules.create(schedule_id, echo, 1, every="1h"))
    assert await soon(schedules.list()) == []


def call(args: list[Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode({"args": args, "kwargs": {}}))


async def test_both_see_the_same(local: Client, server: Serving) -> None:
    async with connect(server.address, app) as remote:
        await never(remote.schedules, "a")
        await soon(local.schedules.create("b", Approval, cron="*/7 3 * * *", tz="Asia/Kathmandu", jitter="7.25s"))
        await soon(remote.schedules.trigger("b"))
        await soon(local.schedules.backfill("a", NEW_YEAR, NEW_YEAR + timedelta(hours=1)))
        for run in ("a/2026-01-01T00:00:00Z", "a/2026-01-01T01:00:00Z"):
            await soon(local.handle(run).result())
        ours, theirs = await soon(local.schedules.list()), await soon(remote.schedules.list())
        assert [each.schedule_id for each in ours] == ["b", "a"]
        assert ours == theirs == [await soon(remote.schedules.get(each.schedule_id)) for each in ours]


# --- only over gRPC


class Plain:
    """Unary calls, as any gRPC client makes them."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel: Any = channel

    async def __call__(self, method: str, request: Message, response: Any) -> Any:
        send = self._channel.unary_unary(
            f"/understudy.v1.ScheduleService/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        return await send(request, timeout=LONG_S)


async def test_input_may_be_as_a_person_writes_it(channel: grpc.aio.Channel, client: Client) -> None:
    spec = schedules_pb2.ScheduleSpec(
        workflow="checkout", input=values_pb2.Arguments(json=b'{"cents": 5, "note": "!"}'), cron=["@daily"]
    )
    request = schedules_pb2.SetScheduleRequest(schedule_id="s", spec=spec)
    await Plain(channel)("SetSchedule", request, schedules_pb2.SetScheduleResponse)
    described = await soon(client.schedules.get("s"))
    assert (described.spec.tz, described.spec.catch_up, described.spec.overlap) == ("UTC", "one", "skip")
    assert await soon(client.handle(await soon(client.schedules.trigger("s"))).result()) == "5!"


async def test_a_repeated_request_changes_nothing(channel: grpc.aio.Channel, client: Client) -> None:
    plain = Plain(channel)
    await never(client.schedules, "s", value=1)
    trigger = schedules_pb2.TriggerScheduleRequest(schedule_id="s", idempotency_key="t")
    runs = [await plain("TriggerSchedule", trigger, schedules_pb2.TriggerScheduleResponse) for _ in range(2)]
    assert runs[0].run_id == runs[1].run_id
    pause = schedules_pb2.PauseScheduleRequest(schedule_id="s", note="x", idempotency_key="p")
    await plain("PauseSchedule", pause, schedules_pb2.PauseScheduleResponse)
    await soon(client.schedules.resume("s"))
    await plain("PauseSchedule", pause, schedules_pb2.PauseScheduleResponse)
    assert (await soon(client.schedules.get("s"))).status == "active"
    delete = schedules_pb2.DeleteScheduleRequest(schedule_id="s", idempotency_key="d")
    await plain("DeleteSchedule", delete, schedules_pb2.DeleteScheduleResponse)
    await plain("DeleteSchedule", delete, schedules_pb2.DeleteScheduleResponse)
    await never(client.schedules, "s", value=2)
    await plain("DeleteSchedule", delete, schedules_pb2.DeleteScheduleResponse)
    assert (await soon(client.schedules.get("s"))).started == 0
    again = await plain("TriggerSchedule", trigger, schedules_pb2.TriggerScheduleResponse)
    assert again.run_id == runs[0].run_id
    backfill = schedules_pb2.BackfillScheduleRequest(schedule_id="s", idempotency_key="t")
    backfill.since.FromDatetime(NEW_YEAR)
    backfill.until.FromDatetime(NEW_YEAR)
    with pytest.raises(grpc.aio.AioRpcError, match="another kind of request"):
        await plain("BackfillSchedule", backfill, schedules_pb2.BackfillScheduleResponse)


async def test_a_page_ends_where_it_is_asked_to_or_is_large(channel: grpc.aio.Channel, client: Client) -> None:
    plain = Plain(channel)
    await never(client.schedules, "large", "larger", value="x" * PAGE_BYTES)
    await never(client.schedules, *"abc")
    request = schedules_pb2.ListSchedulesRequest(page_size=2)
    pages: list[list[str]] = []
    while not pages or request.page_token:
        page = await plain("ListSchedules", request, schedules_pb2.ListSchedulesResponse)
        pages.append([each.schedule_id for each in page.schedules])
        request.page_token = page.next_page_token
        request.page_size = MAX_PAGE + 1 if len(pages) > 1 else 2
    assert pages == [["c", "b"], ["a", "larger"], ["large"]]
    whole = schedules_pb2.ListSchedulesRequest()
    page = await plain("ListSchedules", whole, schedules_pb2.ListSchedulesResponse)
    assert [each.schedule_id for each in page.schedules] == ["c", "b", "a", "larger"]
    assert page.next_page_token
    assert [each.schedule_id for each in await soon(client.schedules.list())] == ["c", "b", "a", "larger", "large"]


@pytest.mark.parametrize("method", schedules_pb2.DESCRIPTOR.services_by_name["ScheduleService"].methods_by_name)
def test_looking_needs_less_than_minding(method: str) -> None:
    looks = method in ("GetSchedule", "ListSchedules")
    assert needed(f"/understudy.v1.ScheduleService/{method}") == ("read" if looks else "operate")


@pytest.mark.parametrize(
    ("method", "request_", "told"),
    [
        ("ListSchedules", schedules_pb2.ListSchedulesRequest(page_size=-1), "page_size"),
        ("ListSchedules", schedules_pb2.ListSchedulesRequest(page_token="x"), "page_token"),
        ("BackfillSchedule", schedules_pb2.BackfillScheduleRequest(schedule_id="s"), "since"),
        ("SetSchedule", schedules_pb2.SetScheduleRequest(schedule_id="s"), "no workflow named"),
        (
            "SetSchedule",
            schedules_pb2.SetScheduleRequest(schedule_id="s", spec={"workflow": "echo", "overlap": 77}),
            "'value'",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_what_makes_no_sense_is_the_callers_fault(
    channel: grpc.aio.Channel, method: str, request_: Message, told: str
) -> None:
    response = getattr(schedules_pb2, f"{method}Response")
    with pytest.raises(grpc.aio.AioRpcError, match=told) as raised:
        await Plain(channel)(method, request_, response)
    assert raised.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
