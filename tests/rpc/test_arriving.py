"""What another node asks of an actor that is just being handed over waits for its shard, and not for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from understudy_proto.v1 import runs_pb2
from understudy_runtime.core.membership import Member, Owner, View
from understudy_runtime.rpc import forwarding
from understudy_runtime.rpc.forwarding import Arriving
from understudy_runtime.rpc.routes import ViewRoutes

pytestmark = pytest.mark.anyio

ANN, BOB = Member("ann", "ann-1", "ann:1"), Member("bob", "bob-1", "bob:1")


class House:
    """A node, bob, of a cluster with one shard; what is answered is whether that was open by then."""

    def __init__(self, owner: Member | None) -> None:
        self.open = False
        self._owner = owner
        self.routes = ViewRoutes("bob", lambda: 1, self._view, lambda key: self.open)
        self._arriving = Arriving(self, self.routes)

    def _view(self) -> View:
        owners = {} if self._owner is None else {0: Owner(self._owner.node, self._owner.incarnation)}
        return View(1, {"ann": ANN, "bob": BOB}, owners)

    def behaviour(self, method: str) -> Callable[[Any], Any]:
        async def carry_out(request: Any) -> bool:
            return self.open

        return carry_out

    def ask(self) -> asyncio.Task[bool]:
        request = runs_pb2.GetRunRequest(namespace="n", run_id="r")
        return asyncio.ensure_future(self._arriving.behaviour("get_run")(request))

    def own(self, owner: Member) -> None:
        self._owner = owner
        self.routes.tell()


async def asked(house: House) -> asyncio.Task[bool]:
    task = house.ask()
    await asyncio.sleep(0)
    return task


async def test_it_waits_until_the_shard_is_open() -> None:
    house = House(BOB)
    answer = await asked(house)
    house.routes.tell()
    await asyncio.sleep(0)
    assert not answer.done()
    house.open = True
    house.routes.tell()
    assert await answer


async def test_it_waits_no_longer_when_the_shard_goes_to_another_node() -> None:
    house = House(BOB)
    answer = await asked(house)
    house.own(ANN)
    assert not await answer


async def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "OPENING_S", 0.01)
    assert not await House(BOB).ask()


@pytest.mark.parametrize("owner", [ANN, None])
async def test_what_is_not_coming_is_refused_at_once(owner: Member | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "OPENING_S", 1e9)
    assert not await House(owner).ask()
