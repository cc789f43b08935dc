"""Runs and handlers that are over leave nothing behind for the garbage collector: a full collection stops the node."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter as Tally
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from understudy import Actor, App, Client, handler, wait_until
from understudy_runtime.node.clocks import SystemClock
from understudy_runtime.node.node import Settings, running
from understudy_runtime.storage.memory import MemoryStore

pytestmark = pytest.mark.anyio

app = App("garbage")
TIMES = 20


@app.task
async def double(x: int) -> int:
    return 2 * x


@app.workflow
async def fan_out(count: int) -> int:
    return sum(await asyncio.gather(*(double(x) for x in range(count))))


@app.workflow
class Game:
    async def run(self) -> None:
        await wait_until(lambda: False)

    @handler
    def ping(self) -> int:
        return 1


@app.actor
class Counter(Actor):
    value: int = 0

    @handler
    def add(self, n: int) -> int:
        self.value += n
        return self.value

    @handler
    async def add_doubled(self, n: int) -> int:
        self.value += await double(n)
        return self.value


@pytest.fixture
async def client() -> AsyncGenerator[Client]:
    async with running([app], MemoryStore(), SystemClock(), Settings(grace_s=0.1), lambda _: None) as node:
        yield Client(node.door(asyncio.get_running_loop())[1], [app])


async def left_behind_by(call: Callable[[], Awaitable[object]]) -> Tally[str]:
    """Of our own classes, the instances that only the collector freed, after so many calls."""
    await call()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(TIMES):
            await call()
        gc.collect()
        return Tally(type(it).__qualname__ for it in gc.garbage if type(it).__module__.startswith("understudy"))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def test_a_run_leaves_nothing(client: Client) -> None:
    assert not await left_behind_by(lambda: client.run(fan_out, 3))


async def test_a_handler_leaves_nothing(client: Client) -> None:
    assert not await left_behind_by(lambda: client.ask(Counter.at("a"), Counter.add, 1))
    assert not await left_behind_by(lambda: client.ask(Counter.at("a"), Counter.add_doubled, 1))
    game = await client.start(Game)
    assert not await left_behind_by(lambda: game.ask(Game.ping))
