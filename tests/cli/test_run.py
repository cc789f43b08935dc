"""`understudy run`: results, exit codes, and going on where an earlier command was stopped."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.cli.conftest import PATIENCE_S, Cli

OTHER = """
from understudy import App

app = App("other")

@app.workflow
async def two() -> int:
    return 2
"""

INPUT = ("--input", '{"numbers": [1, 2, 3]}')


def test_the_result_and_nothing_else_is_on_standard_output(cli: Cli) -> None:
    ended = cli("run", "shop.py:total", *INPUT)
    assert (ended.code, ended.out) == (0, "6\n")
    assert "adding 3 3" in ended.err, "what tasks print goes to standard error"


def test_json_is_one_object_with_id_status_and_result(cli: Cli) -> None:
    ended = cli("run", "shop.py:total", *INPUT, "--id", "t-1", "--json")
    assert ended.json == {"id": "t-1", "status": "succeeded", "result": 6}


def test_progress_is_told_in_plain_lines_where_standard_error_is_no_terminal(cli: Cli) -> None:
    ended = cli("run", "shop.py:total", *INPUT)
    assert re.search(r"^total: 3 done, 0 running, 0 failed, \d+\.\d s$", ended.err, re.MULTILINE)
    assert "\x1b" not in ended.err


def test_progress_is_one_live_line_at_a_terminal(cli: Cli) -> None:
    terminal, theirs = os.openpty()
    try:
        process = cli.start("run", "shop.py:total", *INPUT, stderr=theirs)
        os.close(theirs)
        shown = b"".join(_all_of(terminal)).decode()
    finally:
        os.close(terminal)
    assert process.wait(PATIENCE_S) == 0
    assert "\x1b[" in shown
    assert "3 done, 0 running, 0 failed" in shown


def _all_of(terminal: int) -> Iterator[bytes]:
    """What comes out of a terminal until nobody has it open, which Linux reports as an error."""
    with suppress(OSError):
        while data := os.read(terminal, 10_000):
            yield data


def test_a_module_is_a_target_too(cli: Cli) -> None:
    assert cli("run", "shop:total", *INPUT).out == "6\n"


@pytest.mark.parametrize("form", ['{"numbers": [1, 2]}', "[[1, 2]]", "@input.json", "@-"])
def test_input_is_json_or_a_file_or_standard_input(cli: Cli, form: str) -> None:
    (cli.at / "input.json").write_text('{"numbers": [1, 2]}')
    assert cli("run", "shop.py:total", "--input", form, stdin='{"numbers": [1, 2]}').out == "3\n"


def test_a_failed_run_exits_with_1_and_says_where(cli: Cli) -> None:
    ended = cli("run", "shop.py:broken", "--input", '"no tea"', "--id", "b")
    assert (ended.code, ended.out) == (1, "")
    assert "raise ValueError(why)" in ended.err
    assert ended.err.endswith("run b failed: ValueError: no tea\n")


def test_a_failed_run_as_json(cli: Cli) -> None:
    ended = cli("run", "shop.py:broken", "--input", '"no tea"', "--id", "b", "--json")
    assert ended.code == 1
    assert {"id", "status", "error"} == ended.json.keys()
    assert ended.json["error"]["type"] == "ValueError"
    assert ended.json["error"]["message"] == "no tea"


def test_a_finished_run_is_shown_again_and_not_done_again(cli: Cli) -> None:
    first = cli("run", "shop.py:total", *INPUT, "--id", "t")
    again = cli("run", "shop.py:total", *INPUT, "--id", "t")
    without_input = cli("run", "shop.py:total", "--id", "t")
    assert first.out == again.out == without_input.out == "6\n"
    assert cli.effects == ["add"] * 3


def test_a_failed_run_shown_again_exits_with_1_again(cli: Cli) -> None:
    cli("run", "shop.py:broken", "--input", '"no tea"', "--id", "b")
    assert cli("run", "shop.py:broken", "--id", "b").code == 1


def test_without_an_id_a_finished_run_is_followed_by_a_new_one(cli: Cli) -> None:
    first, second = (cli("run", "shop.py:total", *INPUT, "--json").json["id"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize("options", [(), ("--id", "h")], ids=["same command", "same id"])
def test_a_run_killed_half_way_goes_on_and_redoes_nothing_that_had_finished(cli: Cli, options: tuple[str, ...]) -> None:
    killed = cli.start("run", "shop.py:halting", *options)
    cli.halted()
    killed.kill()
    killed.wait(PATIENCE_S)
    resumed = cli.start("run", "shop.py:halting", *options)
    cli.halted()
    cli.go_on("done")
    out, _ = resumed.communicate(timeout=PATIENCE_S)
    assert (resumed.returncode, out) == (0, '"2 done"\n')
    assert cli.effects == ["add"]
    assert len(cli("runs", "list", "--json").json) == 1


def test_without_an_id_a_run_of_another_input_is_not_resumed(cli: Cli) -> None:
    killed = cli.start("run", "shop.py:halting", "--input", "[7]", "--id", "seven")
    cli.halted()
    killed.kill()
    killed.wait(PATIENCE_S)
    other = cli.start("run", "shop.py:halting", "--input", "[8]")
    assert other.stderr is not None
    assert "started run " in next(line for line in other.stderr if " run " in line)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_the_run_resumable_and_says_how(cli: Cli, number: signal.Signals) -> None:
    stopped = cli.start("run", "shop.py:halting", "--id", "it's", "--store", "my runs.db")
    cli.halted()
    stopped.send_signal(number)
    out, err = stopped.communicate(timeout=PATIENCE_S)
    assert (stopped.returncode, out) == (130, "")
    command = shlex.split(err.rstrip().splitlines()[-1])
    assert command == ["understudy", "run", "shop.py:halting", "--id", "it's", "--store", "my runs.db"]
    resumed = cli.start(*command[1:])
    cli.halted()
    cli.go_on("done")
    assert resumed.communicate(timeout=PATIENCE_S)[0] == '"2 done"\n'
    assert cli.effects == ["add"]


def test_a_second_ctrl_c_leaves_at_once(cli: Cli) -> None:
    stopped = cli.start("run", "shop.py:halting", "--id", "h")
    cli.halted()
    assert stopped.stderr is not None
    stopped.send_signal(signal.SIGINT)
    assert any("goes on with" in line for line in stopped.stderr)  # now the node waits for the task that hangs
    stopped.send_signal(signal.SIGINT)
    assert stopped.wait(PATIENCE_S) == 130
    assert cli("runs", "show", "h", "--json").json["status"] == "running"


def test_ctrl_c_with_json_still_prints_one_object(cli: Cli) -> None:
    stopped = cli.start("run", "shop.py:halting", "--id", "h", "--json")
    cli.halted()
    stopped.send_signal(signal.SIGINT)
    out, _ = stopped.communicate(timeout=PATIENCE_S)
    assert stopped.returncode == 130
    assert (json.loads(out)["id"], json.loads(out)["status"]) == ("h", "running")


def test_a_run_whose_code_no_longer_fits_is_held_exits_with_3_and_goes_on_when_the_code_fits(cli: Cli) -> None:
    fitting = (cli.at / "shop.py").read_text()
    killed = cli.start("run", "shop.py:changing", "--id", "c")
    cli.halted()
    killed.kill()
    killed.wait(PATIENCE_S)
    (cli.at / "shop.py").write_text(fitting.replace("first = await add(1, 1)", "first = await total([1, 1])"))
    changed = cli.start("run", "shop.py:changing", "--id", "c", "--json")
    cli.halted()
    cli.go_on("done")
    out, err = changed.communicate(timeout=PATIENCE_S)
    held = json.loads(out)
    assert (changed.returncode, held["status"], held["error"]["why"]) == (3, "held", "diverged")
    assert "- call 1: task add" in err
    assert cli("run", "shop.py:changing", "--id", "c").code == 3, "it is still held"
    (cli.at / "shop.py").write_text(fitting)
    assert cli("run", "shop.py:changing", "--id", "c").out == "2\n"


def test_open_runs_of_code_that_is_not_here_are_left_alone(cli: Cli) -> None:
    killed = cli.start("run", "shop.py:halting", "--id", "h")
    cli.halted()
    killed.kill()
    killed.wait(PATIENCE_S)
    (cli.at / "other.py").write_text(OTHER)
    assert cli("run", "other.py:two").out == "2\n"
    resumed = cli.start("run", "shop.py:halting")
    cli.halted()
    cli.go_on("done")
    assert resumed.communicate(timeout=PATIENCE_S)[0] == '"2 done"\n'


def test_the_default_store_is_in_the_working_directory(cli: Cli) -> None:
    cli("run", "shop.py:total", *INPUT)
    assert (cli.at / ".understudy" / "state.db").is_file()


@pytest.mark.parametrize("url", ["sqlite:///runs/s.db", "runs/s.db"])
def test_another_store_is_a_url_or_a_path(cli: Cli, url: str) -> None:
    cli("run", "shop.py:total", *INPUT, "--store", url)
    assert (cli.at / "runs" / "s.db").is_file()


def test_a_store_in_memory_leaves_nothing_behind(cli: Cli) -> None:
    before = {*cli.at.iterdir(), cli.at / "effects", cli.at / "__pycache__"}
    assert cli("run", "shop.py:total", *INPUT, "--store", "memory://").out == "6\n"
    assert {*cli.at.iterdir()} <= before


def test_user_code_that_leaves_threads_behind_does_not_keep_the_command(cli: Cli) -> None:
    with (cli.at / "shop.py").open("a") as shop:
        shop.write("import threading\nthreading.Thread(target=threading.Event().wait).start()\n")
    assert cli("run", "shop.py:total", *INPUT).code == 0
