"""Real nodes over a real etcd and PostgreSQL: any worker serves runs of any node."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.servers import EtcdServer
from tests.cluster.test_moves import Town, until
from tests.node.nodes import NodeProcess
from tests.storage.database import Database, running_database
from understudy_proto.v1 import nodes_pb2

pytestmark = pytest.mark.slow

NODES = ("ann", "bob", "cyd")

APP = '''
"""Tasks that say where they run, and may go on until there is a file `go`."""
import asyncio
import os
from pathlib import Path

from understudy import App, task_info

app = App("spread")

def note(file: str, *words: object) -> None:
    with open(file, "a") as lines:
        lines.write(" ".join(map(str, words)) + "\\n")

@app.task(queue="gpu", labels=["gpu"])
async def render(name: str) -> str:
    note("renders", name, os.getpid(), task_info().attempt)
    return name

@app.task(queue="gpu", labels=["gpu"])
async def held(name: str) -> str:
    note("starts", name, os.getpid(), task_info().attempt)
    while not Path("go").exists():
        await asyncio.sleep(0.02)
    return name

@app.task
def block(name: str) -> str:
    import time
    note("starts", name, os.getpid(), task_info().attempt)
    while not Path("go").exists():
        time.sleep(0.02)
    return name

@app.workflow
async def renders(name: str) -> str:
    return await render(name)

@app.workflow
async def holding(name: str) -> str:
    return await held(name)

@app.workflow
async def blocks(count: int) -> list[str]:
    return await asyncio.gather(*(block(str(number)) for number in range(count)))

@app.workflow
async def many(name: str, rounds: int, each: int) -> int:
    done = 0
    for number in range(rounds):
        done += len(await asyncio.gather(*(render(f"{name}-{number}-{n}") for n in range(each))))
    return done
'''


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with running_database() as made:
        yield made


class Land(Town):
    """Three nodes that have the shards among them."""

    APP = APP
    FILE = "spread.py"

    def three(self, *options: str) -> list[NodeProcess]:
        nodes = [self.begin(name, *options) for name in NODES]
        self.until_shared(*NODES)
        return nodes

    def start_at_all(self, workflow: str, each: int, arguments: str = '["{run}"]') -> list[str]:
        """Runs that are spread over the shards of all nodes."""
        client = self.nodes["ann"].client()
        return [client.start(workflow, arguments.format(run=number)) for number in range(each)]

    def pids(self, file: str) -> Counter[str]:
        return Counter(pid for _, pid, _ in self.lines(file))

    def listed(self, through: str) -> dict[str, nodes_pb2.Node]:
        client = self.nodes[through].client()
        listed = client.call("NodeService/ListNodes", nodes_pb2.ListNodesRequest(), nodes_pb2.ListNodesResponse)
        client.channel.close()
        return {node.node_id: node for node in listed.nodes}


@pytest.fixture
def land(tmp_path: Path, shared_etcd: EtcdServer, database: Database) -> Iterator[Land]:
    made = Land(tmp_path, shared_etcd, database)
    yield made
    made.close()


RUNS = 24
GPU = ("--queue", "gpu", "--label", "gpu")


def test_a_queue_whose_only_worker_is_at_one_node_serves_runs_of_all(land: Land) -> None:
    land.three()
    land.worker(land.nodes["ann"], *GPU, "--slots", "3")
    runs = land.start_at_all("renders", RUNS)
    client = land.nodes["bob"].client()
    assert [client.result(run) for run in runs] == [str(number) for number in range(RUNS)]
    assert len(land.pids("renders")) == 1


def test_thirty_blocking_tasks_of_one_run_on_three_nodes_with_ten_slots_are_ten_each(land: Land) -> None:
    nodes = land.three("--threads", "10")
    client = nodes[0].client()
    run = client.start("blocks", "[30]")
    until(lambda: len(land.lines("starts")) == 30)
    assert sorted(land.pids("starts").values()) == [10, 10, 10]
    listed = land.listed("bob")
    used = {name: sum(worker.used for worker in listed[name].workers) for name in NODES}
    assert used == dict.fromkeys(NODES, 10)
    land.go()
    assert client.result(run) == [str(number) for number in range(30)]
    until(lambda: all(sum(worker.used for worker in node.workers) == 0 for node in land.listed("cyd").values()))


def test_a_hundred_rounds_of_five_tasks_on_five_workers_at_three_nodes_are_one_each(land: Land) -> None:
    ann, bob, cyd = land.three("--no-run-tasks")
    for node in (ann, bob, bob, cyd, cyd):
        land.worker(node, *GPU, "--slots", "1")
    until(lambda: sum(len(node.workers) for node in land.listed("ann").values()) == 5)
    client = bob.client()
    assert client.result(client.start("many", '["x", 100, 5]')) == 500
    rounds: dict[str, list[str]] = {}
    for name, pid, _ in land.lines("renders"):
        rounds.setdefault(name.rpartition("-")[0], []).append(pid)
    assert len(rounds) == 100
    spread = [len(set(pids)) for pids in rounds.values()]
    assert spread == [5] * 100


def test_when_the_borrower_is_killed_its_attempts_are_begun_anew_at_no_cost(land: Land) -> None:
    ann, bob, _ = land.three()
    land.worker(ann, *GPU, "--slots", str(RUNS))
    runs = land.start_at_all("holding", RUNS)
    until(lambda: len(land.lines("starts")) == RUNS)
    land.worker(bob, *GPU, "--slots", str(RUNS))
    ann.signal(signal.SIGKILL)
    until(lambda: len(land.pids("starts")) == 2)
    land.go()
    client = bob.client()
    assert [client.result(run) for run in runs] == [str(number) for number in range(RUNS)]
    assert {attempt for _, _, attempt in land.lines("starts")} == {"1"}


def test_when_the_lender_is_killed_its_runs_go_on_at_the_others(land: Land) -> None:
    ann, bob, cyd = land.three()
    land.worker(ann, *GPU, "--slots", str(2 * RUNS))
    runs = land.start_at_all("holding", RUNS)
    until(lambda: len(land.lines("starts")) == RUNS)
    bob.signal(signal.SIGKILL)
    until(lambda: len(land.lines("starts")) > RUNS)
    land.go()
    client = cyd.client()
    assert [client.result(run) for run in runs] == [str(number) for number in range(RUNS)]
    assert {attempt for _, _, attempt in land.lines("starts")} == {"1"}


@pytest.mark.parametrize("leaving", ["ann", "bob"])
def test_a_node_that_leaves_in_good_order_costs_no_attempt_and_repeats_none(land: Land, leaving: str) -> None:
    """Ann has borrowed, bob has lent. What ann's worker has goes on until it ends, as ann has the grace for it."""
    ann, _, cyd = land.three()
    land.worker(ann, *GPU, "--slots", str(RUNS))
    runs = land.start_at_all("holding", RUNS)
    until(lambda: len(land.lines("starts")) == RUNS)
    land.nodes[leaving].signal(signal.SIGTERM)
    rest = [name for name in NODES if name != leaving]
    land.until_shared(*rest, through="cyd")
    land.go()
    client = cyd.client()
    assert [client.result(run) for run in runs] == [str(number) for number in range(RUNS)]
    assert land.nodes[leaving].ended() == 0
    assert len(land.lines("starts")) == RUNS


def test_a_node_that_leaves_before_its_borrowed_attempts_end_gives_them_back(land: Land) -> None:
    ann, bob, cyd = land.three("--grace-s", "1")
    land.worker(ann, *GPU, "--slots", str(RUNS))
    runs = land.start_at_all("holding", RUNS)
    until(lambda: len(land.lines("starts")) == RUNS)
    land.worker(bob, *GPU, "--slots", str(RUNS))
    ann.signal(signal.SIGTERM)
    assert ann.ended() == 0
    until(lambda: len(land.pids("starts")) == 2)
    land.go()
    client = cyd.client()
    assert [client.result(run) for run in runs] == [str(number) for number in range(RUNS)]
    assert {attempt for _, _, attempt in land.lines("starts")} == {"1"}
    for node in (bob, cyd):
        assert not [line for line in node.lines if "where it ran, is gone" in line]


def test_throughput_of_a_queue_elsewhere(land: Land) -> None:
    """Not a promise but a sign of life: what waits elsewhere is not served by timers."""
    ann, bob, _ = land.three("--no-run-tasks")
    land.worker(ann, *GPU, "--slots", "10")
    client = bob.client()
    runs = [client.start("many", f'["{number}", 10, 10]') for number in range(6)]
    began = time.monotonic()
    assert [client.result(run) for run in runs] == [100] * 6
    assert time.monotonic() - began < 30
