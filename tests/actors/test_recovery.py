"""Recovery takes note of what was decided and decides nothing: a new release does not decide the past again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Raw

from tests.actors.shapes import SCENARIOS, app
from tests.actors.test_any_crash import decoded, live
from tests.actors.world import T0, Outside, RecordedStore, living, run, starting
from understudy_runtime.core import calls
from understudy_runtime.core.actor import ActorMachine
from understudy_runtime.core.keys import RUN, kind_of
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import Accepted, Cancel, Decision, RetryRun, Terminate
from understudy_runtime.core.records.calls import AttemptDispatched, AttemptFailed, TaskGaveUp, TaskSucceeded
from understudy_runtime.core.records.runs import Ended, ExecutionStarted
from understudy_runtime.core.run import RunMachine
from understudy_runtime.core.run import decide as deciding

pytestmark = pytest.mark.anyio

ONE = run("one")


def always(decision: Any) -> Callable[..., Any]:
    """A rule of a new release: it always decides that."""

    def decide(*_: object) -> Any:
        return decision

    return decide


async def test_a_stricter_retry_policy_does_not_take_back_a_retry_that_was_promised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = RecordedStore()
    async with living([app], store) as world:
        world.deliver(ONE, starting("retried_tasks"))
        await world.pass_time(2.5)
        history = [record for turn in await world.engine.history(ONE) for record in turn.records]
    promised = {(r.call, r.retry_at) for r in history if isinstance(r, AttemptFailed)}
    assert promised
    monkeypatch.setattr(calls, "_retry_at", always(None))
    async with living([app], store, now=world.clock.now(), outside=world.outside) as world:
        await world.result(ONE)
        turns = await world.engine.history(ONE)
    dispatched = {(r.call, turn.at) for turn in turns for r in turn.records if isinstance(r, AttemptDispatched)}
    assert {call for call, _ in promised} <= {call for call, _ in dispatched}
    gave_up = [r for turn in turns for r in turn.records if isinstance(r, TaskGaveUp)]
    assert gave_up, "from now on, the new rule holds"


async def test_a_cancellation_that_was_accepted_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    store = RecordedStore()
    async with living([app], store) as world:
        world.deliver(ONE, starting("cleans_up"))
        await world.pass_time(0.05)
        await world.ask(ONE, Cancel("enough"))
    monkeypatch.setitem(deciding.DECIDE, Cancel, always(Decision()))
    async with living([app], store, now=world.clock.now(), outside=world.outside) as world:
        assert (await world.result(ONE)).status == "cancelled"


async def test_a_command_that_is_sent_again_after_a_restart_does_not_hit_the_execution_that_a_retry_began() -> None:
    store = RecordedStore()
    commands: list[Cancel | Terminate] = [Cancel("enough", "c"), Terminate("enough", "t"), Cancel("late", "l")]
    async with living([app], store) as world:
        world.deliver(ONE, starting("cleans_up"))
        await world.pass_time(0.05)
        for command in commands:
            assert await world.ask(ONE, command) == Accepted()
            await world.settle()
        await world.result(ONE)
        assert await world.ask(ONE, commands[-1]) == Accepted()
    async with living([app], store, now=world.clock.now(), outside=world.outside) as world:
        world.deliver(ONE, RetryRun())
        for command in commands:
            assert await world.ask(ONE, command) == Accepted()
        again = await world.result(ONE)
    assert (again.execution, again.status) == (2, "succeeded")


async def test_an_end_that_was_decided_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    store = RecordedStore()
    async with living([app], store) as world:
        world.deliver(ONE, starting("failing", "x"))
        before = await world.result(ONE)
    assert before.failure is not None
    assert before.failure.type == "TaskFailed"
    succeeds = TaskSucceeded(1, Raw(b'"better"'))
    monkeypatch.setattr(calls, "attempt_ended", always(Decision(append=[succeeds], activate=True)))
    async with living([app], store, outside=world.outside) as world:
        assert await world.describe(ONE) == before


@pytest.mark.parametrize("name", SCENARIOS)
async def test_state_is_made_of_records_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the journal, from any snapshot and what followed it, and as it was in memory: it is the same state."""
    machines: dict[bool, Any] = {True: RunMachine(), False: ActorMachine()}
    in_memory: dict[str, list[bytes]] = {}

    class Noting(RecordedStore):
        def commit(self, batch: Any, done: Any) -> None:
            for turn in batch:
                if turn.records is not None:
                    in_memory.setdefault(turn.key, []).append(turn.snapshot)
            super().commit(batch, done)

    monkeypatch.setattr("understudy_runtime.actors.writing.SNAPSHOT_TURNS", 1)
    life = await live(SCENARIOS[name], Noting(), Outside(), T0)
    monkeypatch.setattr(RunMachine, "decide", None)
    monkeypatch.setattr(ActorMachine, "decide", None)
    for key, snapshots in in_memory.items():
        machine = machines[kind_of(key) == RUN]
        turns = [(turn, records) for turn, records in decoded(life.store.written) if turn.key == key]
        for begin in range(len(turns)):
            state = machine.decode(snapshots[begin - 1]) if begin else machine.initial(key)
            for turn, records in turns[begin:]:
                for record in records:
                    machine.apply(state, record, turn.at, turn.seq)
                if begin == 0:
                    assert machine.encode(state) == snapshots[turn.seq - 1], (key, turn.seq)
            assert machine.encode(state) == snapshots[-1], (key, begin)


def test_a_failure_that_was_recorded_reads_as_it_was() -> None:
    """Records hold results, so nothing of the code that made them is needed to read them."""
    machine = RunMachine()
    state = machine.initial("default/run/one")
    machine.apply(state, ExecutionStarted("gone", Raw(b"{}")), 1.0, 1)
    machine.apply(state, Ended("terminated", Failure("Terminated", "long ago")), 2.0, 2)
    assert machine.decode(machine.encode(state)) == state
