from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.execution import sample
from tests.execution.conftest import PATIENCE_S, Desk
from understudy.target import load_app
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import AttemptEnded
from understudy_runtime.execution import wire
from understudy_runtime.execution.executor import Limits

pytestmark = pytest.mark.anyio

needs_pidfd = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells when another's child ends")


def failure(end: AttemptEnded) -> Failure:
    assert end.failure is not None, end.result
    return end.failure


def ends(pid: int) -> bool:
    """Whether that process, whoever's child it is, is dead or dies soon."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], PATIENCE_S)[0])
    finally:
        os.close(fd)


async def test_functions_run_in_warm_processes_of_their_own(desk: Desk) -> None:
    first = await desk.result(desk.dispatch("process_id"))
    second = await desk.result(desk.dispatch("process_id"))
    assert first == second != os.getpid()


async def test_work_is_spread_over_no_more_processes_than_allowed(desk: Desk) -> None:
    busy = desk.dispatch("process_forever")
    await desk.begun(busy)
    tokens = desk.dispatch_all([("process_id",)] * 50)
    assert len({await desk.result(token) for token in tokens}) == 1
    await desk.cancelled(busy)


async def test_results_of_many_short_tasks_come_back_once_each(desk: Desk) -> None:
    tokens = desk.dispatch_all([("process_echo", n) for n in range(500)])
    assert [await desk.result(token) for token in tokens] == list(range(500))


async def test_coroutine_functions_may_be_isolated_too(desk: Desk) -> None:
    assert await desk.result(desk.dispatch("process_coroutine", 5)) == 5


async def test_values_larger_than_a_pipe_holds_go_through_both_ways(desk: Desk) -> None:
    size = 5_000_000
    assert await desk.result(desk.dispatch("process_answers", size)) == "x" * size
    assert await desk.result(desk.dispatch("process_measures", "y" * size)) == size


async def test_arguments_over_the_limit_of_a_frame_are_a_final_failure(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await desk.result(desk.dispatch("process_measures", "y")) == 1
    monkeypatch.setattr(wire, "MAX_FRAME_BYTES", 1000)
    end = failure(await desk.ended(desk.dispatch("process_measures", "y" * 1000)))
    assert (end.type, end.final) == ("BadInput", True)
    assert await desk.result(desk.dispatch("process_measures", "yy")) == 2


async def test_failure_and_the_newest_progress_come_through(desk: Desk) -> None:
    token = desk.dispatch("process_fails", "declined")
    end = failure(await desk.ended(token))
    assert (end.type, end.message, end.final) == ("Declined", "in a process", False)
    assert "in process_fails" in end.traceback
    assert "understudy_runtime" not in end.traceback
    assert desk.progress[token][-1] == "step 2"
    assert failure(await desk.ended(desk.dispatch("process_fails", "exit"))).type == "SystemExit"
    assert await desk.result(desk.dispatch("process_echo", 1)) == 1


async def test_child_imports_nothing_of_the_engine_and_restores_the_environment(desk: Desk) -> None:
    surroundings = await desk.result(desk.dispatch("process_surroundings", progress=[1]))
    assert surroundings == {"modules": [], "pythonpath": os.environ.get("PYTHONPATH"), "progress": [1]}


async def test_what_a_task_prints_goes_to_standard_error(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    await desk.ended(desk.dispatch("process_prints", "hello from the child"))
    assert capfd.readouterr() == ("", "hello from the child\n")


# --- death


async def test_process_that_dies_loses_its_attempt_and_is_replaced(desk: Desk) -> None:
    end = failure(await desk.ended(desk.dispatch("process_dies")))
    assert (end.type, end.kind) == ("ProcessLost", "lost")
    assert "exited with code 7" in end.message
    assert await desk.result(desk.dispatch("process_echo", 1)) == 1


async def test_cancelling_kills_the_process_and_all_it_started(desk: Desk) -> None:
    token = desk.dispatch("process_with_offspring")
    pids = await desk.begun(token)
    assert failure(await desk.cancelled(token)).kind == "cancelled"
    assert all(ends(pid) for pid in pids)


async def test_attempts_behind_one_that_dies_or_is_cancelled_still_run() -> None:
    desk = Desk(Limits(processes=1))
    await desk.result(desk.dispatch("process_echo", 0))
    tokens = desk.dispatch_all([("process_echo", 1), ("process_dies",), ("process_echo", 2), ("process_forever",)])
    tokens += desk.dispatch_all([("process_echo", 3)])
    assert await desk.result(tokens[0]) == 1
    assert failure(await desk.ended(tokens[1])).kind == "lost"
    assert await desk.result(tokens[2]) == 2
    await desk.begun(tokens[3])
    assert tokens[4] not in desk.ends
    await desk.cancelled(tokens[3])
    assert await desk.result(tokens[4]) == 3
    await desk.executor.close(grace_s=5)


async def test_short_tasks_do_not_stay_behind_one_that_turns_out_long(desk: Desk) -> None:
    """The task was short so far, so some of it is sent ahead of need; one of the two children then hangs."""
    for token in desk.dispatch_all([("process_hangs_on", n, -1) for n in range(20)]):
        await desk.ended(token)
    tokens = desk.dispatch_all([("process_hangs_on", n, 3) for n in range(20)])
    for token in tokens[:3] + tokens[4:]:
        assert await desk.result(token) is None
    assert failure(await desk.cancelled(tokens[3])).kind == "cancelled"


async def test_cancelling_what_was_sent_ahead_leaves_the_rest_alone() -> None:
    desk = Desk(Limits(processes=1))
    for token in desk.dispatch_all([("process_hangs_on", n, -1) for n in range(20)]):
        await desk.ended(token)
    head, *behind = desk.dispatch_all([("process_hangs_on", n, 0) for n in range(6)])
    desk.executor.cancel(behind[:2])
    assert [failure(await desk.ended(token)).kind for token in behind[:2]] == ["cancelled"] * 2
    assert head not in desk.ends
    await desk.cancelled(head)
    assert [await desk.result(token) for token in behind[2:]] == [None] * 3
    await desk.executor.close(grace_s=5)


async def test_closing_leaves_no_process(desk: Desk) -> None:
    pid = await desk.begun(desk.dispatch("process_computes_forever"))
    await desk.executor.close(grace_s=5)
    assert desk.ends == {}
    assert ends(pid)


@needs_pidfd
@pytest.mark.parametrize(
    "task", ["process_forever", "process_computes_forever", "process_holds_the_lock_forever", "process_with_offspring"]
)
def test_no_process_outlives_a_parent_that_is_killed(task: str) -> None:
    command = [sys.executable, "-m", "tests.execution.parent", task]
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}) as parent:
        assert parent.stdout is not None
        progress = msgspec.json.decode(parent.stdout.readline(), type=int | list[int])
        parent.send_signal(signal.SIGKILL)
    assert all(ends(pid) for pid in ([progress] if isinstance(progress, int) else progress))


async def test_child_starts_no_node_of_its_own(desk: Desk) -> None:
    end = failure(await desk.ended(desk.dispatch("process_starts_a_node")))
    assert end.type == "BadRequest"
    assert "__main__" in end.message


# --- limits and targets


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not enforce the limit")
async def test_task_over_its_memory_limit_fails_and_the_limit_ends_with_it(desk: Desk) -> None:
    assert await desk.result(desk.dispatch("process_needs_memory", 20)) == 20 * 1024 * 1024
    assert failure(await desk.ended(desk.dispatch("process_needs_memory", 200))).type == "MemoryError"
    unlimited = desk.dispatch("process_needs_memory", 200, memory_mb=None)
    assert await desk.result(unlimited) == 200 * 1024 * 1024


SLOW_TO_LOAD = """
import time
from understudy import App
time.sleep(0.6)
app = App("slow")
@app.task(isolate="process", timeout=0.5)
def add(n: int) -> int:
    return n + 1
"""


async def test_task_in_a_file_is_loaded_by_its_path_which_does_not_count_against_its_timeout(tmp_path: Path) -> None:
    file = tmp_path / "report.py"
    file.write_text(SLOW_TO_LOAD)
    desk = Desk(tasks=load_app(str(file)).tasks)
    assert await desk.result(desk.dispatch("add", 1)) == 2
    await desk.executor.close(grace_s=5)


async def test_task_that_the_child_cannot_find_says_where_it_looked() -> None:
    definition = sample.app.tasks["process_echo"]
    lost = msgspec.structs.replace(definition, target=("tests.execution.sample", "hidden"))
    desk = Desk(tasks={"process_echo": lost})
    end = failure(await desk.ended(desk.dispatch("process_echo", 1)))
    assert end.type == "UnknownName"
    assert "tests.execution.sample" in end.message
    await desk.executor.close(grace_s=5)
