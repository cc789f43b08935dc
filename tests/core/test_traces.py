"""The machines decide as the traces say; and what they decided, recovery takes note of without deciding anything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.core.tracing import Bench, traced
from understudy_runtime.core.actor import ActorMachine
from understudy_runtime.core.run import RunMachine

TRACES = sorted((Path(__file__).parent / "traces").glob("*.txt"))
REWRITE = "UNDERSTUDY_REWRITE_TRACES" in os.environ


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_machines_decide_as_traced(path: Path) -> None:
    now, _ = traced(path.read_text())
    if REWRITE:
        path.write_text(now)
    assert path.read_text() == now


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_recovery_from_any_snapshot_gives_the_state_that_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, benches = traced(path.read_text())
    forbid_deciding(monkeypatch)
    for bench in benches:
        for seq, snapshot in enumerate([b"", *bench.snapshots]):
            assert recovered(bench, seq, snapshot) == (bench.snapshots or [b""])[-1]


def recovered(bench: Bench, seq: int, snapshot: bytes) -> bytes:
    machine = bench.cell.machine
    state = machine.decode(snapshot) if snapshot else machine.initial(bench.cell.key)
    for turn in bench.journal[seq:]:
        for record in turn.records:
            machine.apply(state, record, turn.at, turn.seq)
    return machine.encode(state) if bench.journal else b""


def forbid_deciding(monkeypatch: pytest.MonkeyPatch) -> None:
    def decide(*_: Any) -> Any:
        raise AssertionError("recovery decides nothing")

    for machine in (RunMachine, ActorMachine):
        monkeypatch.setattr(machine, "decide", decide)


def test_there_are_traces() -> None:
    assert len(TRACES) >= 10
