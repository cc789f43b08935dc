"""Nodes whose only way to their database is a PgBouncer in transaction mode, with fewer servers than they want.

What the store alone makes of it is in tests/storage/test_pgbouncer.py.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.chaos import app as shop
from benchmarks.chaos.app import chain, locked
from benchmarks.chaos.cluster import running
from tests.cluster.living import Counting, all_end, listeners, settled, soon
from tests.storage.pgbouncer import running_pgbouncer
from understudy.client import connect

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

NODES = ("n1", "n2")


async def test_runs_and_calls_go_on_while_pgbouncer_is_restarted(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        with running_pgbouncer(tmp_path, cluster.database) as pgbouncer:
            for name in NODES:
                cluster.node(name, store=pgbouncer.url(cluster.store))
            await cluster.begin(*NODES)
            await settled(cluster, NODES)
            async with connect(cluster.addresses, shop.app) as client:
                counting = Counting(client)
                chains = [await client.start(chain, 100) for _ in range(10)]
                locks = [await client.start(locked, "one", 5, f"user-{n}") for n in range(4)]
                runs = await listeners(client, 20)
                await asyncio.to_thread(pgbouncer.stop)
                await asyncio.to_thread(pgbouncer.start)
                assert await soon(client.run(chain, 5)) == 5
                assert await soon(asyncio.gather(*(run.result() for run in chains))) == [100] * 10
                fences = [fence for run in locks for fence in await soon(run.result())]
                assert len(fences) == len(set(fences)) == 20
                await all_end(client, runs)
                await counting.end()
            for name in NODES:
                assert await cluster.nodes[name].leave() == 0
        began = (tmp_path / "began.txt").read_text().split()
        assert len(began) == len(set(began)), "no attempt was begun twice"
        assert not (tmp_path / "refused.txt").exists()
