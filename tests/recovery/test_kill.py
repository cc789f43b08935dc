"""`kill -9` at any instant, any number of times: nothing acknowledged is lost, and no finished task is run again.

A real process works on a real file; what it did is counted from outside. What is deliberately not tested here: loss of
power (the store's own tests cut its log), and a disk that lies about fsync.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.recovery import victim
from tests.recovery.killing import PATIENCE_S, begun, kill_and_finish
from understudy_runtime.actors.journal import decode
from understudy_runtime.core.calls import Caller, idempotency_key
from understudy_runtime.core.keys import run_key
from understudy_runtime.core.records import Turn
from understudy_runtime.core.records.calls import AttemptDispatched, TaskScheduled, TaskSucceeded
from understudy_runtime.core.records.runs import ExecutionStarted
from understudy_runtime.storage.reading import open_reader


class Effect(NamedTuple):
    """One line of the file: an attempt that was really made."""

    key: str
    attempt: int
    dispatch: int
    name: str
    at: float


def test_killed_at_a_few_points(tmp_path: Path) -> None:
    kill_and_check(tmp_path, kills=5, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_many_points(tmp_path: Path, seed: int) -> None:
    kill_and_check(tmp_path, kills=25, seed=seed)


def kill_and_check(folder: Path, kills: int, seed: int) -> None:
    kill_and_finish(victim, folder, kills=kills, seed=seed, within_s=0.4)
    check_results(folder)
    check_effects(folder)


def check_results(folder: Path) -> None:
    """Each run that was acknowledged has its result; each message told is there, and there once."""
    # A life killed after it had written its results is followed by another that writes them again.
    seen: dict[str, Any] = json.loads((folder / "results").read_text().splitlines()[-1])
    assert seen["results"] == [victim.expected(number) for number in range(victim.RUNS)]
    assert sorted(map(int, seen["runs"])) == list(range(victim.RUNS))
    acknowledged = [json.loads(line) for line in (folder / "acknowledged").read_text().splitlines()]
    told: Counter[str] = Counter(seen["told"])
    assert {name for kind, name in acknowledged if kind == "told"} <= told.keys()
    assert set(told.values()) == {1}


def check_effects(folder: Path) -> None:
    effects = [Effect(*json.loads(line)) for line in (folder / "effects").read_text().splitlines()]
    names: dict[str, str] = {}
    for effect in effects:
        assert names.setdefault(effect.key, effect.name) == effect.name, "a key stands for one call"
    made = Counter(effect.key for effect in effects)
    tasks = recorded(folder)
    assert made.keys() == tasks.keys()
    for key, task in tasks.items():
        assert made[key] <= task.dispatches, "an attempt is made only when its dispatch is durable"
    for effect in effects:
        assert effect.at <= tasks[effect.key].finished_at, "a finished task is not run again"
    repeats = len(effects) - sum(task.attempts for task in tasks.values())
    assert 0 <= repeats < len(tasks) // 2


class Recorded(NamedTuple):
    """What the journal says of one call of a task."""

    dispatches: int
    attempts: int
    finished_at: float


def recorded(folder: Path) -> dict[str, Recorded]:
    found: dict[str, Recorded] = {}
    with open_reader(folder / "state.db") as reader:
        for number in range(victim.RUNS):
            for run_id in (f"run {number}", child_of(reader, f"run {number}")):
                key = run_key("default", run_id)
                found |= of_run(key, [decode(row, {}) for row in reader.turns(key)])
    return found


def child_of(reader: Any, run_id: str) -> str:
    rows = reader.rows(namespace="default", definition="child", limit=10 * victim.RUNS)
    [key] = [row.key for row in rows if row.key.startswith(f"{run_key('default', run_id)}.")]
    return str(key).split("/", 2)[2]


def of_run(key: str, turns: list[Turn]) -> dict[str, Recorded]:
    dispatches: Counter[int] = Counter()
    attempts: dict[int, int] = {}
    finished: dict[int, float] = {}
    for turn in turns:
        for record in turn.records:
            match record:
                case ExecutionStarted(execution=execution):
                    assert execution == 1
                case TaskScheduled(call=call):
                    dispatches[call] += 1
                case AttemptDispatched(call=call):
                    dispatches[call] += 1
                case TaskSucceeded(call=call, attempt=attempt):
                    attempts[call], finished[call] = attempt, turn.at
                case _:
                    pass
    assert dispatches.keys() == finished.keys(), "every task is finished"
    caller = Caller(key, 1)
    return {
        idempotency_key(caller, call): Recorded(dispatches[call], attempts[call], finished[call]) for call in dispatches
    }


def test_a_start_that_was_acknowledged_is_durable_before_anything_else_happens(tmp_path: Path) -> None:
    """Killed as soon as the first acknowledgement is written, the run is there."""
    with begun(victim, tmp_path) as process:
        deadline = time.monotonic() + PATIENCE_S
        while not (tmp_path / "acknowledged").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
        process.kill()
    with open_reader(tmp_path / "state.db") as reader:
        assert reader.turns(run_key("default", "run 0"))
