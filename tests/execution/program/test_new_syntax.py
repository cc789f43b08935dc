"""What newer Pythons added to the language and to asyncio may be used in workflow code, and replays exactly."""

from __future__ import annotations

import random
import sys
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.corpus import Shape
from tests.execution.program.plays import did, diverging_replays, inputs_of, play, replay
from understudy.errors import NotDurable
from understudy_runtime.execution.program import WorkflowLoop

BEGINNING = """
import asyncio
from tests.corpus import NAMES, with_cleanup

"""

SOURCES = {
    (3, 11, "groups of exceptions"): """
async def shape(do):
    seen = []
    async def child(name, error):
        try:
            await do(name)
        finally:
            raise error(name)
    try:
        async with asyncio.TaskGroup() as group:
            for name in NAMES:
                group.create_task(child(name, KeyError if name < "d" else IndexError))
    except* KeyError as errors:
        seen.append(await do(f"{len(errors.exceptions)} keys"))
    except* IndexError as errors:
        seen.append(await do(f"{len(errors.exceptions)} indices"))
    return seen
""",
    (3, 11, "timeouts in groups"): """
async def shape(do):
    seen = []
    try:
        async with asyncio.timeout(2) as limit, asyncio.TaskGroup() as group:
            for name in NAMES:
                group.create_task(with_cleanup(do, name, seen))
            limit.reschedule(limit.when() + 1)
    except TimeoutError:
        seen.append(f"late {limit.expired()}")
    return seen
""",
    (3, 12, "generic functions"): """
type Names = list[str]
async def shape(do):
    async def both[T](*steps: T) -> list[T]:
        return await asyncio.gather(*steps)
    names: Names = await both(do("a"), do("b"))
    return names
""",
    (3, 13, "as_completed as an iterator"): """
async def shape(do):
    seen = []
    tasks = {asyncio.create_task(do(name)): name for name in NAMES}
    async for task in asyncio.as_completed(tasks):
        seen.append(await do(f"then {tasks[task]}"))
    return seen
""",
    (3, 13, "a queue that is shut down"): """
async def shape(do):
    seen = []
    queue = asyncio.Queue(2)
    async def worker(number):
        try:
            while True:
                seen.append(f"{number}:{await do(await queue.get())}")
                queue.task_done()
        except asyncio.QueueShutDown:
            seen.append(await do(f"{number} over"))
    async def producer(names):
        try:
            for name in names:
                await queue.put(name)
        except asyncio.QueueShutDown:
            seen.append(await do("turned away"))
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(worker(number))
        group.create_task(producer(NAMES * 9))
        await do("stop")
        queue.shutdown(immediate=True)
    return seen
""",
    (3, 14, "template strings"): """
async def shape(do):
    name = await do("a")
    template = t"hello {name!r:>9} {await do('b')}"
    return [*template.strings, *(f"{each.expression} {each.value}" for each in template.interpolations)]
""",
    (3, 14, "exceptions without brackets"): """
async def shape(do):
    try:
        return [await do("a!")]
    except KeyError, ValueError:
        return [await do("b")]
""",
    (3, 15, "a group that is cancelled"): """
async def shape(do):
    seen = []
    async with asyncio.TaskGroup() as group:
        for name in NAMES:
            group.create_task(with_cleanup(do, name, seen))
        await do("stop")
        group.cancel()
    return [*seen, await do("after")]
""",
}


def shape_of(key: tuple[int, int, str]) -> Shape:
    names: dict[str, Any] = {}
    exec(BEGINNING + SOURCES[key], names)
    made: Shape = names["shape"]
    return made


def here(key: tuple[int, int, str]) -> Any:
    too_old = pytest.mark.skipif(sys.version_info < key[:2], reason="new in Python {}.{}".format(*key))
    return pytest.param(key, marks=too_old, id=key[2])


of_this_python = pytest.mark.parametrize("key", [here(key) for key in SOURCES])


@of_this_python
def test_a_replay_among_other_addresses_does_the_same(key: tuple[int, int, str]) -> None:
    assert diverging_replays(shape_of(key), 10) == 0


@of_this_python
def test_a_run_cut_after_any_turn_goes_on_as_it_did(key: tuple[int, int, str]) -> None:
    whole = play(shape_of(key), seed=2)
    inputs = inputs_of(whole)
    for cut in range(len(inputs)):
        first = replay(shape_of(key), inputs[:cut], random.Random(cut))
        first.loop.evict()
        assert did(first) == did(whole)[:cut]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in Python 3.12")
@of_this_python
def test_a_debugger_or_a_coverage_tool_changes_nothing(key: tuple[int, int, str]) -> None:
    whole = play(shape_of(key), seed=2)
    inputs = inputs_of(whole)
    monitoring: Any = vars(sys)["monitoring"]
    seen: list[object] = []

    def watch(*event: object) -> None:
        seen.append(event[0])

    events = monitoring.events
    watched = events.LINE | events.PY_START | events.PY_RETURN | events.PY_YIELD | events.CALL | events.RAISE
    monitoring.use_tool_id(monitoring.DEBUGGER_ID, "watcher")
    try:
        for event in (events.LINE, events.PY_START, events.PY_RETURN, events.PY_YIELD, events.CALL, events.RAISE):
            monitoring.register_callback(monitoring.DEBUGGER_ID, event, watch)
        monitoring.set_events(monitoring.DEBUGGER_ID, watched)
        assert did(replay(shape_of(key), inputs)) == did(whole)
        assert did(play(shape_of(key), seed=2)) == did(whole)
    finally:
        monitoring.set_events(monitoring.DEBUGGER_ID, 0)
        monitoring.free_tool_id(monitoring.DEBUGGER_ID)
    assert seen


@pytest.mark.skipif(sys.version_info < (3, 14), reason="interpreters are new in Python 3.14")
def test_a_pool_of_interpreters_is_refused_in_workflow_code() -> None:
    names: dict[str, Any] = {}
    exec(
        "import asyncio\n"
        "from concurrent.futures import InterpreterPoolExecutor\n"
        "async def main():\n"
        "    with InterpreterPoolExecutor(1) as pool:\n"
        "        await asyncio.get_running_loop().run_in_executor(pool, abs, 1)\n",
        names,
    )
    main: Coroutine[Any, Any, None] = names["main"]()
    loop = WorkflowLoop(run_salt=1, now=0.0)
    task = loop.start(main)
    loop.turn(0.0)
    with pytest.raises(NotDurable, match=r"loop\.run_in_executor\(\).*put this in a task"):
        task.result()
