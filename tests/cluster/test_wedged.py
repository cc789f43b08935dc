"""A run that wedges whatever process takes its turn: nothing runs there any more, and it is ended from outside."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from benchmarks.chaos.cluster import Cluster, NodeOf, running
from tests.cluster import wedging
from tests.cluster.wedging import patient, wedges
from understudy import RunDescription, RunHandle
from understudy.client import connect
from understudy.errors import Unreachable

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

NODES = ("n1", "n2", "n3")
LONG_S = 120.0
MOST_DEATHS = 12
"""Many more than it takes; a crash loop would go on for ever."""


class Supervisor:
    """Starts nodes again that have ended, as whatever runs them in production does."""

    def __init__(self, cluster: Cluster) -> None:
        self.deaths: list[int] = []
        self.said = ""
        self._tasks = [asyncio.create_task(self._keep(node)) for node in cluster.nodes.values()]

    async def _keep(self, node: NodeOf) -> None:
        while True:
            code = await node.ended()
            self.deaths.append(code)
            self.said += node.said()
            assert len(self.deaths) < MOST_DEATHS
            node.start()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result


async def looked_at(run: RunHandle[None]) -> RunDescription | None:
    """None if one wedged node after the other was asked."""
    with suppress(Unreachable):
        return await run.describe()
    return None


async def test_its_nodes_are_ended_and_it_is_held_and_all_else_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, session_s=3.0, target=wedging.__file__) as cluster:
        await cluster.begin(*NODES)
        supervisor = Supervisor(cluster)
        async with connect(cluster.addresses, wedging.app) as client:
            others = [await client.start(patient, number) for number in range(20)]
            run = await client.start(wedges, id="wedges")
            with anyio.fail_after(LONG_S):
                described = None
                while described is None or described.status != "held":
                    await asyncio.sleep(0.5)
                    described = await looked_at(run)
                assert await asyncio.gather(*(other.result() for other in others)) == [n + 10 for n in range(20)]
        await supervisor.close()
    assert described.held_why == "poisoned"
    assert len(supervisor.deaths) >= 3
    assert set(supervisor.deaths) == {-signal.SIGABRT}
    assert "its engine has not come round for 10 s" in supervisor.said
    assert "in wedges" in supervisor.said
