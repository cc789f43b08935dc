"""The order that waits for a person: every way it can end, its three days in virtual time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

import understudy
import understudy_runtime
from examples import approval as example
from examples.approval import Approval, Order, Outcome
from understudy import RunCancelled, RunHandle, testing

pytestmark = pytest.mark.anyio

ORDER = Order("o-1", "teapot", 2_500)


@pytest.fixture
async def client() -> AsyncGenerator[testing.TestClient, None]:
    async with testing.node(example.app) as client:
        yield client


async def tasks(run: RunHandle[Outcome]) -> list[str]:
    """The tasks that the run has called, in order."""
    history = await run.history()
    return [record["task"] for turn in history for record in turn.records if record["t"] == "TaskScheduled"]


async def test_an_approved_order_is_paid_and_keeps_its_stock(client: testing.TestClient) -> None:
    run = await client.start(Approval, ORDER, id="o-1")
    await client.advance("2d")
    assert await run.ask(Approval.current) == "waiting for approval"
    await run.tell(Approval.decide, "approved")
    assert await run.result() == Outcome("o-1", "paid", "charge-o-1")
    assert await tasks(run) == ["reserve_stock", "charge"]


async def test_a_refused_order_gives_its_stock_back(client: testing.TestClient) -> None:
    run = await client.start(Approval, ORDER, id="o-1")
    await run.tell(Approval.decide, "refused")
    assert await run.result() == Outcome("o-1", "refused")
    assert await tasks(run) == ["reserve_stock", "release_stock"]


async def test_after_three_days_of_silence_the_stock_is_given_back(client: testing.TestClient) -> None:
    began = client.now()
    run = await client.start(Approval, ORDER, id="o-1")
    assert await run.result() == Outcome("o-1", "timed out")
    assert 3 * 86_400 <= (client.now() - began).total_seconds() < 3 * 86_400 + 60
    assert await tasks(run) == ["reserve_stock", "release_stock"]


async def test_a_declined_card_gives_the_stock_back_and_is_not_tried_again(client: testing.TestClient) -> None:
    run = await client.start(Approval, Order("o-2", "palace", 100_001), id="o-2")
    await run.tell(Approval.decide, "approved")
    assert await run.result() == Outcome("o-2", "declined")
    assert await tasks(run) == ["reserve_stock", "charge", "release_stock"]


async def test_a_cancelled_order_gives_the_stock_back_before_it_ends(client: testing.TestClient) -> None:
    run = await client.start(Approval, ORDER, id="o-1")
    await client.advance("1d")
    await run.cancel("the customer has left")
    with pytest.raises(RunCancelled):
        await run.result()
    assert await tasks(run) == ["reserve_stock", "release_stock"]


async def test_its_history_replays(client: testing.TestClient) -> None:
    run = await client.start(Approval, ORDER, id="o-1")
    await run.tell(Approval.decide, "approved")
    await run.result()
    testing.replay(await run.history(), example.app)


def test_it_runs_as_a_program(tmp_path: Path) -> None:
    roots = [str(Path(package.__file__ or "").parents[1]) for package in (understudy, understudy_runtime)]
    ended = subprocess.run(
        [sys.executable, str(Path(example.__file__ or "").resolve())],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(roots)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.endswith("Outcome(order='4711', ended='paid', charge='charge-4711')\n")
