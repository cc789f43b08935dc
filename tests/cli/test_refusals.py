"""Whatever the caller has to put right is one clear line on standard error, nothing on standard output, and code 2."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.cli.conftest import PATIENCE_S, Cli

REFUSED = {
    "no such file": (("run", "nowhere.py:total"), "nowhere.py: no such file"),
    "no such module": (("run", "nowhere.at.all:total"), "no such module"),
    "no such name": (("run", "shop.py:totall"), "'totall'"),
    "a number": (("run", "shop.py:not_a_workflow"), "not a workflow"),
    "a task": (("run", "shop.py:add"), "a task, not a workflow"),
    "no name": (("run", "shop.py"), "shop.py:NAME"),
    "no target": (("run", ":"), "path/to/file.py:name"),
    "code that raises": (("run", "raising.py:total"), "ZeroDivisionError"),
    "code that is not Python": (("run", "unparsable.py:total"), "SyntaxError"),
    "input that is not JSON": (("run", "shop.py:total", "--input", "{"), "not JSON"),
    "input that is missing": (("run", "shop.py:total"), "'numbers'"),
    "input of the wrong type": (("run", "shop.py:total", "--input", '{"numbers": ["x"]}'), "numbers"),
    "an unknown parameter": (("run", "shop.py:broken", "--input", '{"why": "", "x": 1}'), "'x'"),
    "an input file that is not there": (("run", "shop.py:total", "--input", "@none.json"), "@none.json"),
    "a strange store": (("run", "shop.py:total", "--input", "[[]]", "--store", "redis://x"), "redis://x"),
    "an empty id": (("run", "shop.py:total", "--input", "[[]]", "--id", ""), "is not an id"),
    "no store to list": (("runs", "list"), "there is no store"),
    "no store to show": (("runs", "show", "x"), "there is no store"),
    "no store to retry": (("runs", "retry", "x"), "there is no store"),
    "a store in memory": (("runs", "list", "--store", "memory://"), "in memory"),
    "no store, but a folder": (("run", "shop.py:total", "--input", "[[]]", "--store", "."), ". is a folder"),
    "a folder for a module": (("run", ".:total"), "no such module"),
    "no store, but a text file": (("runs", "list", "--store", "shop.py"), "not a SQLite database"),
}


@pytest.mark.parametrize(("arguments", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_one_line(cli: Cli, arguments: tuple[str, ...], told: str) -> None:
    (cli.at / "raising.py").write_text("1 / 0\n")
    (cli.at / "unparsable.py").write_text("def\n")
    ended = cli(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1, ended.err
    assert told in ended.err


@pytest.mark.parametrize(
    "arguments", [("run",), ("fly",), ("run", "shop.py:total", "--fast"), ("runs", "list", "--limit", "0")]
)
def test_bad_usage_is_explained(cli: Cli, arguments: tuple[str, ...]) -> None:
    ended = cli(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "Error: " in ended.err


@pytest.mark.parametrize("command", ["show", "history", "retry", "release", "cancel", "terminate"])
def test_an_unknown_run_is_one_line(cli: Cli, command: str) -> None:
    cli("run", "shop.py:total", "--input", "[[]]")
    ended = cli("runs", command, "nobody")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "understudy: there is no run 'nobody' in this store; `understudy runs list` shows those there are\n"
    )


def test_an_id_of_another_workflow_is_refused(cli: Cli) -> None:
    cli("run", "shop.py:total", "--input", "[[]]", "--id", "t")
    ended = cli("run", "shop.py:broken", "--input", '"x"', "--id", "t")
    assert (ended.code, ended.err) == (2, "understudy: run t is of workflow total, not broken\n")


def test_an_id_with_another_input_is_refused(cli: Cli) -> None:
    cli("run", "shop.py:total", "--input", "[[1]]", "--id", "t")
    ended = cli("run", "shop.py:total", "--input", "[[2]]", "--id", "t")
    assert ended.code == 2
    assert "run t has another input" in ended.err


def test_a_store_that_another_process_writes_is_refused_by_its_number_but_may_be_read(cli: Cli) -> None:
    writer = cli.start("run", "shop.py:halting", "--id", "h")
    cli.halted()
    refused = cli("run", "shop.py:total", "--input", "[[1]]")
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert f"process {writer.pid}" in refused.err
    assert cli("runs", "show", "h", "--json").json["status"] == "running"
    assert [run["id"] for run in cli("runs", "list", "--json").json] == ["h"]
    assert cli("runs", "history", "h", "--json").json[0]["records"][0]["t"] == "ExecutionStarted"
    cli.go_on("done")
    assert writer.wait(60) == 0


def test_only_a_run_that_has_ended_can_be_retried_and_only_a_held_one_released(cli: Cli) -> None:
    killed = cli.start("run", "shop.py:halting", "--id", "h")
    cli.halted()
    killed.kill()
    killed.wait()
    assert "run h is running" in cli("runs", "retry", "h").err
    assert "run h is running" in cli("runs", "release", "h").err


def test_code_that_nobody_remembers_must_be_named(cli: Cli) -> None:
    cli("run", "shop.py:broken", "--input", '"x"', "--id", "b")
    (cli.at / ".understudy" / "state.db.targets.json").unlink()
    ended = cli("runs", "retry", "b")
    assert ended.code == 2
    assert "--target" in ended.err
    assert cli("runs", "retry", "b", "--target", "shop.py:broken").code == 1


HALTING = """
from pathlib import Path

from understudy import App

app = App("{app}")

@app.task
def halt() -> str:
    Path("reached").write_text("reached")
    return Path("go").read_text()

@app.workflow
async def main() -> str:
    return "{app} " + await halt()
"""


def begin_and_kill(cli: Cli, *arguments: str) -> None:
    killed = cli.start("run", *arguments)
    cli.halted()
    killed.kill()
    killed.wait(PATIENCE_S)


@pytest.fixture
def two_files(cli: Cli) -> Cli:
    for name in ("a", "b"):
        (cli.at / f"{name}.py").write_text(HALTING.format(app=name))
    return cli


def test_a_run_does_not_go_on_with_the_code_of_another_file(two_files: Cli) -> None:
    cli = two_files
    begin_and_kill(cli, "a.py:main", "--id", "x")
    for options in ((), ("--id", "x"), ("--id", "y")):
        refused = cli("run", "b.py:main", *options)
        assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
        assert f"run x of workflow main was begun by {cli.at / 'a.py'}:main and has not ended" in refused.err
    resumed = cli.start("run", "a.py:main")
    cli.halted()
    cli.go_on("done")
    assert resumed.communicate(timeout=PATIENCE_S)[0] == '"a done"\n'


def test_open_runs_follow_code_that_has_moved(two_files: Cli) -> None:
    cli = two_files
    begin_and_kill(cli, "a.py:main", "--id", "x")
    begin_and_kill(cli, "b.py:main", "--id", "x", "--adopt")
    (cli.at / "b.py").rename(cli.at / "c.py")
    resumed = cli.start("run", "c.py:main")
    cli.halted()
    cli.go_on("done")
    assert resumed.communicate(timeout=PATIENCE_S)[0] == '"b done"\n'


def test_a_retry_asks_which_file_if_there_have_been_two(cli: Cli) -> None:
    for name in ("a", "b"):
        (cli.at / f"{name}.py").write_text((cli.at / "shop.py").read_text())
        cli("run", f"{name}.py:broken", "--input", '"x"', "--id", name)
    refused = cli("runs", "retry", "a")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "say which with --target" in refused.err
    assert cli("runs", "retry", "a", "--target", "a.py:broken").code == 1


@pytest.mark.parametrize("statement", ["SELECT 1", "PRAGMA journal_mode = WAL"])
def test_a_store_that_was_being_made_when_the_process_died_is_made_by_the_next(cli: Cli, statement: str) -> None:
    with closing(sqlite3.connect(cli.at / "half.db")) as connection:
        connection.execute(statement)
    (cli.at / "half.db").touch()
    assert cli("run", "shop.py:total", "--input", "[[1]]", "--store", "half.db").out == "1\n"


def test_a_status_that_no_run_can_have_is_refused(cli: Cli) -> None:
    cli("run", "shop.py:total", "--input", "[[]]")
    refused = cli("runs", "list", "--status", "done")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "'done' is no status of a run; there are: running, " in refused.err
