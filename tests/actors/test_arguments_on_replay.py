# Types of calls are parameters here.
# pyright: basic, reportInvalidTypeForm=false
"""A call whose arguments are not those of the journal is a divergence, unless they are the same in today's types."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.actors.test_holding import ONE
from tests.actors.world import RecordedStore, living, starting
from understudy import Actor, App, Resource, handler, start
from understudy_runtime.core.messages import Description

pytestmark = pytest.mark.anyio


def calling(value: Any, annotation: Any) -> Callable[[str], App]:
    """Apps whose workflow passes `value` to a task, a child, an actor or a resource, and then sleeps."""

    def made(how: str) -> App:
        app = App("calling")

        @app.task
        def look(at: annotation) -> str:
            return "looked"

        @app.workflow
        async def child(of: annotation) -> str:
            return "grown"

        @app.actor
        class Listener(Actor):
            @handler
            def hear(self, what: annotation) -> str:
                return "heard"

        @app.resource(capacity=5)
        class Thing(Resource[annotation, annotation]):
            """It is there already."""

        @app.workflow
        async def calls() -> str:
            match how:
                case "task":
                    answer = await look(value)
                case "child":
                    answer = await child(value)
                case "started child":
                    start(child, value)
                    answer = "started"
                case "ask":
                    answer = await Listener.at("l").ask(Listener.hear, value)
                case "tell":
                    Listener.at("l").tell(Listener.hear, value)
                    answer = "told"
                case _:
                    async with Thing.at("t", value).lease():
                        answer = "leased"
            await asyncio.sleep(100)
            return answer

        return app

    return made


@dataclass
class Wanted:
    name: str


@dataclass
class WantedSince:
    name: str
    colour: str = "red"


HOWS = ("task", "child", "started child", "ask", "tell", "lease")


async def two_lives(how: str, first: Callable[[str], App], second: Callable[[str], App]) -> Description:
    store = RecordedStore()
    async with living([first(how)], store) as world:
        world.deliver(ONE, starting("calls"))
        await world.pass_time(50)
    async with living([second(how)], store, now=world.clock.now(), outside=world.outside) as world:
        return await world.result(ONE)


@pytest.mark.parametrize("how", HOWS)
async def test_another_argument_holds_the_run_and_shows_both(how: str) -> None:
    described = await two_lives(how, calling("then", str), calling("now", str))
    assert described.held is not None
    assert described.held.why == "diverged"
    assert '"then"' in described.held.detail
    assert '"now"' in described.held.detail


@pytest.mark.parametrize("how", HOWS)
async def test_a_field_that_was_added_with_a_default_is_no_divergence(how: str) -> None:
    described = await two_lives(how, calling(Wanted("a"), Wanted), calling(WantedSince("a"), WantedSince))
    assert described.held is None, described.held
    assert described.result is not None


@pytest.mark.parametrize("how", HOWS)
async def test_another_value_in_the_field_that_was_added_is_one(how: str) -> None:
    described = await two_lives(how, calling(Wanted("a"), Wanted), calling(WantedSince("a", "blue"), WantedSince))
    assert described.held is not None
    assert "blue" in described.held.detail
