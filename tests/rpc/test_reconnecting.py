"""Connections break and nodes come back: nothing is done twice, and nobody waits in vain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from tests.rpc.conftest import Serve, a_node, serving, soon, until
from tests.rpc.shop import Approval, Counter, app, checkout
from understudy import Client, Unreachable, lock
from understudy.client import connect
from understudy.resource_door import ResourceDoor, resource_door
from understudy_proto.v1 import runs_pb2, runs_pb2_grpc
from understudy_runtime.rpc.limits import Limits
from understudy_runtime.storage.urls import open_url

pytestmark = pytest.mark.anyio


class Cable:
    """A TCP connection through which a test can put its scissors."""

    def __init__(self, to: str) -> None:
        self._host, _, port = to.rpartition(":")
        self._port = int(port)
        self._writers: list[asyncio.StreamWriter] = []
        self._pumps: set[asyncio.Task[None]] = set()
        self.address = ""
        self.silent = False
        self.swallow_answers = False
        self.breaks_at = b""
        self.breaks = 0
        """So many connections end, one after the other, when these bytes are to go to the server."""

    @asynccontextmanager
    async def laid(self) -> AsyncGenerator[Cable]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._pumps, return_exceptions=True)

    def cut(self) -> None:
        """End all connections; new ones may be made."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        self._writers += [writer, far_writer]
        for source, sink, is_answer in ((reader, far_writer, False), (far_reader, writer, True)):
            pump = asyncio.ensure_future(self._pump(source, sink, is_answer))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, is_answer: bool) -> None:
        try:
            while data := await source.read(65536):
                if self.breaks and not is_answer and self.breaks_at in data:
                    self.breaks -= 1
                    self.cut()
                    return
                if not (self.silent or (is_answer and self.swallow_answers)):
                    sink.write(data)
        except OSError:
            return
        finally:
            sink.close()


async def test_nobody_there_is_said_in_words_that_help() -> None:
    async with Cable("127.0.0.1:1").laid() as free:
        address = free.address
    with pytest.raises(Unreachable, match=f"nobody listens at {address}; start a node there with `understudy node"):
        async with connect(address, app, patience=0):
            pass


async def test_a_node_that_is_only_starting_is_waited_for(serve: Serve) -> None:
    async with serve() as server, Cable(server.address).laid() as cable:
        cable.breaks = 4
        async with connect(cable.address, app) as client:
            assert not cable.breaks
            assert await soon(client.run(checkout, 1)) == "1"


async def test_of_several_nodes_the_first_that_comes_is_enough(serve: Serve) -> None:
    async with Cable("127.0.0.1:1").laid() as free:
        address = free.address
    async with serve() as server, connect(f"{address},{server.address}", app, patience=0) as client:
        assert await soon(client.run(checkout, 1)) == "1"


async def test_a_host_of_no_name_is_said_so() -> None:
    with pytest.raises(Unreachable, match="cannot be reached"):
        async with connect("nowhere.invalid:1", app, patience="1s"):
            pass


async def test_waits_and_new_calls_survive_a_cut_connection(serve: Serve) -> None:
    async with serve() as server, Cable(server.address).laid() as cable, connect(cable.address, app) as client:
        run = await client.start(Approval, id="a")
        waiting = asyncio.ensure_future(run.result())
        await until(lambda: server.waiting == 1)
        cable.cut()
        assert await soon(client.run(checkout, 5)) == "5"
        await soon(run.tell(Approval.decide, "yes"))
        assert await soon(waiting) == "yes"


async def test_calls_whose_answers_were_lost_are_not_carried_out_twice(serve: Serve, local: Client) -> None:
    async with serve() as server, Cable(server.address).laid() as cable, connect(cable.address, app) as client:
        cable.swallow_answers = True
        asked = asyncio.ensure_future(client.ask(Counter.at("hits"), Counter.add, 1))
        started = asyncio.ensure_future(client.start(checkout, 5))
        retold = asyncio.ensure_future(client.tell(Counter.at("hits"), Counter.add, 10))
        await soon(_until_done(local))
        cable.swallow_answers = False
        cable.cut()

        assert await soon(asked) == 1
        await soon(retold)
        assert await soon((await soon(started)).result()) == "5"
        assert await local.ask(Counter.at("hits"), Counter.get) == 11
        assert len(await local.list()) == 1


async def _until_done(client: Client) -> None:
    while len(await client.list()) < 1 or await client.ask(Counter.at("hits"), Counter.get) < 11:  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def test_a_client_outlives_a_restart_of_the_node(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    async with a_node(open_url(url)) as first, serving(first, "127.0.0.1:0") as server:
        address = server.address
        client_context = connect(address, app)
        client = await client_context.__aenter__()
        run = await client.start(Approval, id="a")
        waiting = asyncio.ensure_future(run.result())
        await until(lambda: server.waiting == 1)
    late = asyncio.ensure_future(client.run(checkout, 5))
    async with a_node(open_url(url)) as second, serving(second, address):
        assert await soon(late) == "5"
        await soon(run.tell(Approval.decide, "yes"))
        assert await soon(waiting) == "yes"
        await client_context.__aexit__(None, None, None)


async def queued(door: ResourceDoor, *holders: str) -> None:
    """Once they wait for the lock, in this order."""
    wanted = [f"default/client/{holder}:1:1" for holder in holders]
    async with asyncio.timeout(30):
        while (await holders_in_queue(door)) != wanted:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.005)


async def holders_in_queue(door: ResourceDoor) -> list[str]:
    return [each.holder for each in (await door.describe_resource("lock/l")).queue]


async def test_a_place_in_the_queue_for_a_lease_survives_a_cut_connection(serve: Serve, local: Client) -> None:
    request, here = lock("l").request, resource_door(local.door)
    async with (
        serve() as server,
        Cable(server.address).laid() as cable,
        connect(cable.address, app) as client,
        connect(server.address, app) as other,
    ):
        held = await here.acquire_lease(request, holder="h", ttl_s=60)
        first = asyncio.ensure_future(resource_door(client.door).acquire_lease(request, holder="a", ttl_s=60))
        await queued(here, "a")
        second = asyncio.ensure_future(resource_door(other.door).acquire_lease(request, holder="b", ttl_s=60))
        await queued(here, "a", "b")
        cable.silent = True
        cable.cut()
        await until(lambda: server.waiting == 1)
        assert len(await holders_in_queue(here)) == 2
        cable.silent = False
        cable.cut()
        await until(lambda: server.waiting == 2)
        await here.release_lease("lock/l", holder="h", fence=held.fence)
        assert (await soon(first)).fence == held.fence + 1
        await here.release_lease("lock/l", holder="a", fence=held.fence + 1)
        assert (await soon(second)).fence == held.fence + 2


async def test_a_place_in_the_queue_for_a_lease_survives_a_restart_of_the_node(tmp_path: Path) -> None:
    url, request = f"sqlite:///{tmp_path}/state.db", lock("l").request
    async with a_node(open_url(url)) as first_node, serving(first_node, "127.0.0.1:0") as server:
        address = server.address
        client_context = connect(address, app)
        door = resource_door((await client_context.__aenter__()).door)
        held = await soon(door.acquire_lease(request, holder="h", ttl_s=600))
        first = asyncio.ensure_future(door.acquire_lease(request, holder="a", ttl_s=60))
        await queued(door, "a")
    async with a_node(open_url(url)) as second_node, serving(second_node, address):
        second = asyncio.ensure_future(door.acquire_lease(request, holder="b", ttl_s=60))
        await queued(door, "a", "b")
        await soon(door.release_lease("lock/l", holder="h", fence=held.fence))
        assert (await soon(first)).fence == held.fence + 1
        await soon(door.release_lease("lock/l", holder="a", fence=held.fence + 1))
        assert (await soon(second)).fence == held.fence + 2
        await client_context.__aexit__(None, None, None)


async def test_lists_are_asked_for_again_until_the_connection_holds(serve: Serve) -> None:
    async with serve() as server, Cable(server.address).laid() as cable, connect(cable.address, app) as client:
        await soon(client.run(checkout, 5))
        cable.breaks_at, cable.breaks = b"/ListRuns", 4
        assert len(await soon(client.list())) == 1
        assert not cable.breaks


async def test_patience_has_an_end(serve: Serve) -> None:
    async with serve() as server:
        opened = connect(server.address, app, patience=0.2)
        client = await opened.__aenter__()
        run = await client.start(Approval, id="a")
        waiting = asyncio.ensure_future(run.result())
        await until(lambda: server.waiting == 1)
    with pytest.raises(Unreachable, match="nobody listens"):
        await soon(waiting)
    await opened.__aexit__(None, None, None)
    with pytest.raises(Unreachable, match="the client has been closed"):
        await client.start(Approval)


async def test_a_client_that_falls_silent_is_noticed(serve: Serve, local: Client) -> None:
    await local.start(Approval, id="a")
    async with (
        serve(limits=Limits(keepalive_s=1.0)) as server,
        Cable(server.address).laid() as cable,
        grpc.aio.insecure_channel(cable.address) as channel,
    ):
        stub: Any = runs_pb2_grpc.RunServiceStub(channel)
        wait = stub.WaitRun(runs_pb2.WaitRunRequest(run_id="a"))
        await until(lambda: server.waiting == 1)
        cable.silent = True
        await until(lambda: server.waiting == 0)
        wait.cancel()
