"""Who may call what, whose actor a call is for, what is new work, and which error is which: as in the last release."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest
import structlog

from tests.goldens.lines import Line, read
from tests.goldens.tables import tables
from tests.goldens.test_formats import missing

ROWS: Final = read("tables")


@pytest.fixture(scope="module")
def now() -> dict[str, Any]:
    with structlog.testing.capture_logs():  # errors that no door raises are logged as faults of ours
        return dict(msgspec.json.decode(msgspec.json.encode(tables())))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_says_what_it_said(row: Line, now: dict[str, Any]) -> None:
    assert missing(row.whole, now[row.of].get(row.variant, "gone")) == []


def test_a_method_that_is_called_by_name_is_for_an_actor_or_for_any_node() -> None:
    calls = [row.whole for row in ROWS if row.of == "methods" and "call" in row.whole]
    assert len(calls) > 30
    assert all((call["key"] is None) == call["anywhere"] for call in calls)
