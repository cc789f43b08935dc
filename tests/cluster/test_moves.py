"""Real nodes over a real etcd and PostgreSQL: what runs stays where it is while its run goes from node to node."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.servers import EtcdServer
from tests.node.nodes import PATIENCE_S, NodeProcess
from tests.storage.database import Database, running_database
from understudy_proto.v1 import nodes_pb2, runs_pb2

pytestmark = pytest.mark.slow

RUNS = 16
SHARDS = 8

APP = '''
"""Tasks and jobs that go on until there is a file `go`; their starts and polls are lines in files."""
import asyncio
import os
from pathlib import Path

from understudy import App, task_info
from understudy.jobs import Job, Status, done, pending

app = App("moves")

def note(file: str, *words: object) -> None:
    with open(file, "a") as lines:
        lines.write(" ".join(map(str, words)) + "\\n")

@app.task
async def slow(name: str) -> str:
    note("starts", name, os.getpid(), task_info().attempt)
    try:
        while not Path("go").exists():
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        note("cancels", name)
        raise
    return name

@app.task
def blocking(name: str) -> str:
    import time
    note("starts", name, os.getpid(), task_info().attempt)
    while not Path("go").exists():
        time.sleep(0.02)
    return name

@app.workflow
async def waiting(name: str) -> list[str]:
    return [await slow(f"{name}-first"), *await asyncio.gather(slow(f"{name}-second"), blocking(f"{name}-third"))]

class Outside(Job[str, str]):
    async def submit(self, idempotency_key: str, name: str) -> str:
        note("submits", name)
        return name

    async def poll(self, handle: str) -> Status[str]:
        note("polls", handle, os.getpid())
        return done(handle) if Path("go").exists() else pending()

outside = app.job(every="100ms")(Outside)

@app.workflow
async def job(name: str) -> str:
    return await outside(name)
'''


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with running_database() as made:
        yield made


class Town:
    """Nodes in one folder, in which they leave their lines."""

    APP = APP
    FILE = "moves.py"

    def __init__(self, at: Path, etcd: EtcdServer, database: Database) -> None:
        (at / self.FILE).write_text(self.APP)
        self.at = at
        self._store = database.url(shards=SHARDS)
        self._etcd = etcd
        self.nodes: dict[str, NodeProcess] = {}
        self._workers: list[NodeProcess] = []

    def begin(self, name: str, *more: str) -> NodeProcess:
        options = ["--store", self._store, "--etcd", self._etcd.url, "--cluster", self.at.name, "--name", name]
        listen = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--grace-s", "60", "--log-format", "json"]
        self.nodes[name] = node = NodeProcess(self.at, ["node", self.FILE, *options, *listen, *more])
        assert node.address
        return node

    def worker(self, of: NodeProcess, *more: str) -> NodeProcess:
        options = ["--connect", of.address, "--grace-s", "0", "--log-format", "json"]
        worker = NodeProcess(self.at, ["worker", self.FILE, *options, *more])
        self._workers.append(worker)
        return worker

    def lines(self, file: str) -> list[list[str]]:
        path = self.at / file
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def writers(self, through: str) -> list[str]:
        """Of each shard, who may write it."""
        client = self.nodes[through].client()
        shards = client.call("NodeService/ListShards", nodes_pb2.ListShardsRequest(), nodes_pb2.ListShardsResponse)
        client.channel.close()
        return [shard.writer for shard in shards.shards]

    def until_shared(self, *names: str, through: str = "") -> None:
        """Until these have the shards among them, none two more than another."""

        def shared() -> bool:
            counts = [self.writers(through or names[0]).count(name) for name in names]
            return sum(counts) == SHARDS and max(counts) - min(counts) <= 1

        until(shared)

    def go(self) -> None:
        (self.at / "go").touch()

    def close(self) -> None:
        for process in (*self._workers, *self.nodes.values()):
            process.close()


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.02)  # between two looks at other processes


@pytest.fixture
def town(tmp_path: Path, shared_etcd: EtcdServer, database: Database) -> Iterator[Town]:
    made = Town(tmp_path, shared_etcd, database)
    yield made
    made.close()


def test_a_task_runs_once_while_its_run_moves_and_moves_again_and_its_node_leaves(town: Town) -> None:
    ann = town.begin("ann")
    runs = [ann.client().start("waiting", f'["{number}"]') for number in range(RUNS)]
    until(lambda: len(town.lines("starts")) == RUNS)
    town.begin("bob")
    town.until_shared("ann", "bob")
    town.begin("cyd")
    town.until_shared("ann", "bob", "cyd")
    town.nodes["bob"].signal(signal.SIGTERM)
    assert town.nodes["bob"].ended() == 0, "it had nothing to wait for"
    town.until_shared("ann", "cyd")
    ann.signal(signal.SIGTERM)
    town.until_shared("cyd")
    assert len(town.lines("starts")) == RUNS
    town.go()
    client = town.nodes["cyd"].client()
    assert [client.result(run) for run in runs] == [
        [f"{number}-{step}" for step in ("first", "second", "third")] for number in range(RUNS)
    ]
    assert ann.ended() == 0
    starts = [name for name, _, _ in town.lines("starts")]
    assert len(starts) == len(set(starts)) == 3 * RUNS
    assert len({pid for name, pid, _ in town.lines("starts") if name.endswith("first")}) == 1, "all at ann"


def test_the_old_node_polls_no_more_once_another_does(town: Town) -> None:
    ann = town.begin("ann")
    runs = [ann.client().start("job", f'["{number}"]') for number in range(RUNS)]
    until(lambda: len({handle for handle, _ in town.lines("polls")}) == RUNS)
    here = town.lines("polls")[0][1]
    town.begin("bob")
    town.until_shared("ann", "bob")

    def moved() -> set[str]:
        return {handle for handle, pid in town.lines("polls") if pid != here}

    until(moved)
    seen = len(town.lines("polls"))
    until(lambda: len(town.lines("polls")) >= seen + 5 * RUNS)
    for name in moved():
        pids = [pid for handle, pid in town.lines("polls") if handle == name]
        assert here not in pids[pids.index(next(pid for pid in pids if pid != here)) :]
    town.go()
    assert [town.nodes["bob"].client().result(run) for run in runs] == [str(number) for number in range(RUNS)]
    assert len(town.lines("submits")) == RUNS


def test_on_a_worker_of_the_old_node_it_goes_on_and_is_cancelled_and_begun_anew_from_the_next(town: Town) -> None:
    ann = town.begin("ann", "--no-run-tasks")
    worker = town.worker(ann)
    runs = [ann.client().start("waiting", f'["{number}"]') for number in range(RUNS)]
    until(lambda: len(town.lines("starts")) == RUNS)
    bob = town.begin("bob")
    town.until_shared("ann", "bob")
    client = bob.client()
    for run in runs[::2]:
        client.call("RunService/CancelRun", runs_pb2.CancelRunRequest(run_id=run), runs_pb2.CancelRunResponse)
    until(lambda: len(town.lines("cancels")) == len(runs[::2]))
    assert len(town.lines("starts")) == RUNS
    worker.signal(signal.SIGTERM)
    ann.signal(signal.SIGTERM)
    town.until_shared("bob")
    town.go()
    for number, run in list(enumerate(runs))[1::2]:
        assert client.result(run) == [f"{number}-{step}" for step in ("first", "second", "third")]
    again = [name for name, _, _ in town.lines("starts") if name.endswith("first")]
    assert sorted(again) == sorted(
        [f"{number}-first" for number in range(RUNS)] + [f"{n}-first" for n in range(1, RUNS, 2)]
    )


def test_what_does_not_end_within_the_grace_of_its_node_is_begun_anew_at_no_cost(town: Town) -> None:
    ann = town.begin("ann", "--grace-s", "1")
    runs = [ann.client().start("waiting", f'["{number}"]') for number in range(RUNS)]
    until(lambda: len(town.lines("starts")) == RUNS)
    bob = town.begin("bob")
    town.until_shared("ann", "bob")
    ann.signal(signal.SIGTERM)
    assert ann.ended() == 0
    until(lambda: len(town.lines("starts")) == 2 * RUNS)
    assert len(town.lines("cancels")) == RUNS
    assert {attempt for _, _, attempt in town.lines("starts")} == {"1"}
    town.go()
    assert bob.client().result(runs[0]) == ["0-first", "0-second", "0-third"]
    assert bob.logged("attempts elsewhere have to be repeated")["why"] == "node ann does not have it any more"
    assert not [line for line in bob.lines if "where it ran, is gone" in line], "given back in time: no loss is counted"
