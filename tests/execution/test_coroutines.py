from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tests.execution import sample
from tests.execution.conftest import Desk
from understudy_runtime.core.kinds import Failure
from understudy_runtime.execution.executor import Limits

pytestmark = pytest.mark.anyio


def failure(end: Any) -> Failure:
    assert end.failure is not None, end.result
    return end.failure  # type: ignore[no-any-return]


async def test_result_is_reported_with_who_and_when(desk: Desk) -> None:
    token = desk.dispatch("echo", 7)
    end = await desk.ended(token)
    assert (end.token, bytes(end.result), end.failure, end.node) == (token, b"7", None, "n1")
    assert 0 < end.started_at <= end.ended_at


async def test_thousand_attempts_are_reported_once_each_and_in_few_batches(desk: Desk) -> None:
    tokens = desk.dispatch_all([("pauses", n) for n in range(1000)])
    assert [await desk.result(token) for token in tokens] == list(range(1000))
    assert len(desk.order) == 1000


async def test_report_never_comes_from_within_a_call(desk: Desk) -> None:
    token = desk.dispatch("no_such_task")
    desk.executor.cancel([token])
    assert desk.order == []
    await desk.ended(token)


async def test_no_more_run_at_once_than_there_are_slots(limits: Limits) -> None:
    desk = Desk(Limits(coroutines=3, threads=1, processes=1))
    tokens = desk.dispatch_all([("forever",)] * 5)
    for token in tokens[:3]:
        await desk.begun(token)
    last = desk.dispatch("echo", 1)
    assert not {*tokens[3:], last} & desk.progress.keys()
    await desk.cancelled(tokens[0])
    await desk.begun(tokens[3])
    await desk.cancelled(tokens[1])
    await desk.begun(tokens[4])
    await desk.cancelled(tokens[2])
    assert await desk.result(last) == 1
    await desk.executor.close(grace_s=5)


async def test_user_code_runs_on_the_work_loop_knowing_its_attempt(desk: Desk) -> None:
    assert threading.current_thread().name != "understudy-work"
    assert await desk.result(desk.dispatch("knows_where_it_is")) is True
    assert await desk.result(desk.dispatch("who", attempt=3, progress={"page": 9})) == {
        "key": "key-1",
        "run": "r1",
        "attempt": 3,
        "progress": {"page": 9},
    }


async def test_unknown_task_is_a_final_failure_that_names_those_there_are(desk: Desk) -> None:
    end = failure(await desk.ended(desk.dispatch("no_such_task")))
    assert (end.type, end.final) == ("UnknownName", True)
    assert "no_such_task" in end.message
    assert "echo" in end.message


async def test_error_is_reported_with_type_message_and_only_the_users_frames(desk: Desk) -> None:
    end = failure(await desk.ended(desk.dispatch("fails", "value")))
    assert (end.type, end.message, end.kind, end.final) == ("ValueError", "boom", "error", False)
    assert "in fails" in end.traceback
    assert "understudy_runtime" not in end.traceback


async def test_listed_error_keeps_its_arguments(desk: Desk) -> None:
    end = failure(await desk.ended(desk.dispatch("fails", "declined")))
    assert end.type == "Declined"
    assert end.arguments is not None
    assert b'"card",3' in bytes(end.arguments)


async def test_error_that_the_policy_calls_final_is_final(desk: Desk) -> None:
    assert failure(await desk.ended(desk.dispatch("fails", "key"))).final


@pytest.mark.parametrize(("kind", "type"), [("exit", "SystemExit"), ("cancelled", "CancelledError")])
async def test_base_exception_fails_that_attempt_and_nothing_else(desk: Desk, kind: str, type: str) -> None:
    end = failure(await desk.ended(desk.dispatch("fails", kind)))
    assert (end.type, end.kind) == (type, "error")
    assert await desk.result(desk.dispatch("echo", 1)) == 1


async def test_system_exit_of_a_task_inside_a_task_does_not_end_the_work_loop(desk: Desk) -> None:
    assert failure(await desk.ended(desk.dispatch("loses_a_child_task"))).type == "SystemExit"
    assert await desk.result(desk.dispatch("echo", 1)) == 1


@pytest.mark.parametrize("call", [("returns_anything",), ("echo", "seven"), ("echo",)])
async def test_value_that_does_not_fit_is_a_final_failure(desk: Desk, call: tuple[Any, ...]) -> None:
    end = failure(await desk.ended(desk.dispatch(*call)))
    assert (end.type, end.final) == ("BadInput", True)
    assert call[0] in end.message


# --- cancellation


async def test_cancelled_attempt_cleans_up_and_then_reports_it(desk: Desk) -> None:
    token = desk.dispatch("cleans_up")
    await desk.begun(token)
    end = failure(await desk.cancelled(token))
    assert (end.type, end.kind) == ("CancelledError", "cancelled")
    assert desk.progress[token][-1] == "cleaned up"


async def test_attempt_cancelled_right_after_its_dispatch_is_reported(desk: Desk) -> None:
    tokens = desk.dispatch_all([("forever",)] * 50)
    desk.executor.cancel(tokens)
    assert {failure(await desk.ended(token)).kind for token in tokens} == {"cancelled"}


async def test_attempt_cancelled_while_it_waits_never_runs() -> None:
    desk = Desk(Limits(coroutines=1, threads=1, processes=1))
    first, second, third = desk.dispatch_all([("forever",), ("forever",), ("echo", 3)])
    await desk.begun(first)
    assert failure(await desk.cancelled(second)).kind == "cancelled"
    await desk.cancelled(first)
    assert await desk.result(third) == 3
    assert second not in desk.progress
    await desk.executor.close(grace_s=5)


async def test_attempt_that_finishes_in_spite_of_its_cancellation_has_succeeded(desk: Desk) -> None:
    token = desk.dispatch("finishes_anyway")
    await desk.begun(token)
    assert (await desk.cancelled(token)).failure is None


async def test_error_in_the_clean_up_is_what_is_reported(desk: Desk) -> None:
    token = desk.dispatch("fails_while_cancelled")
    await desk.begun(token)
    end = failure(await desk.cancelled(token))
    assert (end.type, end.kind) == ("Declined", "error")


async def test_cancelling_twice_or_too_late_does_nothing(desk: Desk) -> None:
    token = desk.dispatch("forever")
    desk.executor.cancel([token, token])
    await desk.ended(token)
    desk.executor.cancel([token])
    assert await desk.result(desk.dispatch("echo", 1)) == 1
    assert len(desk.ends) == 2


# --- a blocked work loop


async def test_blocked_work_loop_is_named_and_the_rest_goes_on(desk: Desk) -> None:
    token = desk.dispatch("waits_for_gate")
    await desk.begun(token)
    assert desk.executor.blocked(threshold_s=60) is None
    blocked = None
    while blocked is None or blocked.lag_s < 0.01:
        await asyncio.sleep(0)
        blocked = desk.executor.blocked(threshold_s=0.0001)
    assert blocked.task == "waits_for_gate"
    assert "sample.py" in blocked.where, "the line of the task, not of what it called in a library"
    assert await desk.result(desk.dispatch("thread_echo", 5)) == 5
    assert await desk.result(desk.dispatch("process_echo", 6)) == 6
    sample.gate.set()
    assert await desk.result(token) == "released"


# --- closing


async def test_closing_interrupts_what_runs_and_reports_none_of_it(desk: Desk) -> None:
    tokens = desk.dispatch_all([("cleans_up",), ("fails_while_cancelled",)])
    for token in tokens:
        await desk.begun(token)
    await desk.executor.close(grace_s=5)
    assert desk.ends == {}


async def test_closing_reports_what_finishes_within_the_grace(desk: Desk) -> None:
    token = desk.dispatch("finishes_anyway")
    await desk.begun(token)
    await desk.executor.close(grace_s=5)
    assert await desk.result(token) == "done after all"


async def test_closing_waits_no_longer_than_the_grace_for_blocking_code(desk: Desk) -> None:
    for token in desk.dispatch_all([("waits_for_gate",), ("thread_waits_for_gate",)]):
        await desk.begun(token)
    async with asyncio.timeout(10):
        await desk.executor.close(grace_s=0.05)
    assert desk.ends == {}


async def test_nothing_is_started_once_it_is_closed(desk: Desk) -> None:
    await desk.executor.close(grace_s=1)
    desk.dispatch("echo", 1)
    await asyncio.sleep(0)
    assert desk.order == []


async def test_what_only_this_node_can_do_is_begun_although_it_drains(limits: Limits) -> None:
    """Of a submit that was recorded and never begun nobody could tell later on whether it was made."""
    desk = Desk(Limits(coroutines=1, threads=1, processes=1))
    first = desk.dispatch("forever")
    await desk.begun(first)
    before, dropped = desk.submit("echo", 1), desk.dispatch("echo", 2)
    draining = asyncio.ensure_future(desk.executor.drain(grace_s=30))
    await asyncio.sleep(0)
    after, not_taken = desk.submit("echo", 3), desk.dispatch("echo", 4)
    desk.executor.cancel([first])
    assert [await desk.result(token) for token in (before, after)] == [1, 3]
    await draining
    assert not {dropped, not_taken} & desk.ends.keys()
    await desk.executor.close(grace_s=5)
    late = desk.submit("echo", 5)
    assert late not in desk.ends
