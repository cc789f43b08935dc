"""What people type is understood as it was, and what they are told is what they were told.

What is not tried here: terminals, progress and signals, which `tests/cli` has.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from tests.goldens.commands import commands
from tests.goldens.lines import DATA, Line, read
from tests.goldens.session import Block, blocks, read_text
from tests.goldens.test_formats import missing

TYPED: Final = read("commands")
SESSION: Final = read_text((DATA / "session.txt").read_text(encoding="utf-8"))


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


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Block]:
    return dict(enumerate(blocks(tmp_path_factory.mktemp("session"))))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(SESSION)), ids=[block.command for block in SESSION])
def test_a_command_says_what_it_said(number: int, session: dict[int, Block]) -> None:
    golden, now = SESSION[number], session[number]
    assert now.command == golden.command
    assert now.text == golden.text
