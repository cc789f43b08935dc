from __future__ import annotations

import pytest
from msgspec import Raw

from tests.execution import sample
from tests.execution.conftest import Desk
from understudy.options import TaskOptions
from understudy_runtime.core.messages import Dispatch, Token

pytestmark = pytest.mark.anyio


async def test_plain_functions_run_in_daemon_threads(desk: Desk) -> None:
    tokens = desk.dispatch_all([("thread_echo", n) for n in range(100)])
    assert [await desk.result(token) for token in tokens] == list(range(100))
    assert await desk.result(desk.dispatch("thread_is_daemon")) is True


async def test_no_more_threads_run_than_are_allowed(desk: Desk) -> None:
    tokens = desk.dispatch_all([("thread_waits_for_gate",)] * 3)
    for token in tokens[:2]:
        await desk.begun(token)
    assert tokens[2] not in desk.progress
    sample.gate.set()
    assert [await desk.result(token) for token in tokens] == ["released"] * 3


async def test_the_executor_tells_what_has_begun_from_what_waits_for_a_slot(desk: Desk) -> None:
    tokens = desk.dispatch_all([("thread_waits_for_gate",)] * 3)
    assert desk.executor.having(lambda key: key == "test/run/r1") == (tokens[:2], tokens[2:])
    assert desk.executor.having(lambda key: key != "test/run/r1") == ([], [])
    submit = Dispatch(
        Token("test/job", 1, 1, 1, 1), "thread_echo", Raw(b'{"args":[1]}'), TaskOptions(), "k", local=True
    )
    desk.executor.start([submit])
    assert desk.executor.having(lambda key: key == "test/job") == ([submit.token], []), "it may not be repeated lightly"
    sample.gate.set()
    for token in (*tokens, submit.token):
        await desk.ended(token)
    assert desk.executor.having(lambda key: True) == ([], [])


@pytest.mark.parametrize(("kind", "type"), [("exit", "SystemExit"), ("stop", "StopIteration")])
async def test_whatever_is_raised_fails_that_attempt_and_nothing_else(desk: Desk, kind: str, type: str) -> None:
    end = await desk.ended(desk.dispatch("thread_fails", kind))
    assert end.failure is not None
    assert end.failure.type == type
    assert await desk.result(desk.dispatch("thread_echo", 1)) == 1


async def test_cancelled_thread_learns_it_from_its_heartbeat(desk: Desk) -> None:
    token = desk.dispatch("thread_beats_until_stopped")
    await desk.begun(token)
    desk.executor.cancel([token])
    sample.gate.set()
    end = await desk.ended(token)
    assert end.failure is not None
    assert (end.failure.type, end.failure.kind) == ("CancelledError", "cancelled")


async def test_cancelled_thread_that_does_not_listen_is_reported_as_it_ends(desk: Desk) -> None:
    token = desk.dispatch("thread_waits_for_gate")
    await desk.begun(token)
    desk.executor.cancel([token])
    sample.gate.set()
    assert await desk.result(token) == "released"


async def test_timed_out_thread_is_reported_at_once_and_keeps_its_slot(desk: Desk) -> None:
    stuck = desk.dispatch_all([("thread_waits_for_gate",)] * 2, timeout_s=0.01)
    for token in stuck:
        end = await desk.ended(token)
        assert end.failure is not None
        assert (end.failure.type, end.failure.kind) == ("TaskTimedOut", "timeout")
    waiting = desk.dispatch("thread_echo", 1)
    assert await desk.result(desk.dispatch("echo", 2)) == 2
    assert waiting not in desk.ends
    sample.gate.set()
    assert await desk.result(waiting) == 1


@pytest.mark.parametrize("task", ["wrapped", "unnamed_wrapper"])
async def test_a_coroutine_behind_a_plain_wrapper_runs_on_the_work_loop(desk: Desk, task: str) -> None:
    await desk.result(desk.dispatch("notes_loop"))
    assert await desk.result(desk.dispatch(task, "echo")) == [True, task]
    for kind, error in (("fail", "Declined"), ("exit", "SystemExit")):
        end = await desk.ended(desk.dispatch(task, kind))
        assert end.failure is not None
        assert end.failure.type == error


async def test_a_coroutine_behind_a_wrapper_is_cancelled_and_timed_out_as_others_are(desk: Desk) -> None:
    sample.seen.clear()
    token = desk.dispatch("wrapped", "wait")
    await desk.begun(token)
    end = await desk.cancelled(token)
    assert end.failure is not None
    assert (end.failure.type, end.failure.kind) == ("CancelledError", "cancelled")

    end = await desk.ended(desk.dispatch("wrapped", "wait", timeout_s=0.2))
    assert end.failure is not None
    assert (end.failure.type, end.failure.kind) == ("TaskTimedOut", "timeout")
    assert await desk.result(desk.dispatch("thread_echo", 1)) == 1, "its thread is free again"
    assert sample.seen == ["cleaned up"] * 2


async def test_a_wrapper_may_run_its_coroutine_itself(desk: Desk) -> None:
    end = await desk.ended(desk.dispatch("runs_itself", "fail"))
    assert end.failure is not None
    assert end.failure.type == "Declined"


@pytest.mark.parametrize("task", ["changes", "process_changes"])
@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("tuple", "a tuple would arrive as a list"),
        ("set", "a set would arrive as a list"),
        ("keys", "[1]: the key 1 would arrive as '1'"),
        ("raw", "a object has no JSON form"),
    ],
)
async def test_a_result_that_would_change_fails_the_attempt_for_good(
    desk: Desk, task: str, kind: str, complaint: str
) -> None:
    end = await desk.ended(desk.dispatch(task, kind))
    assert end.failure is not None
    assert (end.failure.type, end.failure.final) == ("BadInput", True)
    assert f"the result of {task}()" in end.failure.message
    assert complaint in end.failure.message
    assert await desk.result(desk.dispatch(task, "fits")) == [1]


async def test_a_coroutine_behind_a_wrapper_works_in_a_process_too(desk: Desk) -> None:
    end = await desk.ended(desk.dispatch("process_wrapped", "fail"))
    assert end.failure is not None
    assert end.failure.type == "Declined"


@pytest.mark.parametrize(("kind", "complaint"), [("tuple", "a tuple would arrive as a list"), ("set", "a set would")])
async def test_a_progress_that_would_change_is_refused_by_the_heartbeat(desk: Desk, kind: str, complaint: str) -> None:
    end = await desk.ended(desk.dispatch("beats_with_a", kind))
    assert end.failure is not None
    assert f"the progress given to heartbeat(): {complaint}" in end.failure.message


async def test_a_progress_with_a_file_name_that_is_not_unicode_comes_back(desk: Desk) -> None:
    token = desk.dispatch("beats_with_a", "name")
    await desk.begun(token)
    sample.gate.set()
    again = desk.dispatch("progress_is_name", progress=desk.progress[token][-1])
    assert await desk.result(again) is True
