"""`wait_until`: what holds lets its waiter go on, however many set one another off, and only if it still holds then."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import Raw

from tests.actors.test_holding import ONE, args
from tests.actors.world import RecordedStore, living, run, starting
from understudy import Actor, App, handler, wait_until
from understudy_runtime.core.keys import actor_key
from understudy_runtime.core.messages import Deliver

pytestmark = pytest.mark.anyio

app = App("conditions")
COUNT = 300


@app.task
def quick() -> str:
    return "quick"


@app.workflow
async def dominoes() -> int:
    fallen = 0

    async def domino(number: int) -> None:
        nonlocal fallen
        await wait_until(lambda: fallen >= number)
        fallen = number + 1

    async with asyncio.TaskGroup() as group:
        for number in reversed(range(COUNT)):
            group.create_task(domino(number))
    return fallen


@app.workflow
class Bakery:
    """Three wait for bread, and each loaf is for one."""

    def __init__(self) -> None:
        self.loaves = 0
        self.sold: list[int] = []

    async def run(self) -> list[int]:
        async def buy(number: int) -> None:
            await wait_until(lambda: self.loaves > 0)
            self.loaves -= 1
            self.sold.append(self.loaves)

        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(buy(number))
        return self.sold

    @handler
    def bake(self) -> None:
        self.loaves += 1


@app.workflow
async def seesaw() -> None:
    up = False

    async def push(side: bool) -> None:
        nonlocal up

        def is_mine() -> bool:
            return up is side

        while True:
            await wait_until(is_mine)
            up = not side

    async with asyncio.TaskGroup() as group:
        group.create_task(push(side=True))
        group.create_task(push(side=False))


@app.workflow
async def broken(how: str) -> str:
    try:
        ready = False

        def predicate() -> bool:
            if ready:
                raise StopIteration if how == "stop" else ValueError("broken")
            return False

        waiting = asyncio.create_task(wait_until(predicate))
        await quick()
        ready = True
        await waiting
    except (RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "went on"


@app.actor
class Dominoes(Actor):
    fallen: int = 0

    @handler
    async def push(self) -> int:
        async def domino(number: int) -> None:
            await wait_until(lambda: self.fallen >= number)
            self.fallen = number + 1

        async with asyncio.TaskGroup() as group:
            for number in reversed(range(1, COUNT)):
                group.create_task(domino(number))
            await quick()
            self.fallen = 1
        return self.fallen


async def test_conditions_that_set_one_another_off_all_fall_in_a_run() -> None:
    async with living([app], RecordedStore()) as world:
        world.deliver(ONE, starting("dominoes"))
        described = await world.result(ONE)
    assert described.result == Raw(str(COUNT).encode())
    assert described.turns > 1, "a turn has a bound"


async def test_conditions_that_set_one_another_off_all_fall_in_an_actor() -> None:
    async with living([app], RecordedStore()) as world:
        settled = await world.ask(actor_key("default", "Dominoes", "d"), Deliver("push", args(), ask=True))
    assert settled.result == Raw(str(COUNT).encode())


async def test_a_condition_is_asked_again_just_before_its_waiter_goes_on() -> None:
    async with living([app], RecordedStore()) as world:
        world.deliver(ONE, starting("Bakery"))
        for _ in range(3):
            await world.ask(ONE, Deliver("bake", args()))
        assert (await world.result(ONE)).result == Raw(b"[0,0,0]")


async def test_conditions_without_an_end_neither_stop_the_others_nor_fill_the_journal() -> None:
    async with living([app], RecordedStore()) as world:
        world.deliver(ONE, starting("seesaw"))
        world.deliver(run("other"), starting("dominoes"))
        assert (await world.result(run("other"))).result is not None
        await world.pass_time(60)
        assert (await world.describe(ONE)).turns < 500


@pytest.mark.parametrize(("how", "said"), [("stop", "RuntimeError"), ("raise", "ValueError: broken")])
async def test_what_a_predicate_raises_is_raised_where_it_is_awaited(how: str, said: str) -> None:
    async with living([app], RecordedStore()) as world:
        world.deliver(ONE, starting("broken", how))
        result = (await world.result(ONE)).result
    assert result is not None
    assert said in bytes(result).decode()


@pytest.mark.parametrize("workflow", ["dominoes", "seesaw"])
async def test_it_goes_on_after_a_restart(workflow: str) -> None:
    store = RecordedStore()
    async with living([app], store) as world:
        world.deliver(ONE, starting(workflow))
        await world.pass_time(0.001)
    async with living([app], store, now=world.clock.now()) as world:
        if workflow == "dominoes":
            assert (await world.result(ONE)).result == Raw(str(COUNT).encode())
        else:
            await world.pass_time(1)
            assert (await world.describe(ONE)).held is None
