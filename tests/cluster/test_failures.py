"""What a cluster of real processes makes of each thing that can happen to it. Each test has etcd and PostgreSQL of its
own, and clients that know all nodes; every call of theirs must be answered.

Not here: what a cut between two parts does to the protocol of nodes (tests/rpc/test_peers.py), to etcd's client
(tests/cluster/test_etcd.py) and to the store (tests/storage/test_postgres_faults.py); a clock that is set
(tests/node/test_clocks.py); all of it at random (benchmarks/chaos).
"""

from __future__ import annotations

import asyncio
import base64
import signal
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from benchmarks.chaos import app as shop
from benchmarks.chaos.app import Listener, chain
from benchmarks.chaos.cluster import Cluster, running
from tests.cluster.living import LONG_S, Counting, all_end, listeners, settled, soon
from tests.cluster.relay import relay
from understudy import Client
from understudy.client import connect
from understudy.remote.door import RemoteDoor

pytestmark = pytest.mark.anyio

NODES = ("n1", "n2", "n3")
SESSION_S = 3.0


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncGenerator[Cluster]:
    """Three nodes that have settled."""
    async with running(tmp_path, session_s=SESSION_S) as made:
        await made.begin(*NODES)
        await settled(made, NODES)
        yield made


@pytest.fixture
async def client(cluster: Cluster) -> AsyncGenerator[Client]:
    async with connect(cluster.addresses, shop.app) as client:
        yield client


async def test_when_a_node_is_killed_its_runs_go_on_within_its_session_and_3_s(
    cluster: Cluster, client: Client
) -> None:
    runs = await listeners(client, 60)
    waits = [asyncio.create_task(run.result()) for run in runs]
    await cluster.nodes["n2"].kill()
    killed_at = time.monotonic()
    await soon(asyncio.gather(*(client.tell(run, Listener.hear, 7) for run in runs)))
    assert await soon(asyncio.gather(*waits)) == [[7]] * len(runs)
    assert time.monotonic() - killed_at < SESSION_S + 3.0


async def test_a_node_joins_and_another_leaves_and_no_call_fails(cluster: Cluster, client: Client) -> None:
    counting = Counting(client)
    runs = [await client.start(chain, 30) for _ in range(20)]
    await cluster.begin("n4")
    await settled(cluster, (*NODES, "n4"))
    assert isinstance(client.door, RemoteDoor)
    await client.door.drain_node("n3", None)
    assert await cluster.nodes["n3"].ended() == 0
    await settled(cluster, ("n1", "n2", "n4"))
    await counting.end()
    assert await soon(asyncio.gather(*(run.result() for run in runs))) == [30] * 20
    began = (cluster.folder / "began.txt").read_text().split()
    assert len(began) == len(set(began)), "no attempt was begun twice"


async def test_calls_that_wait_at_a_node_that_leaves_are_answered_elsewhere(cluster: Cluster) -> None:
    """Of a client that knows all nodes and was connected to that one, and of one that is connected to another."""
    leaving, staying = cluster.nodes["n2"], cluster.nodes["n1"]
    async with (
        connect(f"{leaving.address},{staying.address}", shop.app) as first,
        connect(staying.address, shop.app) as second,
    ):
        runs = await listeners(first, 40)
        waits = [
            asyncio.create_task(one.handle(run.run_id, Listener).result()) for run in runs for one in (first, second)
        ]
        counting = [Counting(first, "first"), Counting(second, "second")]
        assert await soon(leaving.leave()) == 0
        await all_end(second, runs)
        assert await soon(asyncio.gather(*waits)) == [[7]] * len(waits)
        for each in counting:
            await each.end()


@pytest.mark.slow
async def test_a_rolling_restart_is_noticed_by_nobody(cluster: Cluster, client: Client) -> None:
    counting = Counting(client)
    runs = [await client.start(chain, 100) for _ in range(20)]
    for name in NODES:
        assert await cluster.nodes[name].leave() == 0
        await cluster.begin(name)
        await settled(cluster, NODES, by=name)
    await counting.end()
    assert await soon(asyncio.gather(*(run.result() for run in runs))) == [100] * 20


@pytest.mark.slow
async def test_while_etcd_is_away_everything_goes_on(cluster: Cluster, client: Client) -> None:
    runs = await listeners(client, 30)
    counting = Counting(client)
    cluster.etcd.stop()
    await asyncio.sleep(3 * SESSION_S)  # longer than sessions live: what matters is that time passes
    assert await soon(client.run(chain, 5)) == 5
    await all_end(client, runs)
    await counting.end()
    assert counting.longest_s < SESSION_S
    await asyncio.to_thread(cluster.etcd.start)
    await settled(cluster, NODES)
    assert await soon(client.run(chain, 5)) == 5


@pytest.mark.slow
async def test_a_node_that_dies_while_etcd_is_away_is_replaced_when_it_is_back(
    cluster: Cluster, client: Client
) -> None:
    runs = await listeners(client, 30)
    cluster.etcd.stop()
    await cluster.nodes["n2"].kill()
    await asyncio.sleep(SESSION_S)
    await asyncio.to_thread(cluster.etcd.start)
    await all_end(client, runs)
    await settled(cluster, ("n1", "n3"))


@pytest.mark.slow
async def test_when_postgresql_restarts_calls_wait_for_it(cluster: Cluster, client: Client) -> None:
    counting = Counting(client)
    for _ in range(3):
        await asyncio.to_thread(cluster.database.stop)
        await asyncio.to_thread(cluster.database.start)
        assert await soon(client.run(chain, 5)) == 5
    await counting.end()


@pytest.mark.slow
async def test_a_node_that_is_stopped_for_longer_than_its_session_writes_nothing_when_it_goes_on(
    cluster: Cluster, client: Client
) -> None:
    runs = await listeners(client, 30)
    counting = Counting(client)
    cluster.nodes["n1"].signal(signal.SIGSTOP)
    await settled(cluster, ("n2", "n3"))
    cluster.nodes["n1"].signal(signal.SIGCONT)
    await settled(cluster, NODES, by="n2")
    await all_end(client, runs)
    await counting.end()


@pytest.mark.slow
async def test_a_node_that_wakes_after_its_shards_have_moved_twice_is_refused(cluster: Cluster, client: Client) -> None:
    runs = await listeners(client, 30)
    counting = Counting(client)
    cluster.nodes["n1"].signal(signal.SIGSTOP)
    await settled(cluster, ("n2", "n3"))
    await cluster.nodes["n2"].kill()
    await settled(cluster, ("n3",))
    cluster.nodes["n1"].signal(signal.SIGCONT)
    await settled(cluster, ("n1", "n3"))
    await all_end(client, runs)
    await counting.end()


@pytest.mark.slow
async def test_a_node_that_wakes_when_all_others_are_dead_goes_on_with_what_they_had_begun(
    cluster: Cluster, client: Client
) -> None:
    """It finds its shards in nobody's hands, as if nothing had happened to them."""
    cluster.nodes["n1"].signal(signal.SIGSTOP)
    await settled(cluster, ("n2", "n3"), by="n2")
    naps = [await client.start(shop.naps, 20, id=f"naps-{number}") for number in range(60)]
    await asyncio.gather(cluster.nodes["n2"].kill(), cluster.nodes["n3"].kill())
    await without_members(cluster)
    cluster.nodes["n1"].signal(signal.SIGCONT)
    assert await soon(asyncio.gather(*(run.result() for run in naps))) == [20] * 60


async def without_members(cluster: Cluster) -> None:
    """Returns when etcd knows of no node, and of no shard that anybody has."""
    first, end = (base64.b64encode(f"/understudy/chaos/{name}".encode()).decode() for name in ("node", "t"))
    with anyio.fail_after(LONG_S):
        found: dict[str, Any] = {"kvs": []}
        while "kvs" in found:
            found = await asyncio.to_thread(cluster.etcd.post, "/kv/range", {"key": first, "range_end": end})


@pytest.mark.slow
async def test_when_all_nodes_are_killed_and_started_at_once_everything_goes_on(
    cluster: Cluster, client: Client
) -> None:
    runs = await listeners(client, 30)
    chains = [await client.start(chain, 50) for _ in range(20)]
    await asyncio.gather(*(cluster.nodes[name].kill() for name in NODES))
    await cluster.begin(*NODES)
    await settled(cluster, NODES)
    await all_end(client, runs)
    assert await soon(asyncio.gather(*(run.result() for run in chains))) == [50] * 20


@pytest.mark.slow
async def test_two_nodes_that_cannot_reach_each_other_carry_on(tmp_path: Path) -> None:
    """Calls for the other's actors wait until they can; what both run goes on, and mail is found by a look."""
    async with running(tmp_path, session_s=SESSION_S) as cluster, relay() as wire:
        # n1 calls, because its name is smaller, and reaches n2 by the wire; clients reach it directly.
        n2 = cluster.node("n2", "--advertise", f"127.0.0.1:{wire.port}")
        wire.to = n2.address
        [n1, _] = await cluster.begin("n1", "n2")
        async with connect(n1.address, shop.app) as first, connect(n2.address, shop.app) as second:
            await settled(cluster, ("n1", "n2"))
            runs = await listeners(first, 20)
            wire.cut()
            counters = [await second.start(chain, 3, id=f"there-{number}") for number in range(10)]
            assert await soon(asyncio.gather(*(run.result() for run in counters))) == [3] * 10
            telling = asyncio.gather(*(first.tell(run, Listener.hear, 7) for run in runs))
            await asyncio.sleep(2.0)  # a while in which they get nowhere
            assert not telling.done()
            wire.mend()
            await soon(telling)
            ends = asyncio.gather(*(second.handle(run.run_id, Listener).result() for run in runs))
            assert await soon(ends) == [[7]] * 20


@pytest.mark.slow
async def test_a_node_that_is_cut_off_from_postgresql_alone_gives_its_shards_up(tmp_path: Path) -> None:
    async with running(tmp_path, session_s=SESSION_S) as cluster, relay(cluster.database.socket) as wire:
        through = f"postgresql://postgres@127.0.0.1:{wire.port}/postgres?{cluster.store.partition('&')[2]}"
        n1, n2, n3 = (cluster.node(name, store=through if name == "n3" else "") for name in NODES)
        await cluster.begin(*NODES)
        await settled(cluster, NODES)
        async with connect(f"{n1.address},{n2.address}", shop.app) as client:
            runs = await listeners(client, 30)
            wire.cut()
            # It notices by what it is asked to do.
            await all_end(client, runs)
            await without_shards(cluster, n3.name)
            wire.mend()
            await settled(cluster, NODES)
            assert await soon(client.run(chain, 5)) == 5


async def without_shards(cluster: Cluster, name: str) -> None:
    """Returns when this node, which is still a member, has no shards."""
    with anyio.fail_after(LONG_S):
        while True:
            async with connect(cluster.nodes["n1"].address) as client:
                assert isinstance(client.door, RemoteDoor)
                if not any(shard.node_id == name for shard in await client.door.list_shards()):
                    return
            await asyncio.sleep(0.2)


async def test_a_second_node_of_one_name_and_one_of_another_store_are_refused(cluster: Cluster, tmp_path: Path) -> None:
    other = cluster.node("n5", store=cluster.store.replace("shards=64", "shards=32").replace("chaos", "elsewhere"))
    twin = cluster.node("n6", "--name", "n1")
    other.start()
    twin.start()
    assert await soon(other.ended()) == 2
    assert "the cluster has 64 shards and the store 32: they do not belong together" in other.said()
    assert await soon(twin.ended()) == 2
    assert "a node named n1 is in the cluster already; stop it, or give this one another name" in twin.said()
