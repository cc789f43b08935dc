"""The clock of real nodes follows the machine's clock forward, never back."""

from __future__ import annotations

import time

import pytest

from understudy_runtime.node.clocks import SystemClock

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
