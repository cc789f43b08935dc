"""Runs whose journal was written in the order of an older CPython go on: they fit it when they do not fit today's."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.actors.test_holding import ONE
from tests.actors.world import RecordedStore, living, starting
from understudy import App
from understudy_runtime.core.ports import Order, Program
from understudy_runtime.core.records.programs import Held
from understudy_runtime.execution.program import ORDERS
from understudy_runtime.execution.programs import AppPrograms

pytestmark = pytest.mark.anyio


def racing() -> App:
    """An app whose workflow calls its tasks in an order that `wait_for` decides."""
    app = App("racing")

    @app.task
    def step(name: str) -> str:
        return name

    @app.workflow
    async def race() -> list[str]:
        first = await asyncio.gather(asyncio.wait_for(step("waited for"), 500), step("called"))
        await asyncio.sleep(100)
        second = await asyncio.gather(asyncio.wait_for(step("waited for again"), 500), step("called again"))
        return [*first, *second]

    return app


@pytest.mark.parametrize("order", ORDERS)
async def test_a_run_goes_on_in_the_order_in_which_it_began(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RecordedStore()
    create = AppPrograms.create

    def then(programs: AppPrograms, key: str, definition: str, state: Raw | None, _: Any = None) -> Program:
        return create(programs, key, definition, state, order)

    with monkeypatch.context() as patch:
        patch.setattr(AppPrograms, "create", then)
        async with living([racing()], store) as world:
            world.deliver(ONE, starting("race"))
            await world.pass_time(50)
    async with living([racing()], store, now=world.clock.now(), outside=world.outside) as world:
        described = await world.result(ONE)
        history = [record for turn in await world.engine.history(ONE) for record in turn.records]
    assert described.result == Raw(b'["waited for","called","waited for again","called again"]')
    assert not [record for record in history if isinstance(record, Held)]
    began = [str(msgspec.json.decode(effect.args)["args"][0]) for effect in world.outside.effects]
    first, second = ("called", "waited for") if order == "3.11" else ("waited for", "called")
    assert began == [first, second, f"{first} again", f"{second} again"]


async def test_code_that_fits_no_order_is_held_with_the_difference_to_todays() -> None:
    store = RecordedStore()
    async with living([racing()], store) as world:
        world.deliver(ONE, starting("race"))
        await world.pass_time(50)
    other = App("racing")

    @other.task
    def leap() -> None: ...

    @other.workflow
    async def race() -> None:
        await leap()

    async with living([other], store, now=world.clock.now()) as world:
        held = (await world.result(ONE)).held
    assert held is not None
    assert held.why == "diverged"
    assert "- call 1: task step" in held.detail
