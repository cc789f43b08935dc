"""The garbage of one run is not collected inside a turn of another: its finalizers would act as that one."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Generator

import pytest

from understudy_runtime.execution.program import WorkflowLoop


@pytest.fixture(autouse=True)
def eager_collector() -> Generator[None]:
    """It would collect many times within each of these turns, and not before them."""
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(500, 2, 2)
    yield
    gc.set_threshold(*before)


class Circle:
    """Garbage that only the collector finds."""

    def __init__(self, finalized: list[asyncio.AbstractEventLoop | None]) -> None:
        self.me = self
        self.finalized = finalized

    def __del__(self) -> None:
        self.finalized.append(asyncio._get_running_loop())


def make_much() -> None:
    for number in range(1000):
        circle = [number]
        circle.append(circle)  # type: ignore[arg-type]


def test_no_garbage_is_collected_within_a_turn() -> None:
    finalized: list[asyncio.AbstractEventLoop | None] = []

    async def other() -> list[asyncio.AbstractEventLoop | None]:
        make_much()
        await asyncio.sleep(0)
        make_much()
        return finalized.copy()

    loop = WorkflowLoop(1, 0.0)
    main = loop.start(other())
    Circle(finalized)
    loop.turn(0.0)
    assert main.result() == []
    make_much()
    assert finalized == [None], "this test cannot fail: nothing is ever collected"


def test_a_turn_leaves_the_collector_as_it_was() -> None:
    for enabled in (True, False):
        (gc.enable if enabled else gc.disable)()
        loop = WorkflowLoop(1, 0.0)
        loop.turn(0.0)
        assert gc.isenabled() is enabled
    gc.enable()
