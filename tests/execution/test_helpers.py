"""`heartbeat()` and `task_info()` work in what an attempt starts; where they cannot, they say so."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.execution import helping
from tests.execution.conftest import Desk
from understudy import heartbeat
from understudy_runtime.execution.executor import Limits

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk(Limits(coroutines=10, threads=2, processes=1), helping.app.tasks)
    yield desk
    await desk.executor.close(grace_s=5)


@pytest.mark.parametrize("way", helping.WAYS)
@pytest.mark.parametrize("task", ["in_thread", "in_coroutine", "in_executor", "in_process"])
async def test_what_an_attempt_starts_speaks_for_it(desk: Desk, task: str, way: str) -> None:
    assert await desk.result(desk.dispatch(task, way)) == task


async def test_what_a_helper_gives_to_heartbeat_is_the_attempts_progress(desk: Desk) -> None:
    token = desk.dispatch("helped_until_told")
    assert await desk.begun(token) == "by a helper"
    helping.release.set()
    await desk.result(token)


async def test_a_shared_pool_speaks_for_whoever_gave_it_the_work(desk: Desk) -> None:
    tokens = [desk.dispatch(task, "by_shared_pool") for task in ("in_thread", "in_coroutine", "in_executor") * 3]
    assert [await desk.result(token) for token in tokens] == ["in_thread", "in_coroutine", "in_executor"] * 3


async def test_a_thread_of_unknown_descent_is_refused_in_words(desk: Desk) -> None:
    refused = (await desk.result(desk.dispatch("unknown"))).splitlines()
    assert len(refused) == 2
    assert refused[0].startswith("BadRequest: heartbeat() was called where it is not known for which attempt")
    assert "contextvars.copy_context().run" in refused[0]
    assert refused[1].startswith("BadRequest: task_info() works only inside a task")


async def test_a_helper_that_outlives_its_attempt_is_told_so(desk: Desk) -> None:
    helping.over.clear()
    await desk.result(desk.dispatch("leaves_a_helper"))
    helping.release.set()
    assert helping.over.wait(30)
    assert helping.said == ["heartbeat() came after this attempt of leaves_a_helper had ended"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of newer Pythons, about forks beside threads
async def test_a_forked_process_is_told_that_it_is_not_heard(desk: Desk) -> None:
    assert await desk.result(desk.dispatch("forks")) == (
        "heartbeat() was called in a process that the task has forked; call it in the task's own"
    )


async def test_a_task_that_is_called_as_a_plain_function_tells_nobody(desk: Desk) -> None:
    heartbeat("to nobody, and nothing runs")
