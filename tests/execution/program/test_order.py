"""Every shape of the corpus replays exactly, in any process; and each safeguard of order is needed for it."""

# ruff: noqa: RUF006 - a run holds its tasks itself

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import anyio._backends._asyncio
import pytest

from tests.corpus import SHAPES, Do
from tests.execution.program.plays import Input, Play, did, diverging_replays, inputs_of, play, replay
from understudy_runtime.execution.program import RunFuture, RunTask, WorkflowLoop
from understudy_runtime.execution.program.ordering import OrderKeepingSet

REPLAYS = 10
ABLATION_REPLAYS = 60

ALL_TRACES = """
from tests.corpus import SHAPES
from tests.execution.program.plays import did, play
for name, shape in SHAPES.items():
    print(name, did(play(shape, seed=3)))
"""


@pytest.mark.parametrize("name", SHAPES)
def test_a_replay_among_other_addresses_does_the_same(name: str) -> None:
    assert diverging_replays(SHAPES[name], REPLAYS) == 0


@pytest.mark.parametrize("name", SHAPES)
def test_a_run_cut_after_any_turn_goes_on_as_it_did(name: str) -> None:
    whole = play(SHAPES[name], seed=2)
    inputs = inputs_of(whole)
    for cut in range(len(inputs)):
        first = replay(SHAPES[name], inputs[:cut], random.Random(cut))
        first.loop.evict()
        assert did(first) == did(whole)[:cut]
    assert did(replay(SHAPES[name], inputs, random.Random(0))) == did(whole)


def test_another_process_with_another_hash_seed_does_the_same() -> None:
    assert _traces_with_hash_seed("1") == _traces_with_hash_seed("2")


def _traces_with_hash_seed(seed: str) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", ALL_TRACES], env=environment, check=True, capture_output=True).stdout


Ablate = Callable[[pytest.MonkeyPatch], None]


def _without_task_hashes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RunTask, "__hash__", object.__hash__)


def _without_future_hashes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RunFuture, "__hash__", object.__hash__)


def _without_order_in_asyncio(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(asyncio.tasks.__dict__, "set", set)


def _without_gathering_hashes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("asyncio.tasks._GatheringFuture.__hash__", object.__hash__)


def _without_order_of_scopes(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(anyio._backends._asyncio.__dict__, "set", set)


@pytest.mark.parametrize(
    ("ablate", "name"),
    [
        (_without_task_hashes, "wait_first"),
        (_without_task_hashes, "task_group_aborted"),
        (_without_future_hashes, "futures_in_a_set"),
        (_without_order_in_asyncio, "as_completed"),
        (_without_gathering_hashes, "wait_for_gathers"),
        (_without_order_of_scopes, "anyio_nested_scopes"),
    ],
)
def test_without_its_safeguard_a_race_comes_out_differently(
    ablate: Ablate, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ablate(monkeypatch)
    assert diverging_replays(SHAPES[name], ABLATION_REPLAYS) > 0


def test_all_tasks_are_those_of_the_run_in_one_order_whatever_other_runs_do() -> None:
    orders: set[tuple[str, ...]] = set()
    others: list[Play] = []

    async def watched(do: Do) -> list[str]:
        for name in ("a", "b", "c", "d", "e"):
            asyncio.create_task(do(name), name=name)
            for _ in range(7):  # so that their hashes share their lowest bits, and collide in a set
                asyncio.get_running_loop().create_future()
        await do("first")
        return [task.get_name() for task in asyncio.all_tasks()]

    for number in range(20):
        others.append(Play(SHAPES["gather_all"], salt=number))
        others[-1].turn(Input(0.0))
        run = Play(watched)
        run.turn(Input(0.0))
        run.turn(Input(0.0, (0,)))
        orders.add(tuple(run.main.result()))
        assert set(run.main.result()) == {"main", "a", "b", "c", "d", "e"}
    assert len(orders) == 1


def test_runs_do_not_share_hashes() -> None:
    hashes: list[int] = []
    for salt in range(100):
        loop = WorkflowLoop(salt, 0.0)
        hashes += [hash(loop.create_future()) for _ in range(100)]
    assert len(set(hashes)) == len(hashes)


def test_names_of_tasks_do_not_depend_on_the_process() -> None:
    async def main() -> str:
        return asyncio.create_task(asyncio.sleep(0)).get_name()

    names: set[str] = set()
    for _ in range(2):
        loop = WorkflowLoop(1, 0.0)
        task = loop.start(main())
        loop.turn(0.0)
        names.add(task.result())
    assert len(names) == 1


def test_outside_a_turn_asyncio_is_as_it_was() -> None:
    async def outside() -> None:
        async def number(n: int) -> int:
            return n

        steps = [asyncio.ensure_future(number(n)) for n in range(3)]
        done, pending = await asyncio.wait(steps)
        assert (type(done), pending) == (set, set())
        assert sorted([await step for step in asyncio.as_completed([number(1), number(2)])]) == [1, 2]
        assert asyncio.all_tasks() == {asyncio.current_task()}
        gathering: Any = asyncio.gather(number(1))
        assert hash(gathering) == object.__hash__(gathering)
        await gathering

    asyncio.run(outside())


def test_an_order_keeping_set_is_a_set() -> None:
    items = OrderKeepingSet("cab")
    items.add("a")
    items.discard("c")
    items.discard("z")
    items.add("c")
    assert (list(items), len(items), "a" in items, "z" in items) == (["a", "b", "c"], 3, True, False)
