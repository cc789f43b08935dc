"""Locks, events and queues of the module or of another run are refused at their first use, in words; others work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.corpus import Do
from tests.execution.program.plays import Input, Play
from understudy import NotDurable
from understudy_runtime.execution.program import WorkflowLoop


async def entered(made: Any) -> None:
    async with made:
        pass


USES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], str]] = {
    "lock": (asyncio.Lock, entered, "understudy.lock"),
    "semaphore": (asyncio.Semaphore, entered, "understudy.semaphore"),
    "bounded semaphore": (asyncio.BoundedSemaphore, entered, "understudy.semaphore"),
    "event": (asyncio.Event, lambda made: made.wait(), "wait_until"),
    "event that is set": (asyncio.Event, lambda made: made.set(), "wait_until"),
    "condition": (asyncio.Condition, entered, "understudy.lock"),
    "barrier": (lambda: asyncio.Barrier(1), lambda made: made.wait(), "wait_until"),
    "queue": (asyncio.Queue, lambda made: made.put(1), "wait_until"),
    "queue, at once": (asyncio.PriorityQueue, lambda made: made.put_nowait(1), "wait_until"),
    "anyio lock": (anyio.Lock, entered, "understudy.lock"),
    "anyio semaphore": (lambda: anyio.Semaphore(1), entered, "understudy.semaphore"),
    "anyio limiter": (lambda: anyio.CapacityLimiter(1), entered, "understudy.semaphore"),
    "anyio event": (anyio.Event, lambda made: made.wait(), "wait_until"),
}


async def use(made: Any, how: Callable[[Any], Any]) -> str:
    try:
        used = how(made)
        if asyncio.iscoroutine(used):
            await asyncio.wait_for(used, 0.1)
    except NotDurable as refused:
        return str(refused)
    except TimeoutError:
        pass
    return "used"


def in_a_run(main: Any) -> Any:
    loop = WorkflowLoop(1, 0.0)
    task = loop.start(main)
    for now in range(3):
        loop.turn(float(now))
    assert loop.ended, "it hangs"
    return task.result()


@pytest.mark.parametrize("name", USES)
def test_one_of_another_run_is_refused_by_name(name: str) -> None:
    make, how, instead = USES[name]
    others: list[Any] = []

    async def makes() -> str:
        others.append(make())
        return await use(others[0], how)

    async def borrows() -> str:
        return await use(others[0], how)

    assert in_a_run(makes()) == "used"
    said = in_a_run(borrows())
    assert instead in said
    assert "another run made" in said


@pytest.mark.parametrize("name", [name for name in USES if "anyio" not in name])
def test_one_of_the_module_is_refused_by_name(name: str) -> None:
    make, how, instead = USES[name]
    made = make()
    assert instead in in_a_run(use(made, how))


def test_an_anyio_lock_of_the_module_is_the_first_runs_that_uses_it() -> None:
    made = anyio.Lock()
    assert in_a_run(use(made, entered)) == "used"
    assert "another run made" in in_a_run(use(made, entered))


@pytest.mark.anyio
@pytest.mark.parametrize("name", USES)
async def test_outside_of_runs_they_are_what_they_always_are(name: str) -> None:
    make, how, _ = USES[name]
    assert await use(make(), how) == "used"


def test_they_are_shared_by_the_tasks_of_their_run() -> None:
    async def shape(do: Do) -> list[str]:
        lock, order = asyncio.Lock(), list[str]()

        async def one(name: str) -> None:
            async with lock:
                order.append(await do(name))

        await asyncio.gather(one("a"), one("b"))
        return order

    under_way = Play(shape)
    under_way.turn(Input(0.0))
    under_way.turn(Input(1.0, (0,)))
    under_way.turn(Input(2.0, (1,)))
    assert under_way.main.result() == ["a", "b"]
