"""Calls have their times while whoever made them is held: user code waits for a person, the outside does not.

A run and a handler of an actor do the same here, and so does a node that loads them anew.
"""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from tests.actors.world import RecordedStore, living, run, starting
from understudy import Actor, App, RetryPolicy, handler, task_info
from understudy_runtime.core.keys import actor_key
from understudy_runtime.core.messages import AnyMessage, Deliver, Hold, Release

pytestmark = pytest.mark.anyio

NOTHING = Raw(msgspec.json.encode({"args": [], "kwargs": {}}))
CASES = [
    pytest.param(run("one"), starting("count"), id="run"),
    pytest.param(actor_key("default", "Tally", "one"), Deliver("count", NOTHING), id="actor"),
]
LATER_S = 100.0


def app(*, changed: bool = False) -> App:
    """One task, which fails at first and is tried again long after; the code may have `changed` since."""
    app = App("times")

    @app.task(retry=RetryPolicy(2, first_s=LATER_S))
    def flaky() -> str:
        if task_info().attempt == 1:
            raise OSError("not yet")
        return "done"

    @app.task
    def another() -> str:
        return "another"

    @app.workflow
    async def count() -> str:
        return await (another() if changed else flaky())

    @app.actor
    class Tally(Actor):
        @handler
        async def count(self) -> str:
            return await (another() if changed else flaky())

    return app


@pytest.mark.parametrize(("key", "begin"), CASES)
async def test_a_retry_comes_due_while_its_caller_is_held(key: str, begin: AnyMessage) -> None:
    async with living([app()], RecordedStore()) as world:
        world.deliver(key, begin)
        await world.pass_time(10)
        world.deliver(key, Hold("stalled", "for a test"))
        await world.pass_time(2 * LATER_S)
        assert [effect.token.attempt for effect in world.outside.effects] == [1, 2]
        assert (await world.describe(key)).status == "held"


@pytest.mark.parametrize(("key", "begin"), CASES)
async def test_a_retry_comes_due_while_its_caller_is_held_by_the_next_node_too(key: str, begin: AnyMessage) -> None:
    store = RecordedStore()
    async with living([app()], store) as world:
        world.deliver(key, begin)
        await world.pass_time(10)
        world.deliver(key, Hold("stalled", "for a test"))
        await world.settle()
    async with living([app(changed=True)], store, now=world.clock.now()) as world:
        await world.pass_time(2 * LATER_S)
        assert [effect.token.attempt for effect in world.outside.effects] == [2]
        assert (await world.describe(key)).status == "held", "its code does not fit any more"
    async with living([app()], store, now=world.clock.now()) as world:
        await world.pass_time(1)
        described = await world.describe(key)
        assert (described.status, described.succeeded) in [("succeeded", 1), ("active", 1)]


@pytest.mark.parametrize(("key", "begin"), CASES)
async def test_nothing_of_what_is_poisoned_is_dispatched_until_its_release(key: str, begin: AnyMessage) -> None:
    store = RecordedStore()
    async with living([app()], store) as world:
        world.deliver(key, begin)
        await world.pass_time(10)
        world.deliver(key, Hold("poisoned", "for a test"))
        await world.pass_time(2 * LATER_S)
        assert [effect.token.attempt for effect in world.outside.effects] == [1]
    async with living([app()], store, now=world.clock.now()) as world:
        await world.pass_time(2 * LATER_S)
        assert world.outside.effects == []
        world.deliver(key, Release())
        await world.pass_time(10)
        assert [effect.token.attempt for effect in world.outside.effects] == [2]
        described = await world.describe(key)
        assert (described.status, described.succeeded) in [("succeeded", 1), ("active", 1)]
