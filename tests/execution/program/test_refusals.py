"""Whatever is not durable says so, by name, and says what to do."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.to_thread
import pytest

from understudy.errors import NotDurable
from understudy_runtime.execution.program import WorkflowLoop
from understudy_runtime.execution.program.refusals import Refusals

ANSWERED = {"get_debug", "set_debug", "get_task_factory", "get_exception_handler"}
OFFERED = ANSWERED | {name for name, value in vars(WorkflowLoop).items() if inspect.isfunction(value)}
REFUSED = [name for name in vars(Refusals) if not name.startswith("_") and name not in ANSWERED]


@pytest.fixture
def loop() -> WorkflowLoop:
    return WorkflowLoop(run_salt=1, now=0.0)


def outcome(loop: WorkflowLoop, main: Callable[[], Coroutine[Any, Any, object]]) -> BaseException | None:
    task = loop.start(main())
    loop.turn(0.0)
    assert loop.ended, "it hangs"
    return task.exception()


@pytest.mark.parametrize("name", REFUSED)
def test_a_method_that_is_not_durable_is_refused_by_name(name: str, loop: WorkflowLoop) -> None:
    with pytest.raises(NotDurable, match=rf"loop\.{name}\(\).* instead"):
        getattr(loop, name)()


def test_no_method_of_event_loops_is_forgotten() -> None:
    methods = {name for name, value in vars(asyncio.AbstractEventLoop).items() if inspect.isfunction(value)}
    assert {name for name in methods if not name.startswith("_")} <= {*REFUSED, *OFFERED}


async def _to_thread() -> None:
    await asyncio.to_thread(print)


async def _anyio_to_thread() -> None:
    await anyio.to_thread.run_sync(print)


async def _open_file() -> None:
    await anyio.open_file("x")


async def _open_connection() -> None:
    await asyncio.open_connection("localhost", 1)


async def _resolve() -> None:
    await anyio.getaddrinfo("localhost", 1)


async def _subprocess() -> None:
    await asyncio.create_subprocess_exec("true")


async def _anyio_process() -> None:
    await anyio.run_process(["true"])


@pytest.mark.parametrize(
    "main",
    [_to_thread, _anyio_to_thread, _open_file, _open_connection, _resolve, _subprocess, _anyio_process],
)
def test_what_would_leave_the_run_is_refused_where_it_is_awaited(
    main: Callable[[], Coroutine[Any, Any, None]], loop: WorkflowLoop
) -> None:
    threads = threading.active_count()
    assert isinstance(outcome(loop, main), NotDurable)
    assert threading.active_count() == threads


def test_a_refusal_does_not_invite_a_fallback() -> None:
    assert not issubclass(NotDurable, NotImplementedError)


@pytest.mark.parametrize("call", ["call_soon", "call_soon_threadsafe"])
def test_calls_from_outside_a_turn_are_refused(call: str, loop: WorkflowLoop) -> None:
    with pytest.raises(NotDurable, match=call):
        getattr(loop, call)(print)
    with pytest.raises(NotDurable, match="call_at"):
        loop.call_later(1, print)
    idle = asyncio.sleep(0)
    with pytest.raises(NotDurable, match="create_task"):
        loop.create_task(idle)
    idle.close()


@pytest.mark.parametrize("call", ["call_soon", "call_soon_threadsafe"])
def test_calls_from_another_thread_are_refused_even_during_a_turn(call: str, loop: WorkflowLoop) -> None:
    refusals: list[BaseException] = []

    def intrude() -> None:
        try:
            getattr(loop, call)(print)
        except NotDurable as refusal:
            refusals.append(refusal)

    def during_the_turn() -> None:
        intruder = threading.Thread(target=intrude)
        intruder.start()
        intruder.join()

    loop.turn(0.0, during_the_turn)
    assert len(refusals) == 1


def test_call_soon_threadsafe_is_call_soon_inside_the_turn(loop: WorkflowLoop) -> None:
    seen: list[str] = []
    loop.turn(0.0, lambda: loop.call_soon_threadsafe(seen.append, "called"))
    assert seen == ["called"]


def test_awaiting_a_future_of_another_loop_is_an_error(loop: WorkflowLoop) -> None:
    other = asyncio.new_event_loop()
    foreign = other.create_future()

    async def main() -> None:
        await foreign

    assert "different loop" in str(outcome(loop, main))
    other.close()
