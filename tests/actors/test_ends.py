"""How executions end in other ways than by returning a value: by continuing as new, from wherever that is asked for; by
an exit; and in bounded time, whatever was left behind.
"""

# ruff: noqa: RUF006 - a run holds its tasks itself

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import pytest
from msgspec import Raw

from tests.actors.world import RecordedStore, World, cut_after, living, run, starting
from understudy import Actor, App, continue_as_new, handler, readonly, wait_until
from understudy_runtime.actors.cell import Query
from understudy_runtime.core.keys import actor_key
from understudy_runtime.core.messages import Cancel, Deliver, Settled
from understudy_runtime.core.records.programs import Warned
from understudy_runtime.execution.program import stepping
from understudy_runtime.execution.program.stepping import CLEAN_UP_S, CLEAN_UP_WITH_CALLS_S, Stepper
from understudy_runtime.storage.memory import MemoryStore

pytestmark = [
    pytest.mark.anyio,
    # What is cut off cannot begin tasks any more; the coroutines that it has made for them are never awaited.
    pytest.mark.filterwarnings(
        "ignore:coroutine .* was never awaited", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),
]

app = App("ends")
NOTHING = Raw(b'{"args":[],"kwargs":{}}')


@app.task
def quick() -> str:
    return "quick"


async def renew(count: int = 0) -> None:
    await quick()
    continue_as_new("", count)


# --- continue_as_new


@app.workflow
class Renewing:
    def __init__(self) -> None:
        self.over = False

    async def run(self, where: str, count: int = 0) -> int:
        if where:
            await getattr(self, where)()
        return count

    async def body(self) -> None:
        await renew(1)

    async def awaited_child(self) -> None:
        await asyncio.create_task(renew(1))

    async def child_that_nobody_awaits(self) -> None:
        asyncio.create_task(renew(1))
        await asyncio.sleep(1000)

    async def child_of_a_child_that_nobody_awaits(self) -> None:
        async def group_of_its_own() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(renew(1))

        asyncio.create_task(group_of_its_own())
        await wait_until(lambda: None)

    async def group(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(renew(1))
            group.create_task(asyncio.sleep(1000))

    async def groups(self) -> None:
        async with asyncio.TaskGroup(), asyncio.TaskGroup() as group:
            group.create_task(renew(1))
            group.create_task(renew(1))

    async def gathered(self) -> None:
        await asyncio.gather(renew(1), asyncio.sleep(1000))

    async def predicate(self) -> None:
        flag: list[int] = []
        asyncio.get_running_loop().call_later(1, flag.append, 1)
        await wait_until(lambda: continue_as_new("", 1) if flag else None)

    async def with_clean_up(self) -> None:
        child = asyncio.create_task(renew(1))
        try:
            await child
        finally:
            await quick()

    async def idle(self) -> None:
        await wait_until(lambda: self.over)

    @handler
    def plain(self) -> None:
        continue_as_new("", 1)

    @handler
    async def coroutine(self) -> None:
        await renew()

    @handler
    async def grouped(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(renew())

    @handler
    async def condition(self) -> None:
        await wait_until(lambda: continue_as_new("", 1))

    @readonly
    def question(self) -> None:
        continue_as_new("", 1)

    @handler
    def end(self) -> None:
        self.over = True


@app.workflow
class UnbornRenewing:
    def __init__(self) -> None:
        continue_as_new()

    async def run(self) -> None: ...


@app.workflow
async def renews_and_fails(count: int = 0) -> int:
    async def fails() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            raise ValueError("not to be overlooked")

    async with asyncio.TaskGroup() as group:
        group.create_task(fails())
        group.create_task(renew(1))
    return count


@app.actor
class Counter(Actor):
    @handler
    def renew(self) -> None:
        continue_as_new()


BODIES = ("body", "awaited_child", "child_that_nobody_awaits", "child_of_a_child_that_nobody_awaits", "group", "groups",
          "gathered", "predicate", "with_clean_up")  # fmt: skip


@pytest.mark.parametrize("where", BODIES)
async def test_it_does_what_it_says_in_whichever_task_of_the_workflow(where: str) -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("Renewing", where))
        described = await world.result(run("it"))
        assert (described.status, described.result, described.execution) == ("succeeded", Raw(b"1"), 2), described


@pytest.mark.parametrize("where", BODIES)
async def test_it_is_the_same_when_a_node_dies_at_any_moment(where: str) -> None:
    store = RecordedStore()
    async with living([app], store) as world:
        world.deliver(run("it"), starting("Renewing", where))
        await world.result(run("it"))
    for turns in range(1, len(store.written)):
        async with living([app], await cut_after(store.written, turns)) as world:
            described = await world.result(run("it"))
            assert (described.status, described.result, described.execution) == ("succeeded", Raw(b"1"), 2), turns


@pytest.mark.parametrize("where", ["plain", "coroutine", "grouped", "condition"])
async def test_in_a_handler_it_is_an_error_to_the_caller_and_the_run_goes_on(where: str) -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("Renewing", "idle"))
        await tells_where_it_is_for(await world.ask(run("it"), Deliver(where, NOTHING, ask=True)))
        world.deliver(run("it"), Deliver("end", NOTHING))
        described = await world.result(run("it"))
        assert (described.status, described.execution) == ("succeeded", 1)


async def tells_where_it_is_for(answer: Any) -> None:
    assert isinstance(answer, Settled)
    assert answer.failure is not None
    assert "continue_as_new()" in answer.failure.message + answer.failure.traceback


async def test_in_a_query_or_in_an_actor_it_is_an_error_to_the_caller() -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("Renewing", "idle"))
        await tells_where_it_is_for(await world.ask(run("it"), Query("question", NOTHING)))
        await tells_where_it_is_for(
            await world.ask(actor_key("default", "Counter", "a"), Deliver("renew", NOTHING, ask=True))
        )


async def test_where_the_class_is_made_it_fails_the_run_and_says_where_it_is_for() -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("UnbornRenewing"))
        described = await world.result(run("it"))
        assert described.failure is not None
        assert (described.failure.type, "for the workflow's own" in described.failure.message) == ("BadRequest", True)


async def test_a_group_that_failed_of_something_else_too_is_a_failure() -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("renews_and_fails"))
        described = await world.result(run("it"))
        assert described.failure is not None
        assert "not to be overlooked" in described.failure.traceback


async def test_a_run_that_is_cancelled_meanwhile_is_cancelled() -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("Renewing", "idle"))
        await world.settle()
        world.deliver(run("it"), Cancel(""))
        assert (await world.result(run("it"))).status == "cancelled"


# --- exits


@app.workflow
async def child_exits(how: str) -> str:
    async def leaves() -> None:
        await quick()
        sys.exit("usage") if how == "exit" else interrupt()

    asyncio.create_task(leaves())
    try:
        await asyncio.sleep(1000)
    finally:
        await quick()
    return "never"


def interrupt() -> None:
    raise KeyboardInterrupt("usage")


@app.workflow
async def exits_for_ever() -> str:
    async def leaves() -> None:
        asyncio.create_task(leaves())
        sys.exit("usage")

    asyncio.create_task(leaves())
    await asyncio.sleep(1000)
    return "never"


@pytest.mark.parametrize(("how", "kind"), [("exit", "SystemExit"), ("interrupt", "KeyboardInterrupt")])
async def test_an_exit_of_any_task_ends_the_run_and_its_clean_up_is_done(how: str, kind: str) -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("child_exits", how))
        described = await world.result(run("it"))
        assert described.failure is not None
        assert (described.status, described.failure.type, described.failure.message) == ("failed", kind, "usage")
        assert described.succeeded == 2


async def test_exits_without_end_are_cut_off() -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("exits_for_ever"))
        described = await world.result(run("it"))
        assert described.failure is not None
        assert described.failure.type == "SystemExit"
        assert "for ever" in (await warnings(world))[-1]


# --- clean-up


@app.workflow
async def leaves(what: str) -> str:
    if what == "generator":
        async for _ in never_closed():
            break
    else:
        asyncio.create_task(
            {"stays": stays, "busy": busy, "spawning": spawning, "slow": slow, "calling": calling}[what]()
        )
    await asyncio.sleep(0)
    return "result"


async def never_closed() -> AsyncGenerator[int, None]:
    try:
        yield 1
    finally:
        await asyncio.get_running_loop().create_future()


async def stays() -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1000)


async def busy() -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)


async def spawning() -> None:
    try:
        await asyncio.sleep(0)
    finally:
        asyncio.create_task(spawning())
        await asyncio.sleep(0)  # so that it has begun when its turn to be cancelled comes


async def slow() -> None:
    try:
        await asyncio.sleep(1000)
    finally:
        for _ in range(5):
            await asyncio.sleep(CLEAN_UP_S / 2)
            await quick()


async def calling() -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await quick()


@app.actor
class Untidy(Actor):
    @handler
    async def leave(self, what: str) -> str:
        return await leaves.fn(what)


async def warnings(world: World) -> list[str]:
    turns = await world.engine.history(run("it"))
    return [record.message for turn in turns for record in turn.records if isinstance(record, Warned)]


@pytest.mark.parametrize("what", ["generator", "stays", "busy", "spawning"])
async def test_clean_up_that_never_ends_is_cut_off(what: str) -> None:
    async with living([app], MemoryStore()) as world:
        began = world.clock.now()
        world.deliver(run("it"), starting("leaves", what))
        described = await world.result(run("it"))
        assert (described.status, described.result) == ("succeeded", Raw(b'"result"'))
        assert world.clock.now() - began <= CLEAN_UP_S + 1
        assert "was cut off" in (await warnings(world))[-1]


@pytest.mark.parametrize("what", ["generator", "stays", "busy", "spawning"])
async def test_that_of_an_actors_handler_is_cut_off_as_well(what: str) -> None:
    async with living([app], MemoryStore()) as world:
        began, args = world.clock.now(), Raw(f'{{"args":["{what}"],"kwargs":{{}}}}'.encode())
        answer = await world.ask(actor_key("default", "Untidy", "a"), Deliver("leave", args, ask=True))
        assert isinstance(answer, Settled)
        assert (answer.result, answer.failure) == (Raw(b'"result"'), None)
        assert world.clock.now() - began <= CLEAN_UP_S + 1


async def test_clean_up_that_makes_calls_has_its_time_again_after_each() -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("leaves", "slow"))
        described = await world.result(run("it"))
        assert (described.status, described.succeeded, described.warnings) == ("succeeded", 5, 0)


async def test_clean_up_that_calls_for_ever_is_cut_off_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepping, "CLEAN_UP_WITH_CALLS_S", 60.0)
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("leaves", "calling"))
        assert (await world.result(run("it"))).status == "succeeded"
        assert "was cut off" in (await warnings(world))[-1]
    assert CLEAN_UP_WITH_CALLS_S > 60.0


async def test_a_journal_written_before_there_was_a_bound_is_repeated_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = RecordedStore()
    monkeypatch.setattr(Stepper, "_bound", lambda *_: None)  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    async with living([app], store) as world:
        world.deliver(run("it"), starting("leaves", "slow"))
        await world.result(run("it"))
    monkeypatch.undo()
    for turns in range(1, len(store.written)):
        async with living([app], await cut_after(store.written, turns)) as world:
            described = await world.result(run("it"))
            assert (described.status, described.succeeded, described.held) == ("succeeded", 5, None), turns
