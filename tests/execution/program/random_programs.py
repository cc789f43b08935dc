"""Programs made at random of asyncio's primitives: whatever they come to, they must come to it under every CPython.

Only `Random.random` is used, whose sequence is the same in all versions. A program is a tree of statements; each kind
of statement is a method of `_World` named after it, and a program may be made of some of the kinds only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.corpus import Do, Shape

PLAIN = ("do", "do", "fail", "sleep", "notify", "condition", "get", "put", "event", "set_event", "barrier", "cancel")
WITH_BODY = ("lock", "semaphore", "wait_for", "wait_for_nothing", "timeout", "shield", "spawn")
WITH_BODIES = ("group", "gather", "wait", "as_completed")

PATIENCE_S = 20.0

WITHOUT_GROUPS = tuple(kind for kind in (*PLAIN, *WITH_BODY, *WITH_BODIES) if kind != "group")
"""All but task groups, whose failing while their own task is cancelled differs before CPython 3.13."""
WITH_GROUPS = tuple(
    kind
    for kind in (*PLAIN, *WITH_BODY, *WITH_BODIES)
    if kind not in ("fail", "cancel", "timeout", "wait", "wait_for", "wait_for_nothing", "shield")
)
"""Groups, and nothing that cancels or fails."""


@dataclass
class Statement:
    kind: str
    number: int
    seconds: float
    bodies: list[list[Statement]] = field(default_factory=list[list["Statement"]])


class _Author:
    def __init__(self, seed: int, kinds: Sequence[str]) -> None:
        self._random = Random(seed)
        self._kinds = kinds

    def _below(self, bound: int) -> int:
        return int(self._random.random() * bound)

    def block(self, depth: int) -> list[Statement]:
        return [self._statement(depth) for _ in range(1 + self._below(3))]

    def _statement(self, depth: int) -> Statement:
        kind = self._kinds[self._below(len(self._kinds))]
        if depth == 0 and kind not in PLAIN:
            kind = "do"
        made = Statement(kind, self._below(100), round(self._random.random() * 2, 2))
        if kind in WITH_BODY:
            made.bodies = [self.block(depth - 1)]
        elif kind in WITH_BODIES:
            made.bodies = [self.block(depth - 1) for _ in range(2 + self._below(3))]
        return made


class _World:
    """What the statements of one program share."""

    def __init__(self, do: Do) -> None:
        self._do = do
        self._count = 0
        self.seen: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._lock = asyncio.Lock()
        self._semaphore = asyncio.Semaphore(2)
        self._condition = asyncio.Condition()
        self._queue: asyncio.Queue[str] = asyncio.Queue(2)
        self._event = asyncio.Event()
        self._barrier = asyncio.Barrier(2)

    def _name(self) -> str:
        self._count += 1
        return f"t{self._count}"

    async def block(self, statements: list[Statement]) -> None:
        for statement in statements:
            take: Callable[[Statement], Coroutine[Any, Any, None]] = getattr(self, statement.kind)
            await take(statement)

    def _spawned(self, statement: Statement) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.block(body)) for body in statement.bodies]
        self.tasks += tasks
        return tasks

    async def do(self, _: Statement) -> None:
        await self._do(self._name())

    async def fail(self, _: Statement) -> None:
        await self._do(f"{self._name()}!")

    async def sleep(self, statement: Statement) -> None:
        await asyncio.sleep(statement.seconds)

    async def lock(self, statement: Statement) -> None:
        async with self._lock:
            await self.block(statement.bodies[0])

    async def semaphore(self, statement: Statement) -> None:
        async with self._semaphore:
            await self.block(statement.bodies[0])

    async def condition(self, _: Statement) -> None:
        async with self._condition:
            with suppress(TimeoutError):
                async with asyncio.timeout(3):
                    await self._condition.wait()

    async def notify(self, statement: Statement) -> None:
        async with self._condition:
            self._condition.notify(1 + statement.number % 3)

    async def get(self, _: Statement) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(3):
                self.seen.append(await self._queue.get())

    async def put(self, _: Statement) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(3):
                await self._queue.put(self._name())

    async def event(self, _: Statement) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self._event.wait()

    async def set_event(self, statement: Statement) -> None:
        if statement.number % 2:
            self._event.set()
        else:
            self._event.clear()

    async def barrier(self, _: Statement) -> None:
        try:
            async with asyncio.timeout(2):
                await self._barrier.wait()
        except (TimeoutError, asyncio.BrokenBarrierError):
            self.seen.append("broken")
            await self._barrier.reset()

    async def cancel(self, statement: Statement) -> None:
        if self.tasks:
            self.tasks[statement.number % len(self.tasks)].cancel()

    async def wait_for(self, statement: Statement) -> None:
        await self._late(asyncio.wait_for(self.block(statement.bodies[0]), statement.seconds))

    async def wait_for_nothing(self, statement: Statement) -> None:
        await self._late(asyncio.wait_for(self.block(statement.bodies[0]), 0))

    async def timeout(self, statement: Statement) -> None:
        async def within() -> None:
            async with asyncio.timeout(statement.seconds):
                await self.block(statement.bodies[0])

        await self._late(within())

    async def shield(self, statement: Statement) -> None:
        async def within() -> None:
            async with asyncio.timeout(statement.seconds):
                await asyncio.shield(self._spawned(statement)[0])

        await self._late(within())

    async def _late(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except TimeoutError:
            self.seen.append("late")
            await self._do(self._name())

    async def spawn(self, statement: Statement) -> None:
        self._spawned(statement)

    async def group(self, statement: Statement) -> None:
        async with asyncio.TaskGroup() as group:
            for body in statement.bodies:
                group.create_task(self.block(body))

    async def gather(self, statement: Statement) -> None:
        with suppress(ValueError):
            await asyncio.gather(*map(self.block, statement.bodies), return_exceptions=bool(statement.number % 2))
        if self.tasks:
            ended = await asyncio.gather(*[task for task in self.tasks if task.done()], return_exceptions=True)
            self.seen.append(f"{len(ended)} ended")

    async def wait(self, statement: Statement) -> None:
        until = ("FIRST_COMPLETED", "ALL_COMPLETED", "FIRST_EXCEPTION")[statement.number % 3]
        done, pending = await asyncio.wait(self._spawned(statement), timeout=statement.seconds, return_when=until)
        self.seen.append(f"{len(done)} done")
        for task in pending:
            task.cancel()

    async def as_completed(self, statement: Statement) -> None:
        with suppress(TimeoutError, ValueError):
            for step in asyncio.as_completed(map(self.block, statement.bodies), timeout=statement.seconds + 1):
                await step
                await self._do(self._name())


def random_program(seed: int, kinds: Sequence[str]) -> Shape:
    author = _Author(seed, kinds)
    blocks = [author.block(3) for _ in range(4)]

    async def program(do: Do) -> list[str]:
        world = _World(do)
        world.tasks += [asyncio.create_task(world.block(block)) for block in blocks]
        await asyncio.wait(world.tasks, timeout=PATIENCE_S)  # some wait for a lock that they hold
        for task in world.tasks:
            task.cancel()
        ends = await asyncio.gather(*world.tasks, return_exceptions=True)
        return [*world.seen, *(type(end).__name__ for end in ends)]

    return program
