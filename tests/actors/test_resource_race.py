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

from tests.actors.cloud import CLUSTER
from tests.actors.racing import IDLE_S, PLAIN_RULES, RULES, Death, Point, Race
from understudy.resourcing import ResourceOptions
from understudy_runtime.actors.journal import decode
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.ports import JournalRow
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.resources import (
    IntentEnded,
    LeaseAwaited,
    LeaseGranted,
    LeaseOver,
    OperationTaken,
    ResourceMoved,
)
from understudy_runtime.core.resource import driving, duties, leases, living
from understudy_runtime.core.resource.plan import Plan
from understudy_runtime.core.resource.state import Life

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quiet")]

POINTS: tuple[Point, ...] = get_args(Point)
CALLS = ("create", "find", "check", "destroy", "list")
NOTES = (
    *(f"IntentNoted {what}" for what in ("create", "find", "verify", "destroy", "list")),
    *("IntentEnded", "ResourceCreated", "ResourceMoved", "CheckBegun", "CheckEnded"),
    *("LeaseAwaited", "LeaseGranted", "LeaseOver", "OperationTaken", "OperationStarted", "OperationOver"),
)
"""What there is of the protocol between the cluster, its users and its driver, in calls and in records."""
AFTER_A_LOSS = {
    **dict.fromkeys(("IntentNoted find", "Cluster.find"), "Cluster.create"),
    **dict.fromkeys(("IntentNoted verify", "Cluster.check"), "Cluster.destroy"),
}
"""What is asked only, or also, when a call of that kind has been lost."""
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
    races = await run(range(SOME))
    assert faults_of(races) == []
    assert are_close(races)


@pytest.mark.slow
async def test_none_of_a_thousand_races_is_lost() -> None:
    races = await run(range(RACES))
    assert faults_of(races) == []
    assert are_close(races)
    assert not_killed_at(races, RULES) == set()


@pytest.mark.slow
async def test_none_of_a_thousand_races_is_lost_by_a_driver_that_has_only_find() -> None:
    races = await run(range(RACES), PLAIN_RULES)
    assert faults_of(races) == []
    assert are_close(races)
    assert not_killed_at(races, PLAIN_RULES) == set()


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
    assert has(faults_of(await run(range(SOME))), "destroyed with a live lease", "which is no more")


async def test_grants_while_it_drains_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    granting = frozenset({"ready", "draining", "destroying"})
    monkeypatch.setattr("understudy_runtime.core.resource.leases.GRANTING", granting)
    real = living._step

    def step(plan: Plan) -> bool:
        leases.serve(plan)
        return real(plan)

    monkeypatch.setattr(living, "_step", step)
    assert has(faults_of(await run(range(SOME))), "granted while it was", "which is no more")


async def test_a_creation_made_again_without_a_look_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(plan: Plan, call: int, intent: object, result: object, failure: Failure | None) -> None:
        if failure is None:
            real(plan, call, intent, result, failure)  # type: ignore[arg-type]
        else:
            plan.note(IntentEnded(call, failure))
            driving._create_again(plan)

    real = driving._create_ended
    monkeypatch.setitem(driving._ENDED, "create", ended)
    assert has(faults_of(await run(range(SOME), PLAIN_RULES)), "nobody knows")


async def test_without_sweeps_what_was_created_late_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def sweep_at(life: Life, options: ResourceOptions) -> None:
        """Never."""

    monkeypatch.setattr(duties, "sweep_at", sweep_at)
    assert has(faults_of(await run(range(SOME))), "nobody knows")


async def test_a_destroy_that_is_taken_for_done_when_its_node_dies_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ended(plan: Plan, call: int, intent: object, result: object, failure: Failure | None) -> None:
        real(plan, call, intent, result, None)  # type: ignore[arg-type]

    real = driving._destroy_ended
    monkeypatch.setitem(driving._ENDED, "destroy", ended)
    assert has(faults_of(await run(range(SOME), PLAIN_RULES)), "nobody knows")


# --- races and what is wrong with them


async def run(seeds: range, rules: ResourceOptions = RULES) -> list[Race]:
    races = [await Race(seed, random_deaths(seed, rules), rules, late="list" in rules.driver).run() for seed in seeds]
    assert sum(race.deaths_died for race in races) > len(seeds)
    return races


def random_deaths(seed: int, rules: ResourceOptions) -> list[Death]:
    """Half of them anywhere, half amid something of which there may be little in a life."""
    chance, places = random.Random(f"deaths {seed}"), sorted(places_of(rules))
    anywhere = [Death(chance.choice(POINTS), chance.randint(1, 12)) for _ in range(chance.randint(0, 2))]
    amid = [Death(point, chance.randint(1, 2), what) for point, what in chance.choices(places, k=chance.randint(1, 2))]
    deaths = chance.sample([*anywhere, *amid], k=len(anywhere) + len(amid))
    for what, after in AFTER_A_LOSS.items():
        if any(death.amid == what for death in deaths) and chance.random() < 0.5:
            deaths = [Death("call under way", 1, after), *sorted(deaths, key=lambda death: death.amid != what)]
    return deaths


def places_of(rules: ResourceOptions) -> set[tuple[Point, str]]:
    """Where a node can die in such a race, and amid what."""
    calls = [f"Cluster.{call}" for call in CALLS if call in rules.driver] + ["Cluster.add_step"]
    left_out: tuple[str, ...] = () if "check" in rules.driver else ("IntentNoted verify", "CheckBegun", "CheckEnded")
    left_out += () if "list" in rules.driver else ("IntentNoted list",)
    notes = [note for note in NOTES if note not in left_out]
    places: set[tuple[Point, str]] = set()
    for point in POINTS:
        places |= {(point, what) for what in (notes if point in ("commit lost", "answer lost") else calls)}
    return places


def not_killed_at(races: list[Race], rules: ResourceOptions) -> set[tuple[Point, str]]:
    return places_of(rules) - {amid for race in races for amid in race.deaths_amid}


def are_close(races: list[Race]) -> bool:
    """Whether both sides won often: the next user's request, and the end of the idle cluster."""
    in_time = sum(any(type(record) is LeaseGranted and not record.waited for record in journal(race)) for race in races)
    too_late = sum(requested_while_it_ended(race) for race in races)
    return min(in_time, too_late) > len(races) // 4


def requested_while_it_ended(race: Race) -> bool:
    state = ""
    for record in journal(race):
        if type(record) is ResourceMoved:
            state = record.state
        if type(record) is LeaseAwaited and state in ("draining", "destroying"):
            return True
    return False


def faults_of(races: list[Race]) -> list[str]:
    return [f"race {number}: {fault}" for number, race in enumerate(races) for fault in faults(race)]


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
