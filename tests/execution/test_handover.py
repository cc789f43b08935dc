"""The way into another loop: one wakeup for many items, in order, and never so many that the loop stands still."""

from __future__ import annotations

import asyncio

import pytest

from understudy_runtime.execution.handover import MOST_AT_ONCE, Handover

pytestmark = pytest.mark.anyio


async def test_what_is_put_together_is_taken_together_and_in_order() -> None:
    taken: list[list[int]] = []
    way = Handover(asyncio.get_running_loop(), taken.append)
    way.extend(range(MOST_AT_ONCE))
    assert way.waiting == MOST_AT_ONCE
    await asyncio.sleep(0)
    assert taken == [list(range(MOST_AT_ONCE))]
    assert way.lag_s() == 0


async def test_the_loop_gets_a_breath_between_so_many_items() -> None:
    taken: list[list[int]] = []
    breaths: list[int] = []
    loop = asyncio.get_running_loop()

    def take(items: list[int]) -> None:
        taken.append(items)
        loop.call_soon(lambda: breaths.append(len(taken)))

    way = Handover(loop, take)
    way.extend(range(3 * MOST_AT_ONCE + 1))
    for _ in range(10):
        await asyncio.sleep(0)
    assert [item for items in taken for item in items] == list(range(3 * MOST_AT_ONCE + 1))
    assert max(map(len, taken)) == MOST_AT_ONCE
    assert breaths == [2, 3, 4, 4]
