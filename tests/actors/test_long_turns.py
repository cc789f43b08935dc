"""Work that does not end within one turn goes on by itself; a loop that only waits does not fill the journal."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import Raw

from tests.actors.world import living, run, starting
from understudy import Actor, App, handler
from understudy_runtime.core.keys import actor_key
from understudy_runtime.core.messages import Deliver
from understudy_runtime.core.run.decide import TURNS_WARNING
from understudy_runtime.execution.program.loop import PASSES_MAX, UNSETTLED_TURNS_MAX
from understudy_runtime.storage.memory import MemoryStore

pytestmark = pytest.mark.anyio

app = App("long")


@app.task
def step() -> int:
    return 1


@app.workflow
async def many_passes(count: int) -> int:
    for _ in range(count):
        await asyncio.sleep(0)
    return count


@app.workflow
async def pipeline(items: int) -> int:
    """No task, no timer: only queues and locks, each hand-over of which is a pass."""
    queue: asyncio.Queue[int] = asyncio.Queue(1)
    lock = asyncio.Lock()
    seen: list[int] = []

    async def consume() -> None:
        for _ in range(items):
            item = await queue.get()
            async with lock:
                seen.append(item)

    async with asyncio.TaskGroup() as group:
        group.create_task(consume())
        for item in range(items):
            await queue.put(item)
    return len(seen)


@app.workflow
async def polls() -> int:
    task = asyncio.ensure_future(step())
    late = asyncio.ensure_future(asyncio.sleep(30 * 86400))
    while not late.done():  # noqa: ASYNC110 - people write this
        await asyncio.sleep(0)
    return await task


@app.actor
class Patient(Actor):
    @handler
    async def many_passes(self, count: int) -> int:
        for _ in range(count):
            await asyncio.sleep(0)
        return count


@pytest.mark.parametrize("count", [PASSES_MAX - 1, PASSES_MAX, PASSES_MAX + 1, PASSES_MAX * UNSETTLED_TURNS_MAX])
async def test_a_run_with_work_left_goes_on_by_itself(count: int) -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("one"), starting("many_passes", count))
        assert (await world.result(run("one"))).result == Raw(b"%d" % count)
        assert world.clock.now() - world.began == 0


async def test_a_run_with_very_much_left_goes_on_more_slowly() -> None:
    count = 2 * PASSES_MAX * UNSETTLED_TURNS_MAX
    async with living([app], MemoryStore()) as world:
        world.deliver(run("one"), starting("many_passes", count))
        assert (await world.result(run("one"))).result == Raw(b"%d" % count)
        assert 0 < world.clock.now() - world.began < 300


async def test_hand_overs_between_tasks_of_a_run_need_no_input() -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("one"), starting("pipeline", 500))
        assert (await world.result(run("one"))).result == Raw(b"500")


async def test_an_actor_with_work_left_goes_on_by_itself() -> None:
    async with living([app], MemoryStore()) as world:
        ask = Deliver("many_passes", Raw(b'{"args":[1000],"kwargs":{}}'), ask=True)
        assert (await world.ask(actor_key("default", "Patient", "p"), ask)).result == Raw(b"1000")


async def test_a_run_that_waits_by_sleeping_for_no_time_takes_few_turns() -> None:
    store = MemoryStore()
    async with living([app], store) as world:
        world.deliver(run("one"), starting("polls"))
        described = await world.result(run("one"))
        assert described.result == Raw(b"1")
        assert described.turns < TURNS_WARNING // 4
