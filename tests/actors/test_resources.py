"""A resource in a node: what is stored of it, and what it costs while it is healthy."""

from __future__ import annotations

from itertools import groupby

import msgspec
import pytest

from tests.actors.cloud import CLUSTER
from tests.actors.racing import RULES, Life, Race
from tests.actors.world import T0
from understudy_runtime.core.resource.machine import ResourceMachine

pytestmark = pytest.mark.anyio

QUIET = msgspec.structs.replace(RULES, sweep_every_s=None, check_every_s=15.0, idle_timeout_s=None)


async def test_a_healthy_resource_is_looked_at_and_writes_nothing() -> None:
    race = Race(1, [], QUIET, users=1)
    life = Life(race, T0, None, ResourceMachine(QUIET, "n1"))
    written: list[int] = []

    def over() -> bool:
        if life.clock.now() > T0 + 60 and not written:
            written.append(len(race.disk.journal))
        return life.clock.now() > T0 + 10_000

    looked = race.cloud.checks
    await life.live(over)
    assert race.cloud.checks - looked > 600
    assert len(race.disk.journal) == written[0]


async def test_the_row_says_what_state_it_is_in() -> None:
    race = await Race(1, [], users=1).run()
    rows = [turn.row for turn in race.disk.journal if turn.key == CLUSTER and turn.row is not None]
    assert {row.definition for row in rows} == {"Cluster"}
    assert [status for status, _ in groupby(row.status for row in rows)] == [
        "creating",
        "ready",
        "destroying",
        "absent",
    ]
