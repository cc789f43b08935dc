"""A crash behind any turn of any shape of run changes nothing that anybody can see.

For each scenario, one life without a crash is recorded. Then, for each of its turns, a fresh node starts from a store
that holds what was durable by then, and must end where the first life did, by the same turns at the same times; tasks
that had finished are not run again, and those that had not keep their idempotency keys. Whatever is shared is shared by
the rules of leases, in its journal and in what was really done under it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import pytest
from msgspec import Raw
from msgspec.json import encode

from tests.actors.lease_shapes import APPS, SCENARIOS
from tests.actors.shapes import Scenario
from tests.actors.sharing import disturbed, wrong_leases
from tests.actors.world import T0, Outside, RecordedStore, World, cut_after, living
from understudy_runtime.actors import writing
from understudy_runtime.actors.journal import decode
from understudy_runtime.core import leases
from understudy_runtime.core.actor import Kept
from understudy_runtime.core.calls import Caller, idempotency_key
from understudy_runtime.core.keys import ACTOR_PREFIX, RUN, kind_of
from understudy_runtime.core.kinds import Command, Input
from understudy_runtime.core.leases import Lease, Leases
from understudy_runtime.core.messages import Description, ReplayFrom
from understudy_runtime.core.ports import JournalRow, TurnWrite
from understudy_runtime.core.records import AnyRecord, Turn
from understudy_runtime.core.records.actors import ReminderForgotten, ReminderSet, StateSet
from understudy_runtime.core.records.calls import TaskGaveUp, TaskSucceeded
from understudy_runtime.core.records.deliveries import Delivered, Replied
from understudy_runtime.core.records.runs import ContinuedAsNew, ExecutionStarted
from understudy_runtime.core.replay import Activation, activations, difference
from understudy_runtime.core.resource import leases as granting
from understudy_runtime.core.resource.plan import Plan
from understudy_runtime.execution.programs import AppPrograms

pytestmark = pytest.mark.anyio

ALL_STARTED_S = 0.02
SETTLING_S = 20.0
"""Long enough for whatever a run left behind to end too."""

Story = dict[str, list[str]]
"""What happened to each actor, as far as user code took part in it, and when."""


class Life(NamedTuple):
    store: RecordedStore
    ends: list[Any]
    story: Story
    outside: Outside


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_crash_behind_any_turn_changes_nothing(name: str) -> None:
    await crash_everywhere(SCENARIOS[name], seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("name", SCENARIOS)
async def test_in_other_worlds_it_changes_nothing_either(name: str, seed: int) -> None:
    await crash_everywhere(SCENARIOS[name], seed)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_starting_from_snapshots_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SNAPSHOT_TURNS", 1)
    await crash_everywhere(SCENARIOS[name], seed=0)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_leaving_memory_at_every_occasion_changes_nothing(name: str) -> None:
    whole = await live(SCENARIOS[name], RecordedStore(), Outside(), T0)
    parked = await live(SCENARIOS[name], RecordedStore(), Outside(), T0, resident_bytes=1)
    assert (parked.ends, parked.story) == (whole.ends, whole.story)
    assert parked.outside.effects == whole.outside.effects


@pytest.mark.parametrize("name", SCENARIOS)
async def test_its_whole_history_replays_without_a_difference(name: str) -> None:
    whole = await live(SCENARIOS[name], RecordedStore(), Outside(), T0)
    programs = AppPrograms(APPS, None)
    replayed = 0
    for key, turns in histories(whole.store.written).items():
        for start, value in beginnings(key, turns):
            program = programs.create(key, definition_of(key, turns), value)
            for activation in until_it_ends(key, activations(turns, start)):
                now = program.activate(activation.at, activation.inputs, activation.commands)
                assert now.held is None
                assert difference(activation.commands, now.commands, strict=True) is None, (key, activation.seq)
                replayed += 1
            program.evict()
    assert replayed > 1


async def crash_everywhere(scenario: Scenario, seed: int) -> None:
    whole = await live(scenario, RecordedStore(), Outside(seed), T0)
    written = whole.store.written
    assert len(written) > 1
    assert shared_well(whole) == []
    for turns in range(len(written)):
        at = written[turns - 1].at if turns else T0
        again = await live(scenario, await cut_after(written, turns), whole.outside.after_the_crash(), at)
        where = f"a crash behind turn {turns} of {len(written)}"
        assert again.ends == whole.ends, where
        assert shared_well(again) == [], where
        if scenario.same_times:
            assert again.story == whole.story, where
            assert again.outside.keys <= whole.outside.keys, where
        assert not again.outside.keys & finished(written[:turns]), where


def shared_well(life: Life) -> list[str]:
    """What is wrong with the leases of that life (and of all before it) and with what was done under them."""
    return wrong_leases(histories(life.store.written)) + disturbed(life.outside.effects)


async def live(
    scenario: Scenario, store: RecordedStore, outside: Outside, now: float, resident_bytes: int = 2**30
) -> Life:
    async with living(APPS, store, outside=outside, now=now, resident_bytes=resident_bytes) as world:
        await world.settle()
        for told in scenario.told:
            world.clock.call_at(told.at, partial(world.engine.deliver, told.key, told.message))
        await world.pass_time(ALL_STARTED_S)
        ends = [await end(world, key) for key in scenario.runs]
        await world.pass_time(SETTLING_S)
    return Life(store, ends, story(store.written), outside)


async def end(world: World, key: str) -> tuple[Any, ...]:
    described = await world.result(key)
    assert isinstance(described, Description)
    return described.status, described.execution, described.result, described.failure


def story(written: Sequence[TurnWrite]) -> Story:
    told: Story = {}
    for turn, records in decoded(written):
        kept = [f"{turn.at} {encode(record).decode()}" for record in records if isinstance(record, Input | Command)]
        told.setdefault(turn.key, []).extend(kept)
    return told


def finished(written: Sequence[TurnWrite]) -> set[str]:
    """The idempotency keys of tasks of which the journal says that they are over."""
    keys: set[str] = set()
    caller: dict[str, Caller] = {}
    for turn, records in decoded(written):
        for record in records:
            match record:
                case ExecutionStarted(execution=number):
                    caller[turn.key] = Caller(turn.key, number)
                case Delivered(delivery=number) if kind_of(turn.key) != RUN:
                    caller[turn.key] = Caller(turn.key, number)
                case TaskSucceeded(call=call) | TaskGaveUp(call=call):
                    keys.add(idempotency_key(caller[turn.key], call))
                case _:
                    pass
    return keys


def histories(written: Sequence[TurnWrite]) -> dict[str, list[Turn]]:
    found: dict[str, list[Turn]] = {}
    for turn, records in decoded(written):
        found.setdefault(turn.key, []).append(Turn(turn.seq, turn.at, records))
    return found


def definition_of(key: str, turns: list[Turn]) -> str:
    first = turns[0].records[0]
    return first.workflow if isinstance(first, ExecutionStarted) else kind_of(key).removeprefix(ACTOR_PREFIX)


def until_it_ends(key: str, found: Iterator[Activation]) -> Iterator[Activation]:
    """The activations of one execution or handler."""
    last = ContinuedAsNew if kind_of(key) == RUN else Replied
    for activation in found:
        yield activation
        if any(type(record) is last for record in activation.commands):
            return


def beginnings(key: str, turns: list[Turn]) -> list[tuple[ReplayFrom, Raw | None]]:
    """Where a program began anew, and the state it began with: each execution of a run, each handler of an actor."""
    found: list[tuple[ReplayFrom, Raw | None]] = []
    reminders: set[str] = set()
    value: Raw | None = None
    for turn in turns:
        for record in turn.records:
            match record:
                case ExecutionStarted(execution=execution):
                    found.append((ReplayFrom(turn.seq, execution=execution), None))
                case Delivered(delivery=delivery) if kind_of(key) != RUN:
                    kept = Kept(value, reminders=tuple(reminders))
                    found.append((ReplayFrom(turn.seq, delivery=delivery), Raw(encode(kept))))
                case StateSet(state=state):
                    value = state
                case ReminderSet(id=name):
                    reminders.add(name)
                case ReminderForgotten(id=name):
                    reminders.discard(name)
                case _:
                    pass
    return found


def decoded(written: Sequence[TurnWrite]) -> list[tuple[TurnWrite, list[AnyRecord]]]:
    return [
        (turn, decode(JournalRow(0, turn.key, turn.seq, turn.at, turn.records), {}).records)
        for turn in written
        if turn.records is not None
    ]


# --- the same with a rule switched off


async def test_leases_that_do_not_wait_for_what_runs_under_them_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(held: Leases) -> list[Lease]:
        return [lease for lease in held.held.values() if lease.ended]

    monkeypatch.setattr(leases, "_to_return", ended)
    with pytest.raises(AssertionError, match=r"began at .* under the lock ledger, which"):
        await crash_everywhere(SCENARIOS["work_left_behind"], seed=0)


async def test_leases_that_are_not_given_back_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(held: Leases) -> list[Lease]:
        return []

    monkeypatch.setattr(leases, "_to_return", nothing)
    with pytest.raises(AssertionError, match="never given back"):
        await crash_everywhere(SCENARIOS["a_lock"], seed=0)


async def test_grants_beyond_what_there_is_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def always(plan: Plan, units: int, *, exclusive: bool) -> bool:
        return True

    monkeypatch.setattr(granting, "fits", always)
    with pytest.raises(AssertionError, match="more than there is"):
        await crash_everywhere(SCENARIOS["a_lock_for_three"], seed=0)
