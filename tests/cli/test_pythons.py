"""Which Python a node runs on: an unknown one is told of once, and a build without the lock is refused by name."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import understudy
from tests.cli.conftest import Cli
from understudy import App, BadRequest
from understudy_runtime import pythons
from understudy_runtime.execution.program.asyncio_internals import READ_IN

app = App("pythons")

PRETENDED = """
import sys
from understudy_runtime import pythons
pythons.{name} = {value}
from understudy_runtime.cli import main
main()
"""


def test_the_newest_tested_python_is_the_newest_whose_asyncio_was_read() -> None:
    assert ".".join(map(str, pythons.NEWEST_TESTED)) == READ_IN[-1].rpartition(".")[0]
    assert sys.version_info[:2] <= pythons.NEWEST_TESTED


@pytest.mark.parametrize("version", [(3, 11), (3, 14), (3, 15)])
def test_of_a_tested_python_nothing_is_said(version: tuple[int, int]) -> None:
    assert pythons.remark(version) is None


@pytest.mark.parametrize("version", [(3, 16), (3, 20), (4, 0)])
def test_an_unknown_python_is_told_of_in_one_line(version: tuple[int, int]) -> None:
    said = pythons.remark(version)
    assert said
    assert f"Python {version[0]}.{version[1]} is newer than any" in said
    assert "\n" not in said


def test_a_python_with_its_lock_is_served_and_one_without_is_told_what_to_do() -> None:
    assert pythons.refusal(is_locked=True) is None
    assert "PYTHON_GIL=1" in (pythons.refusal(is_locked=False) or "")


def test_a_command_says_so_once_on_standard_error_and_goes_on(cli: Cli) -> None:
    ended = pretend(cli, "NEWEST_TESTED", (3, 10), "run", "shop.py:total", "--input", "[[1, 2]]")
    assert (ended.code, ended.out) == (0, "3\n")
    assert ended.err.count("is newer than any that this understudy was tested with") == 1


def test_a_command_on_a_build_without_the_lock_is_refused_in_one_line(cli: Cli) -> None:
    ended = pretend(cli, "_is_locked", "lambda: False", "run", "shop.py:total")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("understudy: this Python runs without the global interpreter lock")
    assert ended.err.count("\n") == 1


def pretend(cli: Cli, name: str, value: object, *arguments: str) -> Any:
    (cli.at / "command.py").write_text(PRETENDED.format(name=name, value=value))
    return cli.script("command.py", *arguments)


@pytest.mark.anyio
async def test_an_embedded_node_says_so_once_in_its_log_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pythons, "NEWEST_TESTED", (3, 10))
    pythons._has_said.clear()
    for _ in range(2):
        async with understudy.embedded(app, "memory://"):
            pass
    assert [record.name for record in caplog.records if "newer than any" in record.message] == ["understudy.node"]
    pythons._has_said.clear()


@pytest.mark.anyio
async def test_an_embedded_node_is_refused_on_a_build_without_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pythons, "_is_locked", lambda: False)
    with pytest.raises(BadRequest, match="PYTHON_GIL=1"):
        async with understudy.embedded(app, "memory://"):
            pass


POOLS = dedent("""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    from understudy import App

    app = App("pools")

    def square(number):
        return number * number

    def squares(method: str, count: int) -> list[int]:
        with ProcessPoolExecutor(2, multiprocessing.get_context(method or None)) as pool:
            return list(pool.map(square, range(count)))

    @app.task
    def in_a_thread(method: str, count: int) -> list[int]:
        return squares(method, count)

    @app.task(isolate="process")
    def isolated(method: str, count: int) -> list[int]:
        return squares(method, count)

    @app.workflow
    async def both(method: str) -> list[list[int]]:
        return [await in_a_thread(method, 3), await isolated(method, 4)]
""")


@pytest.mark.parametrize("method", ["spawn", "forkserver", pytest.param("", id="as usual")])
def test_tasks_may_have_processes_of_their_own_however_these_are_started(method: str, cli: Cli) -> None:
    (cli.at / "pools.py").write_text(POOLS)
    (cli.at / "understudy").write_text(COMMAND)
    ended = cli.script("understudy", "run", "pools.py:both", "--input", f'["{method}"]', "--json")
    assert ended.code == 0, ended.err
    assert ended.json["result"] == [[0, 1, 4], [0, 1, 4, 9]]


COMMAND = """
from understudy_runtime.cli import main
if __name__ == "__main__":
    main()
"""
"""What is installed as `understudy`."""


def test_a_module_of_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="understudy_file_nothing"):
        __import__("understudy_file_nothing_0123456789ab")
