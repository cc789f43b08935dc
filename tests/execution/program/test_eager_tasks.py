"""A task that is started eagerly (Python 3.12 and later) takes its first step where it is made, and is a task of the
run like any other: in order, in a replay, at the end of the run and when the run is evicted."""

# ruff: noqa: RUF006, PERF401 - people write such code, and a run holds its tasks itself

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

import pytest

from tests.corpus import NAMES, Do, Shape, with_cleanup
from tests.execution.program.plays import did, diverging_replays, inputs_of, play, replay
from understudy.errors import Evicted, NotDurable
from understudy_runtime.execution.program import WorkflowLoop
from understudy_runtime.execution.program.tasks import EagerRunTask

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")

T = TypeVar("T")
SHAPES: dict[str, Shape] = {}
WHERE: ContextVar[str] = ContextVar("where", default="nowhere")


def shape(function: Shape) -> Shape:
    SHAPES[function.__name__] = function
    return function


def eagerly(coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """`asyncio.create_task(coro, eager_start=True)`, which 3.12 and 3.13 cannot pass on to the loop."""
    loop: Any = asyncio.get_running_loop()
    task: asyncio.Task[T] = loop.create_task(coro, eager_start=True)
    return task


@shape
async def wait_for_eager_tasks(do: Do) -> list[str]:
    seen: list[str] = []
    pending = {eagerly(with_cleanup(do, name, seen)) for name in NAMES}
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            seen.append(await do(f"then {task.result()}"))
    return seen


@shape
async def eager_tasks_in_eager_tasks(do: Do) -> list[str]:
    seen: list[str] = []

    async def family(name: str) -> str:
        child = eagerly(with_cleanup(do, f"{name} child", seen))
        return f"{await do(name)} {await child}"

    tasks = {eagerly(family(name)) for name in NAMES}
    await do("stop")
    for task in tasks:
        task.cancel()
    return [*seen, *map(str, await asyncio.gather(*tasks, return_exceptions=True))]


@shape
async def eager_tasks_left_to_the_end(do: Do) -> list[str]:
    seen: list[str] = []
    for name in NAMES:
        eagerly(with_cleanup(do, name, seen))
        asyncio.create_task(with_cleanup(do, f"lazy {name}", seen))
    return [await do("first"), *seen]


@shape
async def all_tasks_from_an_eager_step(do: Do) -> list[str]:
    async def look() -> list[str]:
        names = [task.get_name() for task in asyncio.all_tasks()]
        return [*names, await do("looked")]

    tasks = [eagerly(look()) for _ in NAMES]
    return [name for task in tasks for name in await task]


@shape
async def eager_tasks_of_a_group(do: Do) -> list[str]:
    seen: list[str] = []
    try:
        async with asyncio.TaskGroup() as group:
            begin: Any = group.create_task
            for name in NAMES:
                begin(with_cleanup(do, name, seen), **({"eager_start": True} if sys.version_info >= (3, 14) else {}))
            begin(do("x!"))
    except* Exception as errors:
        seen.append(f"{len(errors.exceptions)} failed")
    return seen


@pytest.mark.parametrize("name", SHAPES)
def test_a_replay_among_other_addresses_does_the_same(name: str) -> None:
    assert diverging_replays(SHAPES[name], 10) == 0


@pytest.mark.parametrize("name", SHAPES)
def test_a_run_cut_after_any_turn_goes_on_as_it_did(name: str) -> None:
    whole = play(SHAPES[name], seed=2)
    inputs = inputs_of(whole)
    for cut in range(len(inputs)):
        first = replay(SHAPES[name], inputs[:cut], random.Random(cut))
        first.loop.evict()
        assert did(first) == did(whole)[:cut]


@pytest.fixture
def loop() -> WorkflowLoop:
    return WorkflowLoop(run_salt=1, now=0.0)


def outcome(loop: WorkflowLoop, main: Coroutine[Any, Any, T]) -> T:
    task = loop.start(main)
    loop.turn(0.0)
    assert loop.ended, "it hangs"
    return task.result()


def test_the_first_step_is_taken_in_create_task_as_that_task(loop: WorkflowLoop) -> None:
    async def step(seen: list[object]) -> str:
        me = asyncio.current_task()
        seen += [me, me in asyncio.all_tasks(), WHERE.get()]
        WHERE.set("in the task")
        return "done"

    async def main() -> list[object]:
        seen: list[object] = []
        WHERE.set("in main")
        task = eagerly(step(seen))
        return [task.done(), task.result(), seen == [task, True, "in main"], WHERE.get(), task in asyncio.all_tasks()]

    assert outcome(loop, main()) == [True, "done", True, "in main", False]


def test_it_is_named_and_hashed_in_order_of_creation(loop: WorkflowLoop) -> None:
    async def main() -> list[asyncio.Task[None]]:
        return [asyncio.create_task(asyncio.sleep(0)), eagerly(asyncio.sleep(0)), asyncio.create_task(asyncio.sleep(0))]

    tasks = outcome(loop, main())
    assert [task.get_name() for task in tasks] == ["Task-2", "Task-3", "Task-4"]
    assert sorted(tasks, key=hash) == tasks


def test_an_eager_step_that_fails_is_a_failure_of_its_task(loop: WorkflowLoop) -> None:
    async def fail() -> None:
        raise ValueError("at once")

    async def main() -> str:
        return repr(eagerly(fail()).exception())

    assert outcome(loop, main()) == "ValueError('at once')"


def test_a_failure_that_nobody_looks_at_is_a_warning_of_the_run(loop: WorkflowLoop) -> None:
    async def fail() -> None:
        raise ValueError("at once")

    async def main() -> None:
        eagerly(fail())

    outcome(loop, main())
    assert ["at once" in warning for warning in loop.warnings] == [True]


def test_what_cannot_be_started_is_not_a_task_of_the_run(loop: WorkflowLoop) -> None:
    async def main() -> int:
        begin: Any = asyncio.get_running_loop().create_task
        with pytest.raises(TypeError, match="a coroutine was expected"):
            begin("no coroutine", eager_start=True)
        return len(loop.tasks)

    assert outcome(loop, main()) == 1


def test_an_eager_task_is_unwound_as_itself_when_its_run_is_evicted(loop: WorkflowLoop) -> None:
    seen: list[object] = []

    async def step() -> None:
        WHERE.set("in the task")
        try:
            await asyncio.sleep(1000)
        except Evicted:
            task = asyncio.current_task()
            seen.extend([task and task.get_name(), WHERE.get()])
            raise

    async def main() -> None:
        await eagerly(step())

    loop.start(main())
    loop.turn(0.0)
    loop.evict()
    assert seen == ["Task-2", "in the task"]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="asyncio passes eager_start on since 3.14")
def test_asyncio_create_task_passes_eager_start_on(loop: WorkflowLoop) -> None:
    async def main() -> bool:
        begin: Any = asyncio.create_task
        return bool(begin(asyncio.sleep(0, "x"), eager_start=True, name="eager").get_name() == "eager")

    assert outcome(loop, main())


@pytest.mark.parametrize("constructor", [None, asyncio.tasks.Task], ids=["asyncio's", "made by hand"])
def test_an_eager_factory_called_by_hand_is_refused_and_says_what_to_do_instead(
    loop: WorkflowLoop, constructor: Any
) -> None:
    names = vars(asyncio)
    factory: Any = (
        names["eager_task_factory"] if constructor is None else names["create_eager_task_factory"](constructor)
    )

    async def main() -> None:
        idle = asyncio.sleep(0)
        try:
            factory(asyncio.get_running_loop(), idle)
        finally:
            idle.close()

    with pytest.raises(NotDurable, match=r"asyncio\.eager_task_factory\(\).*create_task\(\.\.\., eager_start=True\)"):
        outcome(loop, main())


def test_an_eager_factory_of_tasks_as_workflow_code_names_them_makes_those_of_the_loop(loop: WorkflowLoop) -> None:
    factory: Any = vars(asyncio)["create_eager_task_factory"](asyncio.Task)

    async def main() -> tuple[Any, bool]:
        task: Any = factory(asyncio.get_running_loop(), asyncio.sleep(0))
        await task
        return task.__class__, bool(task.done())

    assert outcome(loop, main()) == (EagerRunTask, True)


def test_setting_a_task_factory_is_refused_and_says_what_to_do_instead(loop: WorkflowLoop) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(vars(asyncio)["eager_task_factory"])

    with pytest.raises(NotDurable, match=r"loop\.set_task_factory\(\).*create_task\(\.\.\., eager_start=True\)"):
        outcome(loop, main())
