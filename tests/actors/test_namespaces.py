"""Namespaces share a store and nothing else: the same id in two of them is two runs, or two actors."""

from __future__ import annotations

from pathlib import Path

import pytest

import understudy
from understudy import Actor, App, Client, UnknownName, handler, readonly, start, task_info

pytestmark = pytest.mark.anyio

app = App("spaces")


@app.task
async def key() -> str:
    return task_info().key


@app.actor
class Tally(Actor):
    value: int = 0

    @handler
    def add(self) -> int:
        self.value += 1
        return self.value

    @handler
    async def key(self) -> str:
        return await key()

    @readonly
    def current(self) -> int:
        return self.value


@app.workflow
async def adds() -> str:
    await Tally.at("t").ask(Tally.add)
    start(child, id="child")
    return await key()


@app.workflow
async def child() -> None:
    await Tally.at("t").ask(Tally.add)


async def test_the_same_ids_in_two_namespaces_are_different_actors(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/state.db"
    keys: set[str] = set()
    for namespace in ("one", "two"):
        async with understudy.embedded(app, store=store, namespace=namespace) as client:
            keys.add(await client.run(adds, id="adds"))
            await client.handle("child").result()
            assert await client.ask(Tally.at("t"), Tally.current) == 2
            assert len(await client.list()) == 2
    async with understudy.embedded(app, store=store, namespace="three") as client:
        with pytest.raises(UnknownName):
            await client.handle("adds").describe()
        assert await client.list() == []
        assert await client.ask(Tally.at("t"), Tally.current) == 0
    assert len(keys) == 2, "an outside system must be able to tell them apart"


async def test_an_actor_and_a_run_of_the_same_id_have_different_keys(tmp_path: Path) -> None:
    async with understudy.embedded(app, store="memory://") as client:
        assert await in_run(client) != await client.ask(Tally.at("same"), Tally.key)


async def in_run(client: Client) -> str:
    return await client.run(only_key, id="same")


@app.workflow
async def only_key() -> str:
    return await key()
