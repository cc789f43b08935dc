"""What waits costs nothing: a cluster whose runs are all parked hardly asks its servers, and writes nothing."""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
import requests

from benchmarks.chaos.cluster import Cluster, running
from tests.cluster import sleepers
from tests.cluster.sleepers import Waiter, sleeper
from understudy import Client
from understudy.client import connect

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

NODES = ("n1", "n2", "n3")
PARKED = 10_000
WATCHED_S = 65.0
"""Longer than any period in which an idle node does something."""
LONG_S = 60.0

SETTINGS = (
    "ALTER SYSTEM SET log_statement = 'all'",
    "ALTER SYSTEM SET log_line_prefix = '%a: '",
    # What the server does by itself would be counted with what is written.
    "ALTER SYSTEM SET autovacuum = off",
    "SELECT pg_reload_conf()",
)
STATEMENT = re.compile(r"^understudy n\d: LOG:  (?:statement|execute [^:]*): (.*)$", re.MULTILINE)
NEXT_WRITE = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
"""Every transaction that writes gets the next of these numbers."""
ETCD_CALL = re.compile(r'^grpc_server_started_total\{grpc_method="(\w+)".*\} (\d+)$', re.MULTILINE)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncGenerator[Cluster]:
    """Three nodes just started, over a store where others have left 10,000 runs parked."""
    async with running(tmp_path, session_s=10.0, target=sleepers.__file__) as made:
        made.store = made.database.url("idle", 256)
        await made.begin(*NODES)
        async with connect(made.addresses, sleepers.app) as client:
            await park(client)
        assert [await made.nodes[name].leave() for name in NODES] == [0, 0, 0]
        await made.begin(*NODES)
        yield made


async def park(client: Client) -> None:
    numbers = iter(range(PARKED // 2))

    async def start() -> None:
        for number in numbers:
            await client.start(sleeper, id=f"sleeper-{number}")
            await client.start(Waiter, id=f"waiter-{number}")

    await asyncio.gather(*(start() for _ in range(100)))


class Watch:
    """What a cluster has asked its servers, and had of the machine, since this was made."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._log = cluster.database.log
        self._from = self._log.stat().st_size
        self._etcd = self._asked_of_etcd()
        self._cpu_s = self._cpu()

    def statements(self) -> list[str]:
        with self._log.open() as log:
            log.seek(self._from)
            return STATEMENT.findall(log.read())

    def etcd(self) -> Counter[str]:
        return self._asked_of_etcd() - self._etcd

    def cpu_s(self) -> dict[str, float]:
        return {name: round(now - self._cpu_s[name], 2) for name, now in self._cpu().items()}

    def _asked_of_etcd(self) -> Counter[str]:
        text = requests.get(f"{self._cluster.etcd.url}/metrics", timeout=5).text
        return Counter({method: int(count) for method, count in ETCD_CALL.findall(text)})

    def _cpu(self) -> dict[str, float]:
        pids = {"etcd": self._cluster.etcd.pid} | {name: node.pid for name, node in self._cluster.nodes.items()}
        return {name: _cpu_s(pid) for name, pid in pids.items()}


def _cpu_s(pid: int) -> float:
    """Seconds of a core that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def observed(cluster: Cluster) -> Any:
    """A client of the database, which from now on logs what it is asked."""
    observer = await cluster.database.connect()
    for statement in SETTINGS:
        await observer.execute(statement)
    with anyio.fail_after(LONG_S):
        while await observer.fetchval("SHOW log_statement") != "all":  # noqa: ASYNC110 - nobody says when it is so
            await asyncio.sleep(0.1)
    return observer


async def at_rest(observer: Any) -> None:
    """Returns when nothing has been written for a while: nodes that begin share the shards out."""
    with anyio.fail_after(LONG_S):
        before, now = -1, await observer.fetchval(NEXT_WRITE)
        while now != before:
            await asyncio.sleep(3.0)
            before, now = now, await observer.fetchval(NEXT_WRITE)


async def test_ten_thousand_parked_runs_are_at_most_one_question_a_second_and_no_write(cluster: Cluster) -> None:
    observer = await observed(cluster)
    await at_rest(observer)
    written = await observer.fetchval(NEXT_WRITE)
    watch = Watch(cluster)
    await asyncio.sleep(WATCHED_S)  # what does not happen has to be waited for
    statements, etcd, cpu_s = watch.statements(), watch.etcd(), watch.cpu_s()
    print(f"in {WATCHED_S:g} s: {len(statements)} statements, {dict(etcd)} of etcd, seconds of CPU {cpu_s}")
    assert await observer.fetchval(NEXT_WRITE) == written
    assert {sql.split()[0] for sql in statements} == {"SELECT"}
    assert 0 < len(statements) <= WATCHED_S, Counter(statements)
    assert etcd.keys() == {"LeaseKeepAlive", "Range"}, "and neither puts nor transactions"
    assert etcd.total() <= 1.5 * WATCHED_S
    await observer.close()
    async with connect(cluster.addresses, sleepers.app) as client:
        waiter = client.handle("waiter-7", Waiter)
        await waiter.tell(Waiter.hear, "wake")
        assert await waiter.result() == "wake"
        assert (await client.handle("sleeper-7", sleeper).describe()).status == "running"
