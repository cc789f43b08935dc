"""A node that has more to do than it can: it refuses new work with a delay, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from tests.rpc.conftest import Serve, soon
from tests.rpc.shop import Approval, Counter, app, checkout
from understudy import Client, Overloaded
from understudy.client import connect
from understudy_runtime.node.admission import MOST_AT_ONCE
from understudy_runtime.rpc.server import Serving

pytestmark = pytest.mark.anyio

TOO_MANY = MOST_AT_ONCE + 1_000


def nobody() -> None:
    raise Overloaded("too much to do", 0.25)


async def test_new_work_is_refused_with_the_delay(serve: Serve) -> None:
    async with serve(admit=nobody) as server, connect(server.address, app) as client:
        for new in (
            lambda: client.start(checkout, 5),
            lambda: client.run(checkout, 5),
            lambda: client.tell(Counter.at("a"), Counter.add, 1),
            lambda: client.ask(Counter.at("a"), Counter.add, 1),
        ):
            with pytest.raises(Overloaded, match="too much to do") as refused:
                await soon(new())
            assert refused.value.retry_after_s == 0.25


async def test_looking_waiting_and_stopping_go_on(serve: Serve, local: Client) -> None:
    run = await local.start(Approval, id="a")
    async with serve(admit=nobody) as server, connect(server.address, app) as client:
        there = client.handle("a", Approval)
        assert (await soon(there.describe())).status == "running"
        await soon(there.cancel("enough"))
        with pytest.raises(Exception, match="cancelled"):
            await soon(there.result())
        assert len(await soon(client.list())) == 1
    assert (await run.describe()).status == "cancelled"


async def test_what_comes_at_once_is_let_in_up_to_the_bound(server: Serving) -> None:
    async with connect(server.address, app) as client:
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
