"""Messages that come while a run continues as new are the next execution's, none is lost and none answered twice."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import Raw

from tests.actors.test_holding import ONE, args
from tests.actors.world import RecordedStore, World, living, starting
from understudy import App, continue_as_new, handler, wait_until
from understudy_runtime.core.messages import Deliver, Settled

pytestmark = pytest.mark.anyio

app = App("continuing")


@app.task
def let_go() -> None:
    """Takes a while."""


@app.workflow
class Basket:
    """The first execution goes on with its clean-up after it has continued as new."""

    def __init__(self) -> None:
        self.items: list[str] = []

    async def run(self, items: list[str], generation: int) -> list[str]:
        self.items = items + self.items

        async def background() -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                await let_go()

        left = asyncio.create_task(background())
        await asyncio.sleep(0)
        if generation:
            await wait_until(lambda: len(self.items) >= 4)
            return self.items
        await wait_until(lambda: len(self.items) >= 1)
        assert not left.done()
        return continue_as_new(self.items, generation + 1)

    @handler
    def add(self, item: str) -> int:
        self.items.append(item)
        return len(self.items)

    @handler
    async def add_slowly(self, item: str) -> int:
        await let_go()
        self.items.append(item)
        return len(self.items)


async def fill(world: World) -> list[list[object]]:
    """One item begins the end of the first execution; three come while it ends."""
    world.deliver(ONE, starting("Basket", [], 0))
    slow = world.deliver(ONE, Deliver("add_slowly", args("slow"), ask=True))
    await world.settle()
    replies = [world.deliver(ONE, Deliver("add", args(item), ask=True)) for item in ("first", "second", "third")]
    await world.settle()
    return [slow, *replies]


async def test_they_reach_the_next_execution_and_are_answered_by_it() -> None:
    async with living([app], RecordedStore()) as world:
        replies = await fill(world)
        described = await world.result(ONE)
        answers = [reply[-1] for reply in replies]
    assert described.execution == 2
    assert described.result == Raw(b'["first","second","third","slow"]')
    assert [answer.failure for answer in answers if isinstance(answer, Settled)] == [None] * 4


async def test_they_do_so_after_a_crash_in_between() -> None:
    store = RecordedStore()
    async with living([app], store) as world:
        await fill(world)
    async with living([app], store, now=world.clock.now(), outside=world.outside) as world:
        described = await world.result(ONE)
        history = [type(record).__name__ for turn in await world.engine.history(ONE) for record in turn.records]
    assert described.result == Raw(b'["first","second","third","slow"]')
    assert history.count("Replied") == 4
