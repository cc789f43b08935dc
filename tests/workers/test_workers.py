"""Workers in processes of their own: work spreads, nothing is lost with them, and leaving costs nobody an attempt."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.workers.conftest import Node, eventually
from tests.workers.proxy import Proxy

ROUNDS = 100


def running(folder: Path, attempt: int = 1, dispatch: int = 1) -> int:
    """The process that runs this dispatch of `holds_on`, once it does."""
    file = folder / f"running-{attempt}-{dispatch}"
    return int(eventually(lambda: file.exists() and file.read_text()))


def test_five_tasks_on_five_idle_workers_of_five_slots_land_one_each_a_hundred_times(node: Node) -> None:
    workers = node.workers(5, "--slots", "5")
    done = node.result(node.start("rounds", ROUNDS))
    assert len(done) == ROUNDS
    assert all(sorted(by) == sorted(worker.pid for worker in workers) for by in done)


def test_tasks_go_to_workers_that_have_the_labels_and_draw_from_the_queue(node: Node) -> None:
    run_id = node.start("choosy")
    gpu = node.worker("--label", "gpu=a100")
    night = node.worker("--queue", "night")
    assert node.result(run_id) == [gpu.pid, night.pid]


def test_a_run_outlives_the_worker_that_is_killed_at_its_task_at_no_cost(node: Node, tmp_path: Path) -> None:
    workers = {worker.pid: worker for worker in node.workers(2)}
    run_id = node.start("held_on", str(tmp_path))
    first = running(tmp_path)
    workers.pop(first).signal(signal.SIGKILL)
    (tmp_path / "go").touch()
    assert node.result(run_id) == [next(iter(workers)), 1, 2]


def test_an_attempt_goes_on_when_its_worker_comes_back(node: Node, tmp_path: Path) -> None:
    with Proxy(node.address) as proxy:
        worker = node.worker(connect=proxy.address)
        run_id = node.start("held_on", str(tmp_path))
        running(tmp_path)
        proxy.cut()
        (tmp_path / "go").touch()
        assert node.result(run_id) == [worker.pid, 1, 1]


def test_the_end_of_an_attempt_is_not_lost_with_the_stream(node: Node, tmp_path: Path) -> None:
    with Proxy(node.address) as proxy:
        worker = node.worker(connect=proxy.address)
        run_id = node.start("held_on", str(tmp_path))
        running(tmp_path)
        with proxy.closed():
            (tmp_path / "go").touch()
            worker.event("not connected")
        assert node.result(run_id) == [worker.pid, 1, 1]


def test_a_worker_that_is_asked_to_leave_lets_its_tasks_end(node: Node, tmp_path: Path) -> None:
    worker = node.worker("--grace-s", "60")
    run_id = node.start("held_on", str(tmp_path))
    running(tmp_path)
    worker.signal(signal.SIGTERM)
    worker.event("leaving: what runs may end; signal again to stop at once")
    (tmp_path / "go").touch()
    assert node.result(run_id) == [worker.pid, 1, 1]
    assert worker.exit_code() == 0


def test_what_does_not_end_in_time_is_handed_back_and_never_costs_an_attempt(node: Node, tmp_path: Path) -> None:
    workers = {worker.pid: worker for worker in node.workers(5, "--grace-s", "0.1")}
    run_id = node.start("held_on", str(tmp_path))
    for dispatch in range(1, 5):
        leaving = workers.pop(running(tmp_path, dispatch=dispatch))
        leaving.signal(signal.SIGTERM)
        assert leaving.exit_code() == 0
        assert (tmp_path / f"cancelled-1-{dispatch}").exists(), "it was given the time to clean up"
    (tmp_path / "go").touch()
    assert node.result(run_id) == [next(iter(workers)), 1, 5]


def test_a_second_signal_stops_a_worker_at_once(node: Node, tmp_path: Path) -> None:
    worker, run_id = node.worker(), node.start("held_on", str(tmp_path))
    running(tmp_path)
    worker.signal(signal.SIGTERM)
    worker.event("leaving: what runs may end; signal again to stop at once")
    worker.signal(signal.SIGTERM)
    assert worker.exit_code() == 130
    (tmp_path / "go").touch()
    other = node.worker()
    assert node.result(run_id) == [other.pid, 1, 2]


def test_a_cancellation_reaches_the_worker(node: Node, tmp_path: Path) -> None:
    node.worker()
    run_id = node.start("held_on", str(tmp_path))
    running(tmp_path)
    node.cancel(run_id)
    assert (node.outcome(run_id)).status == "cancelled"
    eventually((tmp_path / "cancelled-1-1").exists)


def test_a_worker_with_a_blocked_work_loop_is_named_and_gets_no_new_work(node: Node, tmp_path: Path) -> None:
    workers = {worker.pid: worker for worker in node.workers(2)}
    run_id = node.start("blocked", str(tmp_path))
    blocked = int(eventually(lambda: (tmp_path / "running").exists() and (tmp_path / "running").read_text()))
    event = node.command.event("worker blocked")
    assert event["worker"].endswith(f"-{blocked}")
    assert "task blocks at" in event["why"]
    assert event["task"] == "blocks"
    assert "shop.py:" in event["where"]
    (listed,) = json.loads(node.listed("--json"))
    (info,) = [info for info in listed["workers"] if info["name"].endswith(f"-{blocked}")]
    assert (info["status"], info["used"], info["blocked_task"]) == ("blocked", 1, "blocks")
    assert info["blocked_since"] >= info["joined_at"]
    (shown,) = [line for line in node.listed().splitlines() if line.startswith("  ") and f"-{blocked} " in line]
    assert "blocked by task blocks at" in shown
    assert "shop.py:" in shown
    (other,) = workers.keys() - {blocked}
    assert node.result(node.start("rounds", 1)) == [[other] * 5]
    (tmp_path / "go").touch()
    assert node.result(run_id) == blocked
    node.command.event("worker answers again", worker=info["name"])


def test_a_node_with_a_blocked_work_loop_is_named_and_gives_its_tasks_to_others(tmp_path: Path) -> None:
    node = Node.opened("--store", str(tmp_path / "state.db"), "--listen", "127.0.0.1:0", "--run-tasks")
    try:
        run_id = node.start("blocked", str(tmp_path))
        event = node.command.event("work loop blocked")
        assert (event["task"], "shop.py:" in event["where"]) == ("blocks", True)
        (listed,) = json.loads(node.listed("--json"))
        assert (listed["status"], "blocked by task blocks at" in listed["trouble"]) == ("blocked", True)
        (own,) = [info for info in listed["workers"] if info["status"] == "blocked"]
        assert (own["used"], own["blocked_task"]) == (1, "blocks")
        waits = node.start("rounds", 1)
        other = node.worker()
        assert node.result(waits) == [[other.pid] * 5]
        (tmp_path / "go").touch()
        node.result(run_id)
        node.command.event("work loop answers again")
        (listed,) = json.loads(node.listed("--json"))
        assert (listed["status"], listed["trouble"]) == ("active", "")
    finally:
        node.close()


def test_a_worker_says_what_is_wrong_when_the_node_will_not_have_it(node: Node) -> None:
    worker = node.command_for("worker", "--connect", node.address, "--namespace", "a/b")
    assert worker.exit_code() == 2
    eventually(lambda: "is not a namespace" in "".join(worker.noise))


def test_workers_outlive_the_node_and_go_on_with_the_next_one(tmp_path: Path) -> None:
    """What a worker had begun for the first node it ends for the second: nothing is begun anew."""
    store = str(tmp_path / "state.db")
    first = Node.opened("--store", store, "--listen", "127.0.0.1:0", "--grace-s", "0.1")
    worker = first.worker()
    run_id = first.start("held_on", str(tmp_path))
    running(tmp_path)
    first.command.signal(signal.SIGTERM)
    assert first.command.exit_code() == 0
    second = Node.opened("--store", store, "--listen", first.address)
    try:
        assert second.command.event("attempt adopted")["run"] == run_id
        (tmp_path / "go").touch()
        assert second.result(run_id) == [worker.pid, 1, 1]
        assert not (tmp_path / "running-1-2").exists()
    finally:
        first.close()
        second.close()


def test_an_attempt_that_ended_while_no_node_was_there_is_not_done_again(tmp_path: Path) -> None:
    store = str(tmp_path / "state.db")
    first = Node.opened("--store", store, "--listen", "127.0.0.1:0")
    worker = first.worker()
    run_id = first.start("held_on", str(tmp_path))
    running(tmp_path)
    first.command.signal(signal.SIGKILL)
    first.command.exit_code()
    (tmp_path / "go").touch()
    second = Node.opened("--store", store, "--listen", first.address)
    try:
        assert second.result(run_id) == [worker.pid, 1, 1]
    finally:
        first.close()
        second.close()
