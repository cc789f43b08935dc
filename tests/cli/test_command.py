"""The command itself: help, version, and how soon it is there."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

from tests.cli.conftest import Cli


@pytest.mark.parametrize("command", [(), ("run",), ("runs",), ("runs", "retry")])
def test_help_is_there_for_every_command(cli: Cli, command: tuple[str, ...]) -> None:
    ended = cli(*command, "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: {' '.join(('understudy', *command))} ")


def test_version(cli: Cli) -> None:
    try:
        installed = version("understudy")
    except PackageNotFoundError:
        pytest.skip("understudy is not installed here")
    assert cli("--version").out == f"understudy {installed}\n"


def test_help_loads_neither_the_runtime_nor_rich(cli: Cli) -> None:
    code = (
        "import sys, understudy_runtime.cli.commands; "
        "print([m for m in sys.modules if m.partition('.')[0] in ('rich', 'understudy', 'msgspec', 'asyncio')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
