"""What people type is understood as it was, and what they are told is what they were told.

What is not tried here: terminals, progress and signals, which `tests/cli` has.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.goldens.commands import commands
from tests.goldens.lines import DATA, Line, read
from tests.goldens.session import as_text, blocks
from tests.goldens.test_formats import missing

TYPED: Final = read("commands")


@pytest.fixture(scope="module")
def now() -> dict[str, Any]:
    return dict(commands())


@pytest.mark.parametrize("line", TYPED, ids=lambda line: line.name)
def test_a_command_takes_what_it_took(line: Line, now: dict[str, Any]) -> None:
    assert missing(line.whole, msgspec.json.decode(msgspec.json.encode(now.get(line.variant, "gone")))) == []


def test_what_is_new_is_not_needed(now: dict[str, Any]) -> None:
    for line in TYPED:
        for name, parameter in now[line.variant]["parameters"].items():
            assert name in line.whole["parameters"] or not parameter["required"], f"{line.variant}: {name}"


@pytest.mark.slow
def test_a_session_reads_as_it_did(tmp_path: Path) -> None:
    """All of it in one test: with several processes of pytest, each would go through the session for its part."""
    golden = (DATA / "session.txt").read_text(encoding="utf-8").splitlines()
    now = as_text(blocks(tmp_path)).splitlines()
    assert "\n".join(difflib.unified_diff(golden, now, "as it was", "as it is now", lineterm="", n=8)) == ""
