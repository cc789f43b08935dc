"""A release is brought out, node by node, under load: its nodes and those of before work together, unnoticed.

There is no next release yet, so `next_release` makes one of this. What stores alone make of the next schema is in
tests/storage/test_upgrade.py; what becomes of schedules when the user's code changes, in test_schedules.py.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import uuid
from collections import Counter as Counts
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest

from benchmarks.chaos.app import Counter, chain
from benchmarks.chaos.checks import Found, check
from benchmarks.chaos.cluster import ROOT, Cluster, NodeOf, running
from benchmarks.chaos.load import Load
from tests.cluster import next_but_one_release, next_release, releasing
from tests.cluster.living import LONG_S, nodes_seen_by, settled, soon
from understudy import Client
from understudy.client import connect
from understudy_runtime.storage.postgres.address import parse
from understudy_runtime.storage.postgres.schema import LATEST

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

NODES = ("n1", "n2", "n3")
THIS: Final = version("understudy")
NEXT: Final = next_release.__name__
NEXT_BUT_ONE: Final = next_but_one_release.__name__
USERS: Final = 6
TROUBLE: Final = ("AttemptFailed", "TaskGaveUp", "LateResult")
"""What a history has of attempts that came to nothing."""


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncGenerator[Cluster]:
    async with running(tmp_path, target=releasing.__file__) as made:
        yield made


@contextmanager
def worker(at: Path, node: NodeOf) -> Generator[Path]:
    """A worker of this release, beside the node; gives its log."""
    log = at / "worker.log"
    command = [sys.executable, "-m", "understudy_runtime.cli", "worker", releasing.__file__, "--connect", node.address]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--log-format", "json"],
            cwd=at, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        yield log
    finally:
        process.terminate()
        process.wait()


class Jobs:
    """Jobs that are begun one after the other, each of which must come to its end."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._over = asyncio.Event()
        self.names: list[str] = []

    def stop(self) -> None:
        self._over.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                if self._over.is_set():
                    return
                self.names.append(name := f"job-{number}")
                group.create_task(self._job(name))
                await asyncio.sleep(0.1)

    async def _job(self, name: str) -> None:
        assert await self._client.run(releasing.outside, name, id=name) == name


async def upgrade(cluster: Cluster, name: str, program: str = NEXT) -> None:
    node = cluster.nodes[name]
    assert await soon(node.leave()) == 0
    node.program = program
    await cluster.begin(name)


async def versions(node: NodeOf) -> dict[str, str]:
    return {info.node_id: info.version for info in await nodes_seen_by(node.address)}


async def each_forwards_to_the_other(*nodes: NodeOf) -> None:
    """Calls for actors of all nodes, asked of one alone."""
    for node in nodes:
        async with connect(node.address, releasing.app) as client:
            counters = [Counter.at(f"through-{uuid.uuid4().hex}") for _ in range(100)]
            asks = (client.ask(counter, Counter.add, 1) for counter in counters)
            assert await soon(asyncio.gather(*asks)) == [1] * 100
            runs = [await client.start(chain, 2) for _ in range(20)]
            assert await soon(asyncio.gather(*(run.result() for run in runs))) == [2] * 20


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


async def test_a_rolling_upgrade_under_load_is_noticed_by_nobody(cluster: Cluster) -> None:
    n1, n2, n3 = await cluster.begin(*NODES)
    await settled(cluster, NODES)
    async with connect(cluster.addresses, releasing.app) as client:
        load, jobs = Load(client, seed=1, pace_s=0.1), Jobs(client)
        with worker(cluster.folder, n1):
            async with asyncio.timeout(4 * LONG_S), asyncio.TaskGroup() as loading:
                loading.create_task(load.run(USERS))
                loading.create_task(jobs.run())
                for name in NODES:
                    await upgrade(cluster, name)
                    await settled(cluster, NODES, by=name)
                    if name == "n1":
                        assert await versions(n2) == {"n1": next_release.VERSION, "n2": THIS, "n3": THIS}
                        assert await versions(n1) == await versions(n2)
                        await each_forwards_to_the_other(n1, n2)
                load.stop()
                jobs.stop()
        assert set((await versions(n3)).values()) == {next_release.VERSION}
        assert await check(client, load, cluster.folder, within_s=60.0) == Found()
        assert not load.promised.failed, "no call of a client has failed"
        assert load.witness.grants > 10
        assert await trouble(client, load) == Counts()
        submits = sorted(line.split()[1] for line in lines(cluster.folder / "submits.txt"))
        assert submits == sorted(jobs.names), "no job was submitted twice"
        await every_tick_came_once(client, cluster.folder)
    assert await schema_of(cluster) == LATEST + 1
    assert not any("protocol of nodes" in node.log.read_text() for node in (n1, n2, n3))


async def trouble(client: Client, load: Load) -> Counts[str]:
    found: Counts[str] = Counts()
    for name in load.promised.runs:
        for turn in await client.handle(name).history():
            found.update(record["t"] for record in turn.records if record["t"] in TROUBLE)
    return found


async def every_tick_came_once(client: Client, folder: Path) -> None:
    await client.schedules.pause("tick")
    described = await client.schedules.get("tick")
    assert (described.failed, described.passed_over, described.missed_from) == (0, 0, None)
    ticks = sorted(int(line) for line in lines(folder / "ticks.txt"))
    assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))
    assert described.started - len(ticks) in (0, 1), "the last may still run"


async def schema_of(cluster: Cluster) -> int:
    client = await cluster.database.connect()
    found = await client.fetchval(f"SELECT value FROM {parse(cluster.store).schema}.meta WHERE name = 'schema'")
    await client.close()
    return int(found)


async def test_a_node_of_the_release_before_joins_when_the_schema_has_moved_on(cluster: Cluster) -> None:
    """As when a release is taken back."""
    new, old = cluster.node("new"), cluster.node("old")
    new.program = NEXT
    await cluster.begin("new")
    assert await schema_of(cluster) == LATEST + 1
    await cluster.begin("old")
    await settled(cluster, ("new", "old"))
    await each_forwards_to_the_other(new, old)
    assert await soon(new.leave()) == 0
    await settled(cluster, ("old",), by="old")
    await each_forwards_to_the_other(old)
    assert await schema_of(cluster) == LATEST + 1


async def test_releases_that_are_two_apart_do_not_work_together(cluster: Cluster) -> None:
    """The newer one does not join the older one's cluster. When it has a cluster of its own, the older one cannot."""
    old, far = cluster.node("old"), cluster.node("far")
    far.program = NEXT_BUT_ONE
    await cluster.begin("old")
    far.start()
    assert await soon(far.ended()) == 2
    assert "node old speaks versions 1 to 1 of the protocol of nodes, this one 2 to 3" in far.said()
    assert "upgrade one release at a time" in far.said()
    async with connect(old.address, releasing.app) as client:
        assert await soon(client.run(chain, 5)) == 5
    assert await soon(old.leave()) == 0
    await cluster.begin("far")
    old.start()
    assert await soon(old.ended()) == 2
    assert f"was written by a newer understudy (schema {LATEST + 2}" in old.said()
    assert "upgrade understudy" in old.said()
