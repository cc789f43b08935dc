"""A node that has stopped leaves nobody waiting: every caller, before and after, gets a StoreError that says why."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

import understudy
from tests.actors.world import SlowStore
from understudy import App, BadRequest, Client, RunHandle, StoreError, handler, wait_until
from understudy_runtime.core.ports import CommitFailed
from understudy_runtime.node.clocks import SystemClock
from understudy_runtime.node.embedded import open_node
from understudy_runtime.node.node import Settings

pytestmark = pytest.mark.anyio

app = App("stopped")


@app.task
async def step() -> int:
    return 1


@app.workflow
async def one_task() -> int:
    return await step()


@app.workflow
class Waits:
    async def run(self) -> int:
        return await wait_until(lambda: None)

    @handler
    async def slowly(self) -> int:
        return await wait_until(lambda: None)


async def every_call(client: Client, run: RunHandle[int]) -> list[Any]:
    with anyio.fail_after(5):
        return await asyncio.gather(
            client.start(one_task),
            client.run(one_task, id="again"),
            run.result(),
            run.ask(Waits.slowly),
            run.tell(Waits.slowly),
            run.cancel(),
            run.terminate(),
            run.describe(),
            run.history(),
            run.retry(),
            client.list(),
            return_exceptions=True,
        )


async def list_until_it_fails(client: Client) -> None:
    with suppress(StoreError):
        for _ in range(1_000_000):
            await client.list()


async def test_a_node_whose_store_failed_answers_everybody() -> None:
    store = SlowStore()
    async with open_node([app], store, Settings(), SystemClock) as opened:
        client = Client(opened.door, [app])
        run = await client.start(Waits, id="one")
        waiting = [asyncio.ensure_future(call) for call in (run.result(), run.ask(Waits.slowly))]
        assert await client.run(one_task) == 1
        store.error = CommitFailed("the disk is full")
        with pytest.raises(StoreError, match="the disk is full"):
            await client.run(one_task)
        with anyio.fail_after(5):
            answers: list[Any] = await asyncio.gather(*waiting, return_exceptions=True)
        during = await every_call(client, run)  # what is durable may still be read
        with anyio.fail_after(5):
            await list_until_it_fails(client)
        answers += await every_call(client, run)
    answers += await every_call(client, run)
    assert [answer for answer in answers if not isinstance(answer, StoreError)] == []
    assert [answer for answer in during if not isinstance(answer, StoreError | BadRequest | list)] == []


async def test_a_closed_node_answers_everybody(tmp_path: Path) -> None:
    async with understudy.embedded(app, store=f"sqlite:///{tmp_path}/state.db") as client:
        run = await client.start(Waits, id="one")
        waiting = [asyncio.ensure_future(call) for call in (run.result(), run.ask(Waits.slowly))]
        await run.describe()
    with anyio.fail_after(5):
        answers: list[Any] = await asyncio.gather(*waiting, return_exceptions=True)
    answers += await every_call(client, run)
    assert [answer for answer in answers if not isinstance(answer, StoreError)] == []
    async with understudy.embedded(app, store=f"sqlite:///{tmp_path}/state.db") as client:
        assert (await client.handle("one").describe()).status == "running"


async def test_a_node_that_is_closed_in_the_midst_of_work_ends_and_goes_on_next_time(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/state.db"

    async def keep_asking(client: Client) -> None:
        while True:
            await client.run(one_task)

    with anyio.fail_after(10):
        async with understudy.embedded(app, store=store) as client:
            busy = [asyncio.ensure_future(keep_asking(client)) for _ in range(20)]
            await asyncio.sleep(0.05)
        answers = await asyncio.gather(*busy, return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, StoreError)] == []
    async with understudy.embedded(app, store=store) as client:
        with anyio.fail_after(10):
            for run in await client.list(status="running", limit=1000):
                assert await client.handle(run.run_id).result() == 1
        assert {run.status for run in await client.list(limit=1000)} == {"succeeded"}
