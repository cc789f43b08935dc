"""Futures and tasks that workflow code makes by hand are the loop's own, or refused where they are made."""

from __future__ import annotations

import asyncio
from asyncio import Future as FutureByName
from asyncio import Task as TaskByName
from typing import Any

import pytest

from tests.corpus import Do
from tests.execution.program.plays import Input, Play
from understudy import NotDurable
from understudy_runtime.execution.program import RunFuture, RunTask, WorkflowLoop

FutureOfAsyncio: Any = asyncio.futures.Future
TaskOfAsyncio: Any = asyncio.tasks.Task


def future_by_hand(**options: Any) -> Any:
    made: Any = vars(asyncio)["Future"](**options)
    return made


async def nothing() -> str:
    return "done"


def ended(main: Any) -> Any:
    loop = WorkflowLoop(1, 0.0)
    task: RunTask[Any] = loop.start(main)
    loop.turn(0.0)
    assert loop.ended, loop.warnings
    return task.result()


def test_they_are_what_the_loop_makes() -> None:
    async def main() -> tuple[type, type, str, str]:
        future: asyncio.Future[str] = asyncio.Future()
        future.set_result("set")
        task = asyncio.Task(nothing(), name="named")
        return type(future), type(task), task.get_name(), await future + await task

    assert ended(main()) == (RunFuture, RunTask, "named", "setdone")


def test_a_set_of_them_iterates_in_the_order_in_which_they_were_made() -> None:
    async def main() -> list[int]:
        made: dict[asyncio.Future[int], int] = {asyncio.Future(): number for number in range(50)}
        for future in made:
            future.set_result(0)
        done, _ = await asyncio.wait(list(made))
        return [made[future] for future in done]

    assert ended(main()) == ended(main())


@pytest.mark.parametrize(
    "make", [FutureOfAsyncio, lambda: TaskOfAsyncio(nothing()), type("Own", (FutureOfAsyncio,), {})]
)
@pytest.mark.filterwarnings("ignore:coroutine 'nothing' was never awaited")
def test_those_of_asyncio_itself_are_refused_where_they_are_made(make: Any) -> None:
    async def main() -> str:
        with pytest.raises(NotDurable, match=r"by hand.*create_future"):
            make()
        return "refused"

    assert ended(main()) == "refused"


def test_classes_of_users_that_are_futures_are_refused_too() -> None:
    class Own(asyncio.Future[int]):
        """As some write it."""

    async def main() -> str:
        with pytest.raises(NotDurable):
            Own()
        return "refused"

    assert ended(main()) == "refused"


def test_one_class_stands_for_both() -> None:
    async def main() -> list[bool]:
        future = future_by_hand()
        task: Any = asyncio.create_task(nothing())
        await task
        return [
            isinstance(future, asyncio.Future), isinstance(task, asyncio.Task), isinstance(task, asyncio.Future),
            isinstance(future, FutureOfAsyncio), isinstance(3, asyncio.Future), asyncio.isfuture(future),
        ]  # fmt: skip

    assert ended(main()) == [True, True, True, True, False, True]
    assert issubclass(RunTask, asyncio.Task)
    assert issubclass(asyncio.Task, asyncio.Future)


@pytest.mark.anyio
async def test_outside_of_a_run_they_are_asyncios() -> None:
    future = future_by_hand()
    with_loop = future_by_hand(loop=asyncio.get_running_loop())
    assert type(future) is type(with_loop) is FutureOfAsyncio
    task = asyncio.Task(nothing())
    assert type(task) is TaskOfAsyncio
    assert await task == "done"

    class Own(asyncio.Future[int]):
        """Of a library's."""

    assert isinstance(Own(), asyncio.Future)
    assert not isinstance(future, Own)


def test_gathering_and_timeouts_are_made_as_ever() -> None:
    async def shape(do: Do) -> list[str]:
        async with asyncio.timeout(5):
            return list(await asyncio.gather(do("a"), asyncio.shield(do("b"))))

    under_way = Play(shape)
    under_way.turn(Input(0.0))
    under_way.turn(Input(1.0, (0, 1)))
    assert under_way.main.result() == ["a", "b"]


def test_names_imported_from_asyncio_before_may_be_asyncios_own() -> None:
    assert issubclass(FutureByName, FutureOfAsyncio)
    assert issubclass(TaskByName, TaskOfAsyncio)
