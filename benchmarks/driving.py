"""Keeping a node busy: so many calls, so many of them in flight, each timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise

import msgspec

from benchmarks.app import hello
from understudy import Client, HistoryTurn, RunHandle

WARM_UP_RUNS = 200
PAGE_TURNS = 1_000


class Pace(msgspec.Struct, frozen=True):
    seconds: float
    latencies_ms: list[float]


async def in_flight(count: int, limit: int, call: Callable[[int], Awaitable[object]]) -> Pace:
    """Await `call(0)` to `call(count - 1)`, at most `limit` of them at a time."""
    numbers = iter(range(count))
    latencies_ms: list[float] = []

    async def keep_calling() -> None:
        for number in numbers:
            called = time.perf_counter()
            await call(number)
            latencies_ms.append((time.perf_counter() - called) * 1000)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(min(count, limit)):
            group.create_task(keep_calling())
    return Pace(time.perf_counter() - began, latencies_ms)


async def warm_up(client: Client) -> None:
    await in_flight(WARM_UP_RUNS, 50, lambda x: client.run(hello, x))


async def turns_of(run: RunHandle[object]) -> list[HistoryTurn]:
    turns: list[HistoryTurn] = []
    while page := await run.history(after=turns[-1].seq if turns else 0, limit=PAGE_TURNS):
        turns += page
    return turns


def between_turns_ms(turns: Sequence[HistoryTurn]) -> list[float]:
    """From each turn to the next: in a chain, what one step took."""
    return [(after.at - before.at) * 1000 for before, after in pairwise(turns)]


def since_first_turn_ms(turns: Sequence[HistoryTurn]) -> list[float]:
    """From the first turn to each other: in a fan-out, how long each task was in coming back."""
    return [(turn.at - turns[0].at) * 1000 for turn in turns[1:]]
