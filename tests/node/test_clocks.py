"""The clock of a node follows the machine's clock forward, never back; of nodes that share a store, that store's."""

from __future__ import annotations

import time

import anyio
import pytest

from understudy_runtime.node.clocks import SharedClock, SystemClock

pytestmark = pytest.mark.anyio


async def test_a_clock_set_back_makes_nothing_wait_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = {"wall": 1_000_000.0, "monotonic": 50.0}
    monkeypatch.setattr(time, "time", lambda: machine["wall"])
    monkeypatch.setattr(time, "monotonic", lambda: machine["monotonic"])
    clock = SystemClock()
    assert clock.now() == 1_000_000.0
    machine |= {"wall": 1_000_000.0 - 3_600, "monotonic": 52.0}
    assert clock.now() == 1_000_002.0
    machine |= {"wall": 1_000_500.0, "monotonic": 53.0}
    assert clock.now() == 1_000_500.0


async def test_nodes_that_share_a_store_have_its_time_whatever_their_machines_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = {"wall": 1_000_000.0, "monotonic": 50.0}
    monkeypatch.setattr(time, "time", lambda: machine["wall"])
    monkeypatch.setattr(time, "monotonic", lambda: machine["monotonic"])
    told: list[float | None] = [None]
    clock = SharedClock(SystemClock(), lambda: told[0])
    assert clock.now() == 1_000_000.0
    told[0] = 2_000_000.0 - 50.0
    assert clock.now() == 2_000_000.0
    machine |= {"wall": 1_003_600.0, "monotonic": 51.0}
    assert clock.now() == 2_000_001.0, "the machine's clock was set"
    told[0] = 2_000_000.0 - 55.0
    assert clock.now() == 2_000_001.0, "a better estimate does not set it back"
    machine["monotonic"] = 57.0
    assert clock.now() == 2_000_002.0


async def test_what_is_due_comes_in_the_time_of_the_store() -> None:
    """An hour ahead of the machine's, and still as far away as it says."""
    clock = SharedClock(SystemClock(), lambda: time.time() - time.monotonic() + 3_600)
    due = anyio.Event()
    began = time.monotonic()
    clock.call_at(clock.now() + 0.05, due.set)
    with anyio.fail_after(10):
        await due.wait()
    assert 0.04 <= time.monotonic() - began < 9
