"""`understudy runs`: looking at runs, and helping those that ended badly."""

from __future__ import annotations

import signal

from tests.cli.conftest import PATIENCE_S, Cli
from understudy import testing
from understudy.target import load_app


def test_list_shows_the_newest_first_and_can_be_narrowed(cli: Cli) -> None:
    cli("run", "shop.py:total", "--input", "[[1]]", "--id", "t")
    cli("run", "shop.py:broken", "--input", '"x"', "--id", "b")
    assert [run["id"] for run in cli("runs", "list", "--json").json] == ["b", "t"]
    assert [run["id"] for run in cli("runs", "list", "--status", "failed", "--json").json] == ["b"]
    assert [run["id"] for run in cli("runs", "list", "--workflow", "total", "--json").json] == ["t"]
    assert [run["id"] for run in cli("runs", "list", "--limit", "1", "--json").json] == ["b"]
    assert [line.split()[:3] for line in cli("runs", "list").out.splitlines()] == [
        ["ID", "WORKFLOW", "STATUS"],
        ["b", "broken", "failed"],
        ["t", "total", "succeeded"],
    ]


def test_show_tells_how_a_run_stands(cli: Cli) -> None:
    cli("run", "shop.py:total", "--input", "[[1, 2]]", "--id", "t")
    shown = cli("runs", "show", "t", "--json").json
    assert (shown["workflow"], shown["status"], shown["execution"], shown["result"]) == ("total", "succeeded", 1, 3)
    assert shown["tasks"]["succeeded"] == 2
    assert "status      succeeded" in cli("runs", "show", "t").out


def test_show_tells_why_a_run_failed(cli: Cli) -> None:
    cli("run", "shop.py:broken", "--input", '"no tea"', "--id", "b")
    assert cli("runs", "show", "b", "--json").json["error"]["message"] == "no tea"
    assert cli("runs", "show", "b").out.endswith("run b failed: ValueError: no tea\n")


def test_history_tells_every_turn(cli: Cli) -> None:
    cli("run", "shop.py:total", "--input", "[[1, 2]]", "--id", "t")
    turns = cli("runs", "history", "t", "--json").json
    assert [turn["seq"] for turn in turns] == [1, 2, 3]
    assert [record["t"] for turn in turns for record in turn["records"]] == [
        "ExecutionStarted",
        "TaskScheduled",
        "TaskSucceeded",
        "TaskScheduled",
        "TaskSucceeded",
        "Completed",
    ]
    told = cli("runs", "history", "t").out.splitlines()
    assert "task scheduled call=1 task=add" in told[2]
    assert "completed result=3" in told[-1]


def test_a_history_written_as_json_can_be_replayed_by_tests(cli: Cli) -> None:
    cli("run", "shop.py:total", "--input", "[[1, 2]]", "--id", "t")
    (cli.at / "history.json").write_text(cli("runs", "history", "t", "--json").out)
    testing.replay(cli.at / "history.json", load_app(str(cli.at / "shop.py")))


def test_values_too_large_for_a_row_are_read_as_well(cli: Cli) -> None:
    text = "x" * 100_000
    cli("run", "shop.py:broken", "--input", f'["{text}"]', "--id", "b")
    assert cli("runs", "show", "b", "--json").json["input"]["args"] == [text]


def test_retry_reuses_what_had_finished(cli: Cli) -> None:
    cli("run", "shop.py:broken", "--input", '"x"', "--id", "b")
    retried = cli("runs", "retry", "b", "--json")
    assert (retried.code, retried.json["id"], retried.json["status"]) == (1, "b", "failed")
    assert cli("runs", "show", "b", "--json").json["execution"] == 2
    assert cli.effects == ["add"]


def test_retry_with_mended_code_succeeds(cli: Cli) -> None:
    cli("run", "shop.py:broken", "--input", '"x"', "--id", "b")
    shop = (cli.at / "shop.py").read_text()
    (cli.at / "shop.py").write_text(shop.replace("    raise ValueError(why)\n", ""))
    assert cli("runs", "retry", "b").code == 0
    assert cli.effects == ["add"]


def test_retry_redoes_what_it_is_told_to(cli: Cli) -> None:
    cli("run", "shop.py:broken", "--input", '"x"', "--id", "b")
    cli("runs", "retry", "b", "--redo", "add")
    assert cli.effects == ["add", "add"]


def test_retry_takes_another_input_and_keeps_what_it_is_told_to(cli: Cli) -> None:
    cli("run", "shop.py:total", "--input", "[[1, 2]]", "--id", "t")
    assert cli("runs", "retry", "t", "--input", "[[5, 2]]").out == "7\n"
    assert cli("runs", "retry", "t", "--input", "[[9, 9]]", "--keep", "add").out == "7\n"
    assert len(cli.effects) == 4


def test_a_dry_run_says_what_would_happen_and_does_nothing(cli: Cli) -> None:
    cli("run", "shop.py:total", "--input", "[[1, 2]]", "--id", "t")
    plan = cli("runs", "retry", "t", "--input", "[[1, 3]]", "--dry-run", "--json").json
    assert plan.pop("ends") == "it waits for task add#2 then; what it does next depends on what comes of that"
    assert plan == {"id": "t", "execution": 2, "reused": ["add#1"], "redone": ["add#2"]}
    assert "add: 1 reused, 1 to do" in cli("runs", "retry", "t", "--input", "[[1, 3]]", "--dry-run").out
    assert cli("runs", "show", "t", "--json").json["execution"] == 1
    assert cli.effects == ["add", "add"]


def test_retry_works_from_another_folder(cli: Cli) -> None:
    cli("run", "shop.py:broken", "--input", '"x"', "--id", "b")
    elsewhere = Cli(cli.at / "elsewhere")
    elsewhere.at.mkdir()
    assert elsewhere("runs", "retry", "b", "--store", "../.understudy/state.db").code == 1


def test_an_interrupted_retry_goes_on_as_a_run(cli: Cli) -> None:
    shop = (cli.at / "shop.py").read_text()
    cli("run", "shop.py:broken", "--input", '"x"', "--id", "b")
    (cli.at / "shop.py").write_text(shop.replace("raise ValueError(why)", "await halt()"))
    retried = cli.start("runs", "retry", "b")
    cli.halted()
    retried.send_signal(signal.SIGINT)
    assert retried.wait(PATIENCE_S) == 130
    resumed = cli.start("run", "shop.py:broken", "--id", "b")
    cli.halted()
    cli.go_on("done")
    assert resumed.wait(PATIENCE_S) == 0


def test_cancel_and_terminate_end_open_runs(cli: Cli) -> None:
    for run_id, command, status in (("c", "cancel", "cancelled"), ("t", "terminate", "terminated")):
        killed = cli.start("run", "shop.py:halting", "--id", run_id)
        cli.halted()
        killed.kill()
        killed.wait(PATIENCE_S)
        ended = cli("runs", command, run_id, "--reason", "enough", "--json")
        assert (ended.code, ended.json["status"]) == (3, status)
