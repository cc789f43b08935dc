"""The race of "idle, terminate it" against "one more step", with the node killed at every point of the intent protocol.

No step is accepted by a cluster in or past `draining`, no cluster is destroyed with a live lease, and when all has been
put in order again there is no cluster that nobody knows. The same with any one of the rules switched off must fail.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from logging import CRITICAL
from typing import get_args

import pytest
import structlog

from tests.actors.racing import CLUSTER, IDLE_S, PLAIN_RULES, RULES, Death, Point, Race
from understudy.resourcing import ResourceOptions
from understudy_runtime.actors.journal import decode
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.ports import JournalRow
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.resource import driving, duties, leases, living
from understudy_runtime.core.resource.plan import Plan
from understudy_runtime.core.resource.records import IntentEnded, LeaseGranted, LeaseOver, OperationTaken, ResourceMoved
from understudy_runtime.core.resource.state import Life

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quiet")]

POINTS: tuple[Point, ...] = get_args(Point)
RACES = 1_000
SOME = 60


@pytest.fixture
def quiet() -> Iterator[None]:
    """Nodes that die say so, thousands of times."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))
    yield
    structlog.configure(**before)


async def test_no_race_is_lost() -> None:
    assert await faults_of_races(range(SOME)) == []


@pytest.mark.slow
async def test_none_of_a_thousand_races_is_lost() -> None:
    assert await faults_of_races(range(RACES)) == []


@pytest.mark.slow
async def test_none_of_a_thousand_races_is_lost_by_a_driver_that_has_only_find() -> None:
    assert await faults_of_races(range(RACES), PLAIN_RULES) == []


@pytest.mark.parametrize("point", POINTS)
async def test_whatever_is_under_way_the_node_may_die(point: Point) -> None:
    """One race, with a death at each such point there is in it."""
    count = 0
    while True:
        count += 1
        race = await Race(7, [Death(point, count)]).run()
        assert faults(race) == [], f"{point} {count}"
        if race.deaths_died < 1:
            break
    assert count > 5


# --- the same with a rule switched off


async def test_an_idle_rule_that_does_not_look_at_leases_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def idle_at(life: Life, options: ResourceOptions) -> float | None:
        return life.ready_since + IDLE_S if life.state == "ready" and not life.intents else None

    monkeypatch.setattr(duties, "idle_at", idle_at)
    monkeypatch.setattr(Life, "free_to_end", property(lambda life: not life.intents))
    assert has(await faults_of_races(range(SOME)), "destroyed with a live lease", "which is no more")


async def test_grants_while_it_drains_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    granting = frozenset({"ready", "draining", "destroying"})
    monkeypatch.setattr("understudy_runtime.core.resource.leases.GRANTING", granting)
    real = living._step

    def step(plan: Plan) -> bool:
        leases.serve(plan)
        return real(plan)

    monkeypatch.setattr(living, "_step", step)
    assert has(await faults_of_races(range(SOME)), "granted while it was", "which is no more")


async def test_a_creation_made_again_without_a_look_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(plan: Plan, call: int, intent: object, result: object, failure: Failure | None) -> None:
        if failure is None:
            real(plan, call, intent, result, failure)  # type: ignore[arg-type]
        else:
            plan.note(IntentEnded(call, failure))
            driving._create_again(plan)

    real = driving._create_ended
    monkeypatch.setitem(driving._ENDED, "create", ended)
    assert has(await faults_of_races(range(SOME), PLAIN_RULES), "nobody knows")


async def test_without_sweeps_what_was_created_late_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def sweep_at(life: Life, options: ResourceOptions) -> None:
        """Never."""

    monkeypatch.setattr(duties, "sweep_at", sweep_at)
    assert has(await faults_of_races(range(SOME)), "nobody knows")


async def test_a_destroy_that_is_taken_for_done_when_its_node_dies_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ended(plan: Plan, call: int, intent: object, result: object, failure: Failure | None) -> None:
        real(plan, call, intent, result, None)  # type: ignore[arg-type]

    real = driving._destroy_ended
    monkeypatch.setitem(driving._ENDED, "destroy", ended)
    assert has(await faults_of_races(range(SOME), PLAIN_RULES), "nobody knows")


# --- races and what is wrong with them


async def faults_of_races(seeds: range, rules: ResourceOptions = RULES) -> list[str]:
    found: list[str] = []
    deaths = 0
    for seed in seeds:
        race = await Race(seed, random_deaths(seed), rules, late="list" in rules.driver).run()
        deaths += race.deaths_died
        found += [f"race {seed}: {fault}" for fault in faults(race)]
    assert deaths > len(seeds)
    return found


def random_deaths(seed: int) -> list[Death]:
    chance = random.Random(f"deaths {seed}")
    return [Death(chance.choice(POINTS), chance.randint(1, 12)) for _ in range(chance.randint(1, 4))]


def faults(race: Race) -> list[str]:
    """What must never be, in the cloud or in the journal."""
    found = list(race.cloud.faults)
    found += [f"{handle} runs, and nobody knows it" for handle in sorted(race.cloud.running)]
    steps = race.cloud.steps
    found += [f"{step} was submitted twice" for step in set(steps) if steps.count(step) > 1]
    for key, stage in race.ended.items():
        if stage.name != "done" or stage.ended not in ("", "OperationUncertain"):
            found.append(f"{key} ended as {stage}")
        elif not stage.ended and key not in steps:
            found.append(f"{key} believes that its step was submitted")
    return found + list(wrong_in_journal(race))


def wrong_in_journal(race: Race) -> Iterator[str]:
    state, leases, fence = "absent", set[int](), 0
    for record in journal(race):
        match record:
            case ResourceMoved(state=now):
                if now == "destroying" and leases:
                    yield f"it was destroyed with the leases {leases}"
                state = now
                if record.fence:
                    fence = max(fence, record.fence)
            case LeaseGranted():
                if state != "ready":
                    yield f"lease {record.fence} was granted while it was {state}"
                if record.fence <= fence:
                    yield f"lease {record.fence} was granted after {fence}"
                fence = record.fence
                leases.add(record.fence)
            case LeaseOver():
                leases.discard(record.fence)
            case OperationTaken():
                if state != "ready" or record.fence not in leases:
                    yield f"a step was accepted with the fence {record.fence} while it was {state}"
            case _:
                pass


def journal(race: Race) -> Iterator[AnyRecord]:
    for turn in race.disk.journal:
        if turn.key == CLUSTER and turn.records is not None:
            yield from decode(JournalRow(0, turn.key, turn.seq, turn.at, turn.records), {}).records


def has(found: list[str], *what: str) -> bool:
    return any(each in fault for fault in found for each in what)
