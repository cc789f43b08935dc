"""The state of a user-defined actor: what is kept always fits the annotations, and what does not fit harms nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import anyio
import pytest

import understudy
from understudy import Actor, App, AskFailed, BadInput, Client, handler, readonly

pytestmark = pytest.mark.anyio


def apps() -> tuple[App, type[Any], App, type[Any]]:
    """Two releases of one actor; what the first has stored does not fit the second."""
    old, new = App("old"), App("new")

    class Basket(Actor):
        items: list[int] = []

        @handler
        def add(self, item: int) -> int:
            self.items.append(item)
            return len(self.items)

        @handler
        def spoil(self) -> None:
            self.items = cast("Any", "nonsense")

        @handler
        def freeze(self) -> None:
            self.items = cast("Any", tuple(self.items))

        @readonly
        def kind(self) -> str:
            return type(self.items).__name__

    first = old.actor(Basket)

    class Changed(Actor):
        items: dict[str, int] = {}

        @handler
        def add(self, item: int) -> int:
            self.items[str(item)] = item
            return len(self.items)

        @readonly
        def size(self) -> int:
            return len(self.items)

    Changed.__name__ = "Basket"
    return old, first, new, new.actor(Changed)


async def test_a_handler_cannot_leave_a_state_that_does_not_fit(tmp_path: Path) -> None:
    app, basket, _, _ = apps()
    store = f"sqlite:///{tmp_path}/s.db"
    async with understudy.embedded(app, store) as client:
        await client.ask(basket.at("b"), basket.add, 1)
        with pytest.raises(AskFailed, match=r"Basket\.items: Expected `array`, got `str`"):
            await client.ask(basket.at("b"), basket.spoil)
        assert await client.ask(basket.at("b"), basket.add, 2) == 2
    async with understudy.embedded(app, store) as client:
        assert await client.ask(basket.at("b"), basket.add, 3) == 3


async def test_handlers_see_the_state_as_it_is_stored() -> None:
    app, basket, _, _ = apps()
    async with understudy.embedded(app, "memory://") as client:
        await client.ask(basket.at("b"), basket.add, 1)
        await client.ask(basket.at("b"), basket.freeze)
        assert await client.ask(basket.at("b"), basket.kind) == "list"


@pytest.mark.parametrize("handler", ["size", "add"])
async def test_a_state_that_does_not_fit_the_code_is_told_and_the_other_actors_go_on(
    tmp_path: Path, handler: str
) -> None:
    old, basket, new, changed = apps()
    store = f"sqlite:///{tmp_path}/s.db"
    async with understudy.embedded(old, store) as client:
        await client.ask(basket.at("b"), basket.add, 1)
    async with understudy.embedded(new, store) as client:
        with anyio.fail_after(10):
            with pytest.raises(BadInput, match=r"items: Expected `object`, got `array`"):
                await asked(client, changed, handler)
            assert await client.ask(changed.at("other"), changed.add, 1) == 1
    async with understudy.embedded(old, store) as client:
        assert await client.ask(basket.at("b"), basket.add, 2) == 2, "nothing of it is lost"


async def asked(client: Client, changed: type[Any], handler: str) -> int:
    arguments = (1,) if handler == "add" else ()
    return cast("int", await client.ask(changed.at("b"), getattr(changed, handler), *arguments))
