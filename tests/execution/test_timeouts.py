from __future__ import annotations

from typing import Any

import pytest

from tests.execution import sample
from tests.execution.conftest import Desk
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import AttemptEnded, AttemptProgressed
from understudy_runtime.execution import executor, work_loop
from understudy_runtime.execution.context import MAX_PROGRESS_BYTES

pytestmark = pytest.mark.anyio


def failure(end: AttemptEnded) -> Failure:
    assert end.failure is not None
    return end.failure


async def test_attempt_that_runs_for_too_long_is_cancelled_and_timed_out(desk: Desk) -> None:
    token = desk.dispatch("cleans_up", timeout_s=0.05)
    end = failure(await desk.ended(token))
    assert (end.type, end.kind) == ("TaskTimedOut", "timeout")
    assert "0.05 s" in end.message
    assert desk.progress[token][-1] == "cleaned up"


async def test_result_that_comes_after_the_timeout_does_not_count(desk: Desk) -> None:
    assert failure(await desk.ended(desk.dispatch("finishes_anyway", timeout_s=0.05))).kind == "timeout"


async def test_timed_out_attempt_that_ignores_its_cancellation_is_reported_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_loop, "UNWIND_S", 0.05)
    token = desk.dispatch("ignores_cancellation", timeout_s=0.05)
    assert failure(await desk.ended(token)).kind == "timeout"
    assert not sample.gate.is_set()


async def test_silence_beyond_the_heartbeat_timeout_ends_the_attempt(desk: Desk) -> None:
    end = failure(await desk.ended(desk.dispatch("forever", heartbeat_s=0.05)))
    assert (end.type, end.kind) == ("TaskTimedOut", "timeout")
    assert "heartbeat" in end.message


async def test_heartbeats_keep_an_attempt_alive(desk: Desk) -> None:
    assert await desk.result(desk.dispatch("beats_for", 40, heartbeat_s=0.5)) == "alive all the time"


@pytest.mark.parametrize("task", ["process_forever", "process_computes_forever"])
@pytest.mark.parametrize("option", ["timeout_s", "heartbeat_s"])
async def test_process_that_takes_too_long_is_killed(desk: Desk, task: str, option: str) -> None:
    options: dict[str, Any] = {option: 0.2}
    end = failure(await desk.ended(desk.dispatch(task, **options)))
    assert (end.type, end.kind) == ("TaskTimedOut", "timeout")
    assert await desk.result(desk.dispatch("process_echo", 1)) == 1


# --- progress


async def test_progress_is_reported_at_most_once_per_interval_and_the_newest_before_a_failure(desk: Desk) -> None:
    token = desk.dispatch("beats_then_fails")
    assert failure(await desk.ended(token)).type == "ValueError"
    progress = desk.progress[token]
    assert progress[-1] == 99
    assert len(progress) <= 2


async def test_progress_held_back_is_reported_when_the_interval_is_over(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "PROGRESS_EVERY_S", 0.05)
    token = desk.dispatch("beats_once_more")
    await desk.begun(token)
    sample.gate.set()
    while len(desk.progress[token]) < 2:
        await desk.changed()
    assert desk.progress[token] == ["begun", "once more"]
    await desk.cancelled(token)


async def test_unchanged_progress_is_not_reported_again(desk: Desk) -> None:
    token = desk.dispatch("forever", progress="begun", timeout_s=0.05)
    assert failure(await desk.ended(token)).kind == "timeout"
    assert not any(isinstance(report, AttemptProgressed) for report in desk.order)


async def test_progress_that_is_too_large_is_refused(desk: Desk) -> None:
    end = failure(await desk.ended(desk.dispatch("beats_with", MAX_PROGRESS_BYTES - 1)))
    assert end.type == "BadInput"
    assert str(MAX_PROGRESS_BYTES) in end.message
    assert await desk.result(desk.dispatch("beats_with", MAX_PROGRESS_BYTES - 2)) is None


async def test_attempt_that_waits_too_long_for_a_slot_has_failed_without_having_begun(desk: Desk) -> None:
    busy = desk.dispatch("process_forever")
    await desk.begun(busy)
    end = failure(await desk.ended(desk.dispatch("process_id", queue_timeout_s=0.05)))
    assert (end.type, end.kind) == ("TaskTimedOut", "timeout")
    assert "0.05 s (its queue timeout)" in end.message
    await desk.cancelled(busy)


async def test_queue_timeout_says_nothing_about_an_attempt_that_has_begun(desk: Desk) -> None:
    busy = desk.dispatch("process_forever")
    token = desk.dispatch("waits_for_gate", queue_timeout_s=0.5)
    await desk.begun(busy)
    await desk.begun(token)
    await desk.ended(desk.dispatch("process_id", queue_timeout_s=0.5))  # by now, the other one's has passed, too
    sample.gate.set()
    assert await desk.result(token) == "released"
    await desk.cancelled(busy)
