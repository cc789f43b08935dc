"""A client of a node in another process sees what one in the same process sees."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rpc.conftest import soon, until
from tests.rpc.shop import Approval, Counter, Declined, app, break_down, checkout, echo
from understudy import (
    AlreadyExists,
    AskFailed,
    BadInput,
    BadRequest,
    Client,
    RunCancelled,
    RunEnded,
    RunFailed,
    RunTerminated,
    UnknownName,
)
from understudy.client import connect
from understudy.remote import door
from understudy.remote import schedules as remote_schedules
from understudy_runtime.node import doors, schedules
from understudy_runtime.node.node import Node
from understudy_runtime.rpc import wire
from understudy_runtime.rpc.server import Serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def client(either: Client) -> Client:
    return either


async def test_a_run_is_started_and_its_result_awaited(client: Client) -> None:
    assert await soon(client.run(checkout, 5, "!", id="a")) == "5!"
    handle = await client.start(checkout, 6)
    assert await soon(handle.result()) == "6"


async def test_values_arrive_as_they_were_sent(client: Client) -> None:
    value: Any = {"text": 'é\u2028"\\', "list": [1, 2.5, None, True, {"deep": ["er"]}], "big": 2**70}
    assert await soon(client.run(echo, value)) == value


async def test_an_id_names_one_run(client: Client) -> None:
    first = await client.start(checkout, 1, id="a")
    again = await client.start(checkout, 1, id="a")
    by_name = await client.start("checkout", 1, id="a")
    assert (first.run_id, again.run_id, by_name.run_id) == ("a", "a", "a")
    assert await soon(again.result()) == "1"
    with pytest.raises(AlreadyExists, match="a exists already"):
        await client.start(checkout, 1, id="a", if_exists="error")


async def test_an_id_that_is_taken_by_something_else_is_refused_and_said_why(client: Client) -> None:
    await soon(client.run(checkout, 1, id="a"))
    for other in (
        client.start(checkout, 2, id="a"),
        client.run(checkout, 2, id="a"),
        client.start("checkout", 2, id="a"),
    ):
        with pytest.raises(AlreadyExists, match="run a exists already, started with other arguments"):
            await soon(other)
    with pytest.raises(AlreadyExists, match="run a exists already, of workflow checkout"):
        await soon(client.run(echo, 1, id="a"))


async def test_whatever_has_the_id_is_taken_by_who_wants_that(client: Client) -> None:
    await soon(client.run(checkout, 1, id="a"))
    assert await soon(client.run(checkout, 2, id="a", if_exists="join")) == "1"
    assert await soon(client.run(echo, 2, id="a", if_exists="join")) == "1"
    with pytest.raises(BadRequest, match="'joyn' is nothing to do"):
        await client.start("checkout", 2, id="a", if_exists="joyn")  # type: ignore[call-overload] # pyright: ignore


async def test_a_run_is_known_by_what_it_was_started_with(client: Client) -> None:
    await soon(client.run(checkout, 1, id="a"))
    await soon(client.handle("a", checkout).retry(2))
    assert await soon(client.run(checkout, 1, id="a")) == "2"
    with pytest.raises(AlreadyExists, match="other arguments"):
        await soon(client.start(checkout, 2, id="a"))


async def test_a_listed_error_arrives_as_itself(client: Client) -> None:
    with pytest.raises(Declined) as raised:
        await soon(client.run(checkout, -1))
    assert raised.value.args == ("no credit", -1)


async def test_any_other_error_is_told_with_its_traceback(client: Client) -> None:
    with pytest.raises(RunFailed, match="ValueError: broken") as raised:
        await soon(client.run(break_down))
    assert "break_down" in raised.value.traceback


async def test_runs_are_told_and_asked(client: Client) -> None:
    run = await client.start(Approval, id="a")
    assert await soon(run.ask(Approval.current)) is None
    with pytest.raises(AskFailed, match="ValueError: say something"):
        await soon(run.ask(Approval.decide, ""))
    await soon(run.tell(Approval.decide, "yes"))
    assert await soon(run.result()) == "yes"
    for message in (
        run.ask(Approval.decide, "no"),
        run.tell(Approval.decide, "no"),
        run.ask("decide", "no"),
        run.release(),
    ):
        with pytest.raises(RunEnded, match=r"^run a (has ended|is not held)"):
            await soon(message)
    assert issubclass(RunEnded, BadRequest), "as it was before it had a name of its own"


async def test_actors_are_told_and_asked(client: Client) -> None:
    hits = Counter.at("hits")
    await soon(client.tell(hits, Counter.add, 2))
    assert await soon(client.ask(hits, Counter.add, 3)) == 5
    assert await soon(client.ask(hits, Counter.get)) == 5


async def test_handlers_are_told_and_asked_by_name(client: Client) -> None:
    run, hits = await client.start(Approval, id="a"), Counter.at("hits")
    await soon(client.tell(hits, "add", n=2))
    assert await soon(client.ask(hits, "add", 3)) == 5
    assert await soon(client.ask(hits, "get")) == 5
    assert await soon(run.ask("current")) is None
    await soon(run.tell("decide", "yes"))
    assert await soon(run.result()) == "yes"
    assert await soon(run.ask("current")) == "yes"


async def test_what_a_handler_given_by_name_does_not_take_is_refused_at_once(client: Client) -> None:
    run, hits = await client.start(Approval, id="a"), Counter.at("hits")
    for asking in (run.tell("decide", 5), run.ask("decide", 5), run.ask("decide"), client.tell(hits, "add", "x")):
        with pytest.raises(BadInput):
            await soon(asking)
    for asking in (run.tell("decidee"), run.ask("decidee"), client.ask(hits, "addd")):
        with pytest.raises(UnknownName, match="it has: "):
            await soon(asking)
    with pytest.raises(BadRequest, match="@readonly"):
        await soon(run.tell("current"))
    with pytest.raises(UnknownName, match="there is no run"):
        await soon(client.ask("nobody", "decide", "x"))
    assert await soon(run.ask("current")) is None


async def test_runs_are_cancelled_and_terminated(client: Client) -> None:
    cancelled, terminated = await client.start(Approval), await client.start(Approval)
    await soon(cancelled.cancel("enough"))
    with pytest.raises(RunCancelled):
        await soon(cancelled.result())
    await soon(terminated.terminate("at once"))
    with pytest.raises(RunTerminated, match="at once"):
        await soon(terminated.result())


async def test_only_a_held_run_is_released(client: Client) -> None:
    run = await client.start(Approval, id="a")
    with pytest.raises(BadRequest, match="a is not held, it is running"):
        await soon(run.release())
    await soon(run.terminate())
    with pytest.raises(BadRequest, match="a is not held, it is terminated"):
        await soon(run.release())


async def test_a_run_is_retried(client: Client) -> None:
    run = await client.start(checkout, -1, id="a")
    with pytest.raises(Declined):
        await soon(run.result())
    assert (await soon(run.retry(7, dry_run=True))).redone == ("charge#1",)
    plan = await soon(run.retry(7))
    assert (plan.execution, plan.dry_run) == (2, False)
    assert await soon(run.result()) == "7"
    assert (await soon(run.retry(7, keep=["charge"]))).reused == ("charge#1",)


async def test_what_does_not_exist_is_named(client: Client) -> None:
    nobody = client.handle("nobody", Approval)
    for asking in (
        nobody.result(),
        nobody.describe(),
        nobody.history(),
        nobody.cancel(),
        nobody.terminate(),
        nobody.release(),
        nobody.ask(Approval.decide, "x"),
        nobody.retry(),
    ):
        with pytest.raises(UnknownName, match="nobody"):
            await soon(asking)
    with pytest.raises(UnknownName, match=r"no workflow named nothing; it has: .*checkout"):
        await soon(client.start("nothing"))
    with pytest.raises(BadInput, match="is not an id"):
        await soon(client.door.describe("\n"))


async def test_a_workflow_is_started_by_name(client: Client) -> None:
    assert await soon(client.run("checkout", 5, note="!", id="a")) == "5!"


async def test_lists_are_filtered_and_newest_first(client: Client) -> None:
    for number in range(3):
        await soon(client.run(checkout, number, id=f"r{number}"))
    await client.start(Approval, id="open")

    assert [run.run_id for run in await soon(client.list())] == ["open", "r2", "r1", "r0"]
    assert [run.run_id for run in await soon(client.list(status="succeeded", limit=2))] == ["r2", "r1"]
    assert [run.run_id for run in await soon(client.list(workflow="Approval"))] == ["open"]


async def test_lists_are_as_long_as_was_asked_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (doors, door, remote_schedules, wire):
        monkeypatch.setattr(module, "MAX_PAGE", 2)
    monkeypatch.setattr(schedules, "MAX_LISTED", 2)
    for number in range(5):
        await soon(client.run(checkout, number, id=f"r{number}"))
        await soon(client.schedules.create(f"s{number}", checkout, 1, every="1d", paused=True))

    for limit in (0, 1, 2, 3, 4, 5, 6, 100):
        assert [run.run_id for run in await soon(client.list(limit=limit))] == ["r4", "r3", "r2", "r1", "r0"][:limit]
        assert len(await soon(client.schedules.list(limit=limit))) == min(limit, 5)
    assert [run.run_id async for run in client.iter_runs(workflow="checkout")] == ["r4", "r3", "r2", "r1", "r0"]
    assert [run.run_id async for run in client.iter_runs(workflow="other")] == []


async def test_a_history_is_read_on_from_where_one_was(client: Client) -> None:
    run = await client.start(checkout, 1, id="a")
    await soon(run.result())
    whole = await soon(run.history())

    assert [turn.seq for turn in whole] == [1, 2]
    assert whole[0].records[0]["t"] == "ExecutionStarted"
    assert await soon(run.history(after=1)) == whole[1:]
    assert await soon(run.history(limit=1)) == whole[:1]


async def test_both_see_the_same(local: Client, server: Serving, node: Node) -> None:
    async with connect(server.address, app) as remote:
        await soon(remote.run(checkout, 5, id="done"))
        with pytest.raises(RunFailed):
            await soon(local.run(break_down, id="broken"))
        await remote.start(Approval, id="open")
        await until(lambda: node.engine.idle)
        for run_id in ("done", "broken", "open"):
            assert await local.door.describe(run_id) == await remote.door.describe(run_id)
            assert await local.door.history(run_id, 0, 10) == await remote.door.history(run_id, 0, 10)
        for run_id in ("done", "broken"):
            ours, theirs = await local.door.wait(run_id), await remote.door.wait(run_id)
            assert (ours.result, ours.reason, ours.execution) == (theirs.result, theirs.reason, theirs.execution)
        assert await local.list() == await remote.list()
