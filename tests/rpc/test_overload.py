"""A node that has more to do than it can: it refuses new work with a delay, and nothing else."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from tests.rpc.conftest import Serve, soon
from tests.rpc.shop import Approval, Counter, app, checkout
from understudy import Client, Overloaded, lock
from understudy.client import connect
from understudy_runtime.node.admission import MOST_AT_ONCE
from understudy_runtime.rpc.server import Serving

pytestmark = pytest.mark.anyio

TOO_MANY = MOST_AT_ONCE + 1_000


def nobody() -> None:
    raise Overloaded("too much to do", 0.25)


def impatient(server: Serving) -> AbstractAsyncContextManager[Client]:
    return connect(server.address, app, retry_overloaded=False)


async def test_new_work_is_refused_with_the_delay(serve: Serve) -> None:
    async with serve(admit=nobody) as server, impatient(server) as client:
        for new in (
            lambda: client.start(checkout, 5),
            lambda: client.run(checkout, 5),
            lambda: client.tell(Counter.at("a"), Counter.add, 1),
            lambda: client.ask(Counter.at("a"), Counter.add, 1),
            lambda: client.lease(lock("l")).__aenter__(),
        ):
            with pytest.raises(Overloaded, match="too much to do") as refused:
                await soon(new())
            assert refused.value.retry_after_s == 0.25


async def test_looking_waiting_and_stopping_go_on(serve: Serve, local: Client) -> None:
    run = await local.start(Approval, id="a")
    async with serve(admit=nobody) as server, impatient(server) as client:
        there = client.handle("a", Approval)
        assert (await soon(there.describe())).status == "running"
        await soon(there.cancel("enough"))
        with pytest.raises(Exception, match="cancelled"):
            await soon(there.result())
        assert len(await soon(client.list())) == 1
    assert (await run.describe()).status == "cancelled"


async def test_what_comes_at_once_is_let_in_up_to_the_bound(server: Serving) -> None:
    async with impatient(server) as client:
        answers = await soon(
            asyncio.gather(
                *(client.ask(Counter.at("a"), Counter.add, 1) for _ in range(TOO_MANY)), return_exceptions=True
            )
        )
        refused = [answer for answer in answers if isinstance(answer, Overloaded)]
        done = [answer for answer in answers if not isinstance(answer, BaseException)]
        assert len(refused) + len(done) == TOO_MANY
        assert done
        assert any("this node is busy" in str(answer) for answer in refused)
        assert all(answer.retry_after_s > 0 for answer in refused)
        await asyncio.sleep(refused[0].retry_after_s)
        assert await soon(client.ask(Counter.at("a"), Counter.get)) == len(done)


async def test_a_client_tries_again_what_was_refused_until_the_node_has_room(serve: Serve) -> None:
    refusals = iter([0.01] * 3)

    def admit() -> None:
        for delay_s in refusals:
            raise Overloaded("too much to do", delay_s)

    async with serve(admit=admit) as server, connect(server.address, app) as client:
        assert await soon(client.run(checkout, 5)) == "5"
        assert next(refusals, None) is None


async def test_a_client_tries_again_no_longer_than_its_patience_lasts(serve: Serve) -> None:
    asked = 0

    def admit() -> None:
        nonlocal asked
        asked += 1
        raise Overloaded("too much to do", 0.4)

    async with serve(admit=admit) as server, connect(server.address, app, patience="1s") as client:
        with pytest.raises(Overloaded, match="too much to do"):
            await soon(client.run(checkout, 5))
    assert asked == 2
