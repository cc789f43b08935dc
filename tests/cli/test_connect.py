"""`--connect`: what can be asked of a real node in another process, from a folder without any of its code."""

from __future__ import annotations

import json
import os
import pty
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import PATIENCE_S, Cli
from tests.node.authority import Authority
from tests.node.nodes import NodeProcess, free_address
from understudy_runtime.rpc.access import new_token

DESK = """
from understudy import App, handler, readonly, wait_until

app = App("desk")

@app.task
async def add(a: int, b: int) -> int:
    return a + b

@app.workflow
async def total(numbers: list[int], start: int = 0) -> int:
    for number in numbers:
        start = await add(start, number)
    return start

@app.workflow
async def broken(why: str) -> None:
    await add(1, 1)
    raise ValueError(why)

@app.workflow
class Approval:
    def __init__(self) -> None:
        self.verdict: str | None = None

    async def run(self) -> str:
        return await wait_until(lambda: self.verdict)

    @handler
    def decide(self, verdict: str) -> str:
        if not verdict:
            raise ValueError("say something")
        self.verdict = verdict
        return f"noted: {verdict}"

    @readonly
    def current(self) -> str | None:
        return self.verdict
"""


class Desk:
    """A node, and the command in a folder of its own, which finds the node through its environment."""

    def __init__(self, at: Path, *options: str) -> None:
        (at / "desk.py").write_text(DESK)
        self._at = at
        self.serve("--listen", "127.0.0.1:0", *options)
        self.address = self.node.address
        elsewhere = at / "elsewhere"
        elsewhere.mkdir()
        self.cli = Cli(elsewhere)
        self.cli.env = {"UNDERSTUDY_CONNECT": self.address}

    def serve(self, *options: str) -> None:
        self.node = NodeProcess(self._at, ("node", "desk.py:app", "--store", "s.db", "--name", "n1", *options))
        self.node.logged("the node is ready")

    def close(self) -> None:
        self.cli.close()
        self.node.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    yield desk
    desk.close()


@pytest.fixture
def cli(desk: Desk) -> Cli:
    return desk.cli


# --- starting and waiting


def test_start_prints_the_id_and_wait_the_result(cli: Cli) -> None:
    started = cli("runs", "start", "total", "--input", '{"numbers": [1, 2]}', "--id", "sum")
    assert (started.code, started.out) == (0, "sum\n")
    waited = cli("runs", "wait", "sum")
    assert (waited.code, waited.out) == (0, "3\n")


def test_start_and_wait_at_once_with_input_from_a_file(cli: Cli) -> None:
    (cli.at / "input.json").write_text("[[1, 2], 4]")
    ended = cli("runs", "start", "total", "--input", "@input.json", "--wait", "--json")
    assert (ended.code, ended.json["status"], ended.json["result"]) == (0, "succeeded", 7)


def test_a_run_is_started_once(cli: Cli) -> None:
    once = [cli("runs", "start", "total", "--input", "[[1]]", "--id", "once", "--json").json for _ in range(2)]
    assert [started["existed"] for started in once] == [False, True]


def test_the_exit_code_tells_how_the_run_ended(cli: Cli) -> None:
    ended = cli("runs", "start", "broken", "--input", '"no tea"', "--wait")
    assert (ended.code, ended.out) == (1, "")
    assert "ValueError: no tea" in ended.err


def test_whoever_stops_waiting_is_told_how_to_go_on(cli: Cli, desk: Desk) -> None:
    cli("runs", "start", "Approval", "--id", "patient")
    waiting = cli.start("runs", "wait", "patient")
    assert waiting.stderr is not None
    assert "0 running" in waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    _, told = waiting.communicate(timeout=PATIENCE_S)
    assert waiting.returncode == 130
    assert f"understudy runs wait patient --connect {desk.address}" in told
    assert cli("runs", "show", "patient", "--json").json["status"] == "running"


# --- looking


def test_list_show_and_history_are_those_of_a_store(cli: Cli, desk: Desk) -> None:
    cli("runs", "start", "broken", "--input", '"x"', "--id", "looked-at", "--wait")
    store = ("--store", str(cli.at.parent / "s.db"))
    for command in (
        ("list", "--workflow", "broken", "--status", "failed"),
        ("show", "looked-at"),
        ("history", "looked-at"),
    ):
        for form in ((), ("--json",)):
            asked, read = cli("runs", *command, *form), cli("runs", *command, *form, *store)
            assert (asked.code, asked.out) == (0, read.out), asked.err


def test_watch_tells_each_change_and_the_end(cli: Cli) -> None:
    cli("runs", "start", "Approval", "--id", "watched")
    watching = cli.start("runs", "watch", "watched", "--json")
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["status"] == "running"
    cli("runs", "tell", "watched", "decide", "--input", '"yes"')
    out, _ = watching.communicate(timeout=PATIENCE_S)
    last = json.loads(out.splitlines()[-1])
    assert (watching.returncode, last["status"], last["result"]) == (0, "succeeded", "yes")


def test_watch_goes_on_when_the_node_comes_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    try:
        desk.cli("runs", "start", "Approval", "--id", "long")
        watching = desk.cli.start("runs", "watch", "long", "--json")
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["status"] == "running"
        desk.node.close()  # by SIGKILL
        desk.serve("--listen", desk.address)
        desk.cli("runs", "tell", "long", "decide", "--input", '"late"')
        out, told = watching.communicate(timeout=PATIENCE_S)
        assert (watching.returncode, json.loads(out.splitlines()[-1])["result"]) == (0, "late"), told
    finally:
        desk.close()


def test_watch_for_people_ends_with_the_result(cli: Cli) -> None:
    cli("runs", "start", "total", "--input", "[[1, 2]]", "--id", "seen", "--wait")
    seen = cli("runs", "watch", "seen")
    assert (seen.code, seen.out) == (0, "3\n")
    assert "2 done" in seen.err


def test_a_terminal_gets_a_table_that_fits_it(cli: Cli) -> None:
    cli("runs", "start", "total", "--input", "[[]]", "--id", "drawn", "--wait")
    screen, terminal = pty.openpty()
    try:
        process = cli.start("runs", "list", stdout=terminal)
        process.communicate(timeout=PATIENCE_S)
        drawn = os.read(screen, 100_000).decode()
    finally:
        os.close(screen)
        os.close(terminal)
    assert "\x1b[" in drawn
    assert "drawn" in drawn


# --- messages


def test_tell_and_ask_take_arguments_as_people_write_them(cli: Cli) -> None:
    cli("runs", "start", "Approval", "--id", "asked")
    assert cli("runs", "ask", "asked", "current").out == "null\n"
    decided = cli("runs", "ask", "asked", "decide", "--input", '{"verdict": "fine"}')
    assert (decided.code, decided.out) == (0, '"noted: fine"\n')
    assert cli("runs", "wait", "asked").out == '"fine"\n'


def test_a_handler_that_raises_is_a_failure_and_no_fault_of_the_command(cli: Cli) -> None:
    cli("runs", "start", "Approval", "--id", "raising")
    asked = cli("runs", "ask", "raising", "decide", "--input", '""', "--json")
    assert (asked.code, asked.json["error"]) == (1, {"type": "ValueError", "message": "say something"})


# --- helping


def test_cancel_and_terminate(cli: Cli) -> None:
    for command, status in (("cancel", "cancelled"), ("terminate", "terminated")):
        cli("runs", "start", "Approval", "--id", command)
        assert cli("runs", command, command, "--reason", "enough").code == 0
        ended = cli("runs", "wait", command, "--json")
        assert (ended.code, ended.json["status"]) == (3, status)


def test_retry_says_what_is_reused(cli: Cli) -> None:
    cli("runs", "start", "broken", "--input", '"x"', "--id", "again", "--wait")
    plan = cli("runs", "retry", "again", "--dry-run", "--json").json
    assert (plan["execution"], plan["reused"]) == (2, ["add#1"])
    assert cli("runs", "show", "again", "--json").json["execution"] == 1
    assert cli("runs", "retry", "again", "--input", '"y"', "--wait", "--json").json["error"]["message"] == "y"
    assert cli("runs", "show", "again", "--json").json["execution"] == 2


def test_a_run_that_is_not_held_cannot_be_released(cli: Cli) -> None:
    cli("runs", "start", "Approval", "--id", "free")
    released = cli("runs", "release", "free")
    assert (released.code, released.err.count("\n")) == (2, 1)
    assert "free is not held, it is running" in released.err


# --- schedules

NEVER = ("--every", "1h", "--starts", "2999-01-01")


def test_a_schedule_of_a_node_is_shown_as_that_of_a_store(cli: Cli) -> None:
    daily = ("--cron", "0 3 * * *", "--tz", "Europe/Berlin", "--starts", "2999-01-01", "--note", "x")
    made = cli("schedules", "create", "nightly", "total", "--input", '{"numbers": [1, 2]}', *daily)
    assert (made.code, made.out) == (0, "schedule nightly is active, next at 2999-01-01T02:00:00.000+00:00\n"), made.err
    store = ("--store", str(cli.at.parent / "s.db"))
    for command in (("list",), ("show", "nightly", "--json")):
        asked, read = cli("schedules", *command), cli("schedules", *command, *store)
        assert (asked.code, asked.out) == (0, read.out), asked.err
    shown = asked.json
    assert (shown["workflow"], shown["when"], shown["input"]["args"]) == ("total", "0 3 * * *", [[1, 2]])
    assert shown["note"] == "x"


@pytest.mark.slow
def test_a_schedule_of_a_node_is_minded(cli: Cli) -> None:
    create = ("schedules", "create", "minded", "total", "--input", "[[1, 2], 4]", *NEVER)
    assert cli(*create).code == 0
    assert cli(*create, "--overlap", "allow").code == 2
    assert cli(*create, "--overlap", "allow", "--update").code == 0
    assert cli("schedules", "pause", "minded", "--note", "holiday").out == "schedule minded is paused\n"
    assert cli("schedules", "show", "minded", "--json").json["note"] == "holiday"
    assert cli("schedules", "resume", "minded").out.startswith("schedule minded is active, next at 2999")
    triggered = cli("schedules", "trigger", "minded").out.strip()
    assert cli("runs", "wait", triggered).out == "7\n"
    backfilled = cli("schedules", "backfill", "minded", "--from", "2020-01-01", "--to", "2020-01-01T01:00")
    assert (backfilled.code, backfilled.err) == (0, "2 nominal times of schedule minded are made up for\n")
    assert cli("runs", "wait", "minded/2020-01-01T01:00:00Z").out == "7\n"
    assert cli("schedules", "delete", "minded").code == 0
    gone = cli("schedules", "show", "minded")
    assert (gone.code, gone.err) == (2, "understudy: there is no schedule minded\n")


# --- the cluster


def test_nodes_and_definitions(cli: Cli, desk: Desk) -> None:
    listed = cli("nodes", "list", "--json").json
    assert [(node["id"], node["address"], node["status"]) for node in listed] == [("n1", desk.address, "active")]
    assert cli("nodes", "list").out.splitlines()[1].split()[:3] == ["n1", desk.address, "active"]
    names = [(each["kind"], each["name"]) for each in cli("definitions", "list", "--json").json]
    assert names == [("task", "add"), ("workflow", "Approval"), ("workflow", "broken"), ("workflow", "total")]
    assert "readonly  .current" in " ".join(cli("definitions", "list").out.split()).replace("readonly .", "readonly  .")


def test_a_drained_node_leaves(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    try:
        unknown = desk.cli("nodes", "drain", "n2")
        assert (unknown.code, "there is no node n2" in unknown.err) == (2, True)
        assert desk.cli("nodes", "drain", "n1", "--grace-s", "0.5").code == 0
        assert desk.node.ended() == 0
    finally:
        desk.close()


# --- what is wrong

REFUSED = {
    "a workflow nobody has": (("runs", "start", "totall"), "no workflow named totall"),
    "input that is not JSON": (("runs", "start", "total", "--input", "{"), "not JSON"),
    "input that is missing": (("runs", "start", "total"), "'numbers'"),
    "input of the wrong type": (("runs", "start", "total", "--input", '{"numbers": ["x"]}'), "numbers"),
    "an unknown parameter": (("runs", "start", "total", "--input", '{"numbers": [], "x": 1}'), "'x'"),
    "a file that is not there": (("runs", "start", "total", "--input", "@none"), "@none"),
    "an empty id": (("runs", "start", "total", "--input", "[[]]", "--id", ""), "not an id"),
    "a run nobody knows": (("runs", "show", "none"), "there is no run"),
    "no run to wait for": (("runs", "wait", "none"), "there is no run"),
    "no run to watch": (("runs", "watch", "none"), "there is no run"),
    "no run to tell": (("runs", "tell", "none", "decide"), "there is no run"),
    "no run to cancel": (("runs", "cancel", "none"), "there is no run"),
    "no run to retry": (("runs", "retry", "none"), "there is no run"),
    "no such handler": (("runs", "ask", "refusing", "decidee"), "it has: current, decide"),
    "a message of the wrong type": (("runs", "tell", "refusing", "decide", "--input", "[1]"), "verdict"),
    "a question without arguments": (("runs", "ask", "refusing", "decide"), "'verdict'"),
    "a readonly handler that is told": (("runs", "tell", "refusing", "current"), "@readonly"),
    "a run that is not there to release": (("runs", "release", "none"), "there is no run"),
    "a schedule of a workflow nobody has": (("schedules", "create", "s", "totall", *NEVER), "no workflow named totall"),
    "a schedule with odd input": (("schedules", "create", "s", "total", *NEVER, "--input", '["x"]'), "numbers"),
    "a schedule nobody knows": (("schedules", "pause", "none"), "there is no schedule none"),
    "a status that there is not": (("runs", "list", "--status", "odd"), "'odd'"),
    "no address": (("runs", "list", "--connect", "somewhere"), "host:port"),
    "half a certificate": (("runs", "list", "--tls-cert", "x"), "--tls-key"),
    "a token file that is not there": (("runs", "list", "--token-file", "none"), "none: No such file"),
}


@pytest.mark.parametrize(("arguments", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_one_line(cli: Cli, arguments: tuple[str, ...], told: str) -> None:
    if "refusing" in arguments:
        cli("runs", "start", "Approval", "--id", "refusing")
    ended = cli(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1, ended.err
    assert told in ended.err


def test_where_nobody_listens_is_one_line(cli: Cli) -> None:
    address = free_address()
    for command in (("runs", "list"), ("runs", "start", "total"), ("runs", "wait", "x"), ("schedules", "list")):
        ended = cli(*command, "--connect", address)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended.err
        assert f"nobody listens at {address}" in ended.err


def test_what_needs_a_node_says_so(cli: Cli) -> None:
    homeless = Cli(cli.at)
    for command in (("runs", "start", "total"), ("runs", "watch", "x"), ("nodes", "list")):
        ended = homeless(*command)
        assert (ended.code, ended.out) == (2, "")
        assert "--connect" in ended.err
    both = homeless("runs", "list", "--store", "s.db", "--connect", "localhost:1")
    assert (both.code, both.out) == (2, "")


def test_a_guarded_node_is_reached_by_tls_and_a_token(tmp_path: Path) -> None:
    Authority(tmp_path).issue("node", "localhost")
    (tmp_path / "token").write_text(new_token(tmp_path / "tokens.toml", "me", ["operate"]))
    desk = Desk(tmp_path, "--tls-cert", "node.pem", "--tls-key", "node.key", "--tokens", "tokens.toml")
    try:
        node = ("--connect", f"localhost:{desk.address.rpartition(':')[2]}", "--tls-ca", "../ca.pem")
        ended = desk.cli("runs", "start", "total", "--input", "[[1]]", "--wait", *node, "--token-file", "../token")
        assert (ended.code, ended.out) == (0, "1\n"), ended.err
        stranger = desk.cli("runs", "list", *node)
        assert (stranger.code, stranger.err.count("\n")) == (2, 1), stranger.err
        assert "token" in stranger.err
        drain = desk.cli("nodes", "drain", "n1", *node, "--token-file", "../token")
        assert (drain.code, "admin" in drain.err) == (2, True), drain.err
    finally:
        desk.close()


# --- completion


def test_completion_scripts_are_printed(cli: Cli) -> None:
    shells = Cli(cli.at)
    shells.env = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    for shell in ("bash", "zsh", "fish"):
        shown = shells("--show-completion", shell)
        assert (shown.code, "_UNDERSTUDY_COMPLETE" in shown.out) == (0, True)
    shells.env = {"_UNDERSTUDY_COMPLETE": "complete_bash", "COMP_WORDS": "understudy runs re", "COMP_CWORD": "2"}
    assert shells().out.split() == ["retry", "release"]
    shells.env["COMP_WORDS"] = "understudy schedules pause --c"
    shells.env["COMP_CWORD"] = "3"
    assert shells().out.split() == ["--connect"]
