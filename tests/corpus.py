"""Shapes of workflows: each is ordinary asyncio or anyio code in which something races.

A shape gets `do`, which stands for calling a task: `await do("a")` returns "a" when the world says so, and
`await do("a!")` raises some Exception. It returns what it saw, as a list of strings, so that two plays can be
compared exactly. Shapes are what the laws of replay are ranged over: add one whenever a race is found.
"""

# ruff: noqa: RUF006, ASYNC110, PERF401 - people write such code, and it must replay

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from contextvars import ContextVar
from typing import Any

import anyio

Do = Callable[[str], Coroutine[Any, Any, str]]
Shape = Callable[[Do], Coroutine[Any, Any, list[str]]]

SHAPES: dict[str, Shape] = {}
NAMES = ("a", "b", "c", "d", "e", "f", "g")


def shape(function: Shape) -> Shape:
    SHAPES[function.__name__] = function
    return function


async def safely(step: Awaitable[str]) -> str:
    try:
        return await step
    except Exception:
        return "failed"


async def with_cleanup(do: Do, name: str, seen: list[str]) -> str:
    try:
        return await do(name)
    except asyncio.CancelledError:
        seen.append(f"cancelled {name}")
        await do(f"undo {name}")
        raise
    finally:
        seen.append(f"left {name}")


@shape
async def chain(do: Do) -> list[str]:
    return [await do(name) for name in NAMES]


@shape
async def failure_caught(do: Do) -> list[str]:
    return [await safely(do("a!")), await do("b"), await safely(do("c!"))]


@shape
async def gather_all(do: Do) -> list[str]:
    return list(await asyncio.gather(*[do(name) for name in NAMES]))


@shape
async def gather_aborted(do: Do) -> list[str]:
    seen: list[str] = []
    siblings = [asyncio.ensure_future(with_cleanup(do, name, seen)) for name in NAMES]
    seen.append(await safely(_joined(asyncio.gather(do("x!"), *siblings))))
    for task in set(siblings):
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*siblings)
    return [*seen, await do("after")]


async def _joined(results: Awaitable[list[str]]) -> str:
    return ",".join(await results)


@shape
async def wait_first(do: Do) -> list[str]:
    seen: list[str] = []
    pending = {asyncio.create_task(do(name)) for name in NAMES}
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            seen.append(await do(f"then {task.result()}"))
    return seen


@shape
async def wait_then_cancel(do: Do) -> list[str]:
    seen: list[str] = []
    tasks = [asyncio.create_task(with_cleanup(do, name, seen)) for name in NAMES]
    _, pending = await asyncio.wait(tasks, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.wait(tasks)
    return seen


@shape
async def wait_for_gathers(do: Do) -> list[str]:
    pairs = {asyncio.gather(do(name), do(name.upper())) for name in NAMES}
    done, _ = await asyncio.wait(pairs)
    return [await do("+".join(pair.result())) for pair in done]


@shape
async def futures_in_a_set(do: Do) -> list[str]:
    loop = asyncio.get_running_loop()
    answers: dict[asyncio.Future[str], str] = {loop.create_future(): name for name in NAMES}

    async def answer(future: asyncio.Future[str], name: str) -> None:
        future.set_result(await do(name))

    async with asyncio.TaskGroup() as group:
        for future, name in answers.items():
            group.create_task(answer(future, name))
        done, _ = await asyncio.wait(set(answers))
    return [await do(f"then {answers[future]}") for future in done]


@shape
async def as_completed(do: Do) -> list[str]:
    return [await step for step in asyncio.as_completed([do(name) for name in NAMES])]


@shape
async def task_group(do: Do) -> list[str]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(do(name)) for name in NAMES]
    return [task.result() for task in tasks]


@shape
async def task_group_aborted(do: Do) -> list[str]:
    seen: list[str] = []
    try:
        async with asyncio.TaskGroup() as group:
            for name in NAMES:
                group.create_task(with_cleanup(do, name, seen))
            group.create_task(do("x!"))
    except* Exception as errors:
        seen.append(f"{len(errors.exceptions)} failed")
    return seen


@shape
async def all_tasks_cancelled(do: Do) -> list[str]:
    seen: list[str] = []
    for name in NAMES:
        asyncio.get_running_loop().create_future()
        asyncio.create_task(with_cleanup(do, name, seen))
    await do("first")
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return seen


@shape
async def timeouts(do: Do) -> list[str]:
    seen: list[str] = []
    for name, delay in (("a", 1.0), ("b", 3.0), ("c", 0.0)):
        try:
            async with asyncio.timeout(delay):
                seen.append(await do(name))
        except TimeoutError:
            seen.append(f"{name} late")
    try:
        seen.append(await asyncio.wait_for(do("d"), 2))
    except TimeoutError:
        seen.append("d late")
    return seen


@shape
async def sleeps(do: Do) -> list[str]:
    seen: list[str] = []

    async def nap(name: str, delay: float) -> None:
        await asyncio.sleep(delay)
        seen.append(await do(name))

    await asyncio.gather(nap("a", 2), nap("b", 1), nap("c", 2), nap("d", 0), nap("e", 1))
    return seen


@shape
async def queue(do: Do) -> list[str]:
    seen: list[str] = []
    work: asyncio.Queue[str] = asyncio.Queue(maxsize=2)

    async def worker(number: int) -> None:
        while True:
            item = await work.get()
            seen.append(f"{number}:{await do(item)}")
            work.task_done()

    workers = [asyncio.create_task(worker(number)) for number in range(3)]
    for name in NAMES:
        await work.put(name)
    await work.join()
    for each in workers:
        each.cancel()
    return seen


@shape
async def priority_queue(do: Do) -> list[str]:
    work: asyncio.PriorityQueue[tuple[int, str]] = asyncio.PriorityQueue()

    async def produce(name: str) -> None:
        work.put_nowait((len(await do(name)), name))

    async with asyncio.TaskGroup() as group:
        for name in ("aaa", "b", "cc"):
            group.create_task(produce(name))
        return [(await work.get())[1] for _ in range(3)]


@shape
async def event(do: Do) -> list[str]:
    seen: list[str] = []
    opened = asyncio.Event()

    async def waiter(name: str) -> None:
        await opened.wait()
        seen.append(await do(name))

    async with asyncio.TaskGroup() as group:
        for name in NAMES:
            group.create_task(waiter(name))
        await do("open")
        opened.set()
    return seen


@shape
async def lock(do: Do) -> list[str]:
    seen: list[str] = []
    one_at_a_time = asyncio.Lock()

    async def critical(name: str) -> None:
        async with one_at_a_time:
            seen.append(f"in {name}")
            await do(name)
            seen.append(f"out {name}")

    await asyncio.gather(*[critical(name) for name in NAMES])
    return seen


@shape
async def semaphore(do: Do) -> list[str]:
    seen: list[str] = []
    places = asyncio.BoundedSemaphore(2)

    async def guest(name: str) -> None:
        async with places:
            seen.append(await do(name))

    await asyncio.gather(*[guest(name) for name in NAMES])
    return seen


@shape
async def condition(do: Do) -> list[str]:
    seen: list[str] = []
    changed = asyncio.Condition()

    async def waiter(name: str) -> None:
        async with changed:
            await changed.wait()
            seen.append(name)
        seen.append(await do(name))

    async with asyncio.TaskGroup() as group:
        for name in NAMES:
            group.create_task(waiter(name))
        await do("change")
        async with changed:
            changed.notify(3)
        await do("change again")
        async with changed:
            changed.notify_all()
    return seen


@shape
async def barrier(do: Do) -> list[str]:
    seen: list[str] = []
    start = asyncio.Barrier(3)

    async def runner(name: str) -> None:
        await do(f"warm up {name}")
        position = await start.wait()
        seen.append(f"{name} {position}")

    await asyncio.gather(*[runner(name) for name in ("a", "b", "c")])
    return seen


@shape
async def shield(do: Do) -> list[str]:
    seen: list[str] = []
    inner = asyncio.create_task(with_cleanup(do, "kept", seen))
    try:
        async with asyncio.timeout(1):
            seen.append(await asyncio.shield(inner))
    except TimeoutError:
        seen.append("late")
        seen.append(await inner)
    return seen


@shape
async def polling(do: Do) -> list[str]:
    task = asyncio.create_task(do("a"))
    while not task.done():
        await asyncio.sleep(0)
    return [task.result()]


@shape
async def background_left_behind(do: Do) -> list[str]:
    seen: list[str] = []
    for name in NAMES:
        asyncio.create_task(with_cleanup(do, name, seen))
    seen.append(await do("main"))
    return seen


async def _numbers(do: Do, name: str, seen: list[str]) -> AsyncGenerator[str, None]:
    try:
        for number in range(4):
            yield await do(f"{name}{number}")
    finally:
        seen.append(f"closed {name}")
        await do(f"close {name}")


@shape
async def generators_left_open(do: Do) -> list[str]:
    seen: list[str] = []
    for name in NAMES[:3]:
        async for item in _numbers(do, name, seen):
            seen.append(item)
            if item.endswith("1"):
                break
    return seen


@shape
async def generators_closed(do: Do) -> list[str]:
    seen: list[str] = []

    async def consume(name: str) -> None:
        async with aclosing(_numbers(do, name, seen)) as numbers:
            async for item in numbers:
                seen.append(item)
                if item.endswith("2"):
                    return

    await asyncio.gather(*[consume(name) for name in NAMES[:3]])
    return seen


_WHERE: ContextVar[str] = ContextVar("where", default="nowhere")


@shape
async def context_variables(do: Do) -> list[str]:
    async def child(name: str) -> str:
        before = _WHERE.get()
        _WHERE.set(name)
        await do(name)
        return f"{before}>{_WHERE.get()}"

    _WHERE.set("main")
    return [*await asyncio.gather(*[child(name) for name in NAMES]), _WHERE.get()]


@shape
async def anyio_group(do: Do) -> list[str]:
    seen: list[str] = []

    async def child(name: str) -> None:
        seen.append(await do(name))

    async with anyio.create_task_group() as group:
        for name in NAMES:
            group.start_soon(child, name)
    return seen


@shape
async def anyio_group_aborted(do: Do) -> list[str]:
    seen: list[str] = []

    async def child(name: str) -> None:
        try:
            await do(name)
        except asyncio.CancelledError:
            seen.append(f"cancelled {name}")
            with anyio.CancelScope(shield=True):
                await do(f"undo {name}")
            raise

    try:
        async with anyio.create_task_group() as group:
            for name in (*NAMES, "x!"):
                group.start_soon(child, name)
    except* Exception as errors:
        seen.append(f"{len(errors.exceptions)} failed")
    return seen


@shape
async def anyio_nested_scopes(do: Do) -> list[str]:
    seen: list[str] = []

    async def child(name: str) -> None:
        with anyio.CancelScope():
            try:
                await do(name)
            finally:
                seen.append(f"left {name}")

    async with anyio.create_task_group() as group:
        for name in NAMES:
            group.start_soon(child, name)
        await do("stop")
        group.cancel_scope.cancel()
    return seen


@shape
async def anyio_timeouts(do: Do) -> list[str]:
    seen: list[str] = []
    with anyio.move_on_after(1) as scope:
        seen.append(await do("a"))
    seen.append(f"caught {scope.cancelled_caught}")
    try:
        with anyio.fail_after(2):
            seen.append(await do("b"))
    except TimeoutError:
        seen.append("b late")
    await anyio.sleep(1)
    return seen


@shape
async def anyio_events_and_streams(do: Do) -> list[str]:
    seen: list[str] = []
    opened = anyio.Event()
    sender, receiver = anyio.create_memory_object_stream[str](1)

    async def produce(name: str) -> None:
        await opened.wait()
        await sender.send(await do(name))

    with sender, receiver:
        async with anyio.create_task_group() as group:
            for name in NAMES:
                group.start_soon(produce, name)
            await do("open")
            opened.set()
            for _ in NAMES:
                seen.append(await receiver.receive())
    return seen


@shape
async def anyio_locks(do: Do) -> list[str]:
    seen: list[str] = []
    limiter = anyio.CapacityLimiter(2)
    one_at_a_time = anyio.Lock()

    async def guest(name: str) -> None:
        async with limiter:
            await do(name)
            async with one_at_a_time:
                seen.append(await do(f"locked {name}"))

    async with anyio.create_task_group() as group:
        for name in NAMES:
            group.start_soon(guest, name)
    return seen
