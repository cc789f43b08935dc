"""A snapshot of the last release is taken on: nothing in it is lost, and the machine goes on as it would have.

What is not tried here: that the same story leads to the same snapshot; `tests/core/traces` hold that.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from tests.goldens.lines import Line, read
from tests.goldens.machines import machine_for, said
from tests.goldens.test_formats import missing

LINES: Final = read("snapshots")


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_a_snapshot_is_read_and_written_again_the_same(line: Line) -> None:
    machine = machine_for(line.of)
    assert machine.encode(machine.decode(bytes(line.text))) == bytes(line.text)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_a_machine_makes_the_same_of_it(line: Line) -> None:
    now = said(line.of, bytes(line.text), line.whole["at"])
    assert missing(line.whole, msgspec.json.decode(msgspec.json.encode(now))) == []
    assert set(now["recovered"]) == set(line.whole["recovered"])


@pytest.mark.parametrize("machine", ["run", "actor", "schedule", "resource"])
def test_what_machines_hold_is_filled_somewhere(machine: str) -> None:
    """Otherwise a field of the state could be lost and nobody would see it."""
    filled = next(line for line in read("states") if line.of == machine and line.variant == "filled")
    empty = [name for name, value in _of(filled.whole).items() if value in ("", [], {}, None)]
    assert empty == []


def _of(whole: Any) -> dict[str, Any]:
    return dict(whole)
