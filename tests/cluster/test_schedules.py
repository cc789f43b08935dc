"""Schedules that the code declares, while the code of some nodes is older than that of others: of those that live, the
one that began last has the say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from tests.cluster.neighbourhood import LONG_S, Neighbourhood
from understudy import App, Client
from understudy_runtime.core.keys import schedule_key

pytestmark = pytest.mark.anyio

IDS = tuple(f"s{number}" for number in range(24))
"""So many that every node has some."""


@pytest.fixture
async def town() -> AsyncIterator[Neighbourhood]:
    made = Neighbourhood()
    with anyio.fail_after(5 * LONG_S):
        yield made
        await made.close()
    assert not made.failures


def code(every: str) -> App:
    """A release of the user's, which has its own idea of how often."""
    app = App("shop")

    async def nightly() -> None: ...

    workflow = app.workflow(nightly)
    for schedule_id in IDS:
        app.schedule(id=schedule_id, every=every)(workflow)
    return app


async def begin(town: Neighbourhood, name: str, every: str) -> None:
    await town.begin(name, app=code(every))
    await town.settled()


def at(town: Neighbourhood, name: str) -> set[str]:
    """The schedules that this node runs."""
    return {schedule_id for schedule_id in IDS if town.owner(schedule_key("default", schedule_id)) == name}


async def hours(client: Client) -> dict[str, float]:
    return {schedule_id: (await client.schedules.get(schedule_id)).spec.every_s or 0.0 for schedule_id in IDS}


async def come_to(client: Client, every: float, ids: set[str]) -> None:
    """Returns when these schedules are so."""
    with anyio.fail_after(LONG_S):
        while {found for schedule_id, found in (await hours(client)).items() if schedule_id in ids} != {every}:  # noqa: ASYNC110 - nobody says when
            await anyio.sleep(0.01)


async def give_all_away(town: Neighbourhood, name: str, through: str) -> None:
    """The node lives on, and has nothing."""
    seat = town.nodes[through].seat
    assert seat is not None
    await seat.coordinator.drain(name, True)
    while at(town, name):  # noqa: ASYNC110 - nobody says when
        await anyio.sleep(0.005)


async def test_a_schedule_that_moves_from_newer_code_to_older_is_not_put_back(town: Neighbourhood) -> None:
    await begin(town, "ann", "1h")
    await begin(town, "bob", "2h")
    moved, kept = at(town, "bob"), at(town, "ann")
    assert moved
    assert kept
    await come_to(town.clients["ann"], 7_200, moved)
    await give_all_away(town, "bob", "ann")
    await come_to(town.clients["ann"], 7_200, moved)
    assert {(await hours(town.clients["ann"]))[schedule_id] for schedule_id in kept} == {3_600}


async def test_when_all_who_had_the_newer_code_are_gone_the_older_is_what_there_is(town: Neighbourhood) -> None:
    await begin(town, "ann", "1h")
    await begin(town, "bob", "2h")
    moved = at(town, "bob")
    await give_all_away(town, "bob", "ann")
    assert {(await hours(town.clients["ann"]))[schedule_id] for schedule_id in moved} == {7_200}
    await town.leave("bob")
    await come_to(town.clients["ann"], 3_600, set(IDS))


async def test_a_rolling_deploy_and_its_rollback_come_to_what_the_last_nodes_say(town: Neighbourhood) -> None:
    """Each node in turn, some of which are begun again with the code of before on the way."""
    await begin(town, "ann", "1h")
    await begin(town, "bob", "1h")
    for name, every in (("cyd", "2h"), ("bob-again", "1h"), ("dan", "2h"), ("eve", "2h")):
        await begin(town, name, every)
    for name in ("ann", "bob", "bob-again"):
        await town.leave(name)
        await town.settled()
    await come_to(town.clients["dan"], 7_200, set(IDS))
    await begin(town, "ann", "1h")
    await begin(town, "bob", "1h")
    for name in ("dan", "cyd", "eve"):
        await town.leave(name)
        await town.settled()
    await come_to(town.clients["ann"], 3_600, set(IDS))


async def test_what_a_client_changes_stays_until_there_are_newer_nodes(town: Neighbourhood) -> None:
    await begin(town, "ann", "1h")
    for schedule_id in IDS:
        await town.clients["ann"].schedules.update(schedule_id, every="5h")
    await begin(town, "bob", "1h")
    of_bob = at(town, "bob")
    await come_to(town.clients["ann"], 3_600, of_bob)
    assert {(await hours(town.clients["ann"]))[schedule_id] for schedule_id in at(town, "ann")} == {18_000}
