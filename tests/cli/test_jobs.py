"""`understudy jobs`: what goes on in outside systems, how it is completed by hand, and settled when nobody knows."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import PATIENCE_S, Cli
from tests.node.nodes import NodeProcess

CODE = """
from pathlib import Path

from understudy import Actor, App, handler
from understudy.jobs import Job

app = App("office")


class Print(Job[dict[str, str], int]):
    async def submit(self, idempotency_key: str, page: str) -> dict[str, str]:
        return {"tray": page}


class Fax(Job[str, str]):
    def submit(self, idempotency_key: str) -> str:
        Path("reached").write_text("reached")
        return Path("go").read_text()


print_page = app.job(name="Print")(Print)
fax = app.job(name="Fax", unknown="hold")(Fax)


@app.workflow
async def copy(page: str) -> int:
    return await print_page(page)


@app.workflow
async def send() -> str:
    return await fax()


@app.actor
class Desk(Actor):
    pages: int = 0

    @handler
    async def copy(self, page: str) -> int:
        self.pages += await print_page(page)
        return self.pages
"""
NODE = ("node", "office.py:app", "--store", "s.db", "--listen", "127.0.0.1:0")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Cli]:
    (tmp_path / "office.py").write_text(CODE)
    for pipe in ("reached", "go"):
        os.mkfifo(tmp_path / pipe)
    cli = Cli(tmp_path)
    yield cli
    cli.close()


@pytest.fixture
def node(office: Cli) -> Iterator[Callable[[], NodeProcess]]:
    """Starts one, which the commands then ask."""
    started: list[NodeProcess] = []

    def start() -> NodeProcess:
        started.append(NodeProcess(office.at, NODE))
        started[-1].logged("the node is ready")
        office.env = {"UNDERSTUDY_CONNECT": started[-1].address}
        return started[-1]

    yield start
    for process in started:
        process.close()


def listed(cli: Cli, *options: str, status: str = "open") -> Any:
    """The one job that stands so, once it does."""
    return all_listed(cli, 1, *options, status=status)[0]


def all_listed(cli: Cli, count: int, *options: str, status: str = "open") -> Any:
    give_up_at = time.monotonic() + PATIENCE_S
    while len(found := cli("jobs", "list", "--status", status, "--json", *options).json) != count:
        assert time.monotonic() < give_up_at, found
    return found


def test_a_job_is_listed_shown_and_completed_by_its_token(office: Cli, node: Callable[[], NodeProcess]) -> None:
    node()
    assert office("jobs", "list").err == "no jobs\n"
    office("runs", "start", "copy", "--input", '"a4"', "--id", "r")
    job = listed(office)
    assert (job["address"], job["call"], job["task"], job["handle"]) == ("run/r", 1, "Print", {"tray": "a4"})
    table = office("jobs", "list").out.splitlines()
    assert table[0].split() == ["OWNER", "CALL", "TASK", "ATTEMPT", "STATUS", "SINCE", "HANDLE"]
    assert table[1].split()[:5] == ["run/r", "1", "Print", "1", "open"]
    assert table[1].endswith('{"tray":"a4"}')
    assert [each["call"] for each in office("jobs", "list", "--run", "r", "--json").json] == [1]
    assert office("jobs", "list", "--status", "uncertain", "--json").json == []
    assert f"completion token  {job['token']}" in office("jobs", "show", "r", "1").out
    assert office("jobs", "show", "run/r", "1", "--json").json == [job]

    completed = office("jobs", "complete", job["token"], "--result", "7")
    assert (completed.code, completed.err) == (0, "completed attempt 1 of call 1 of run/r\n")
    assert office("runs", "wait", "r").out == "7\n"
    again = office("jobs", "complete", job["token"], "--result", "7")
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "no job waits for this completion" in again.err


@pytest.mark.slow
def test_a_job_is_failed_with_a_message(office: Cli, node: Callable[[], NodeProcess]) -> None:
    node()
    office("runs", "start", "copy", "--input", '"a4"', "--id", "r")
    failed = office("jobs", "fail", listed(office)["token"], "no paper", "--type", "OutOfPaper")
    assert (failed.code, failed.err) == (0, "failed attempt 1 of call 1 of run/r\n")
    ended = office("runs", "wait", "r", "--json")
    assert ended.code == 1
    assert "OutOfPaper: no paper" in ended.json["error"]["message"]


@pytest.mark.slow
def test_jobs_of_actors_are_listed_and_completed_in_the_same_way(office: Cli, node: Callable[[], NodeProcess]) -> None:
    node()
    office("actors", "tell", "Desk/north", "copy", "--input", '"a4"')
    job = listed(office, "--actor", "Desk/north")
    assert job["address"] == "actor.Desk/north"
    assert listed(office) == job
    assert office("jobs", "show", "actor.Desk/north", "1", "--json").json == [job]
    assert office("jobs", "complete", job["token"], "--result", "3").code == 0
    assert office("actors", "show", "Desk/north", "--json").json["state"] == {"pages": 3}


@pytest.mark.slow
def test_a_job_of_a_node_that_was_killed_is_settled_by_a_person(office: Cli, node: Callable[[], NodeProcess]) -> None:
    first = node()
    office("runs", "start", "send", "--id", "r")
    pipe = os.open(office.at / "reached", os.O_RDONLY | os.O_NONBLOCK)
    assert select.select([pipe], [], [], PATIENCE_S)[0], "the submit has not begun"
    os.close(pipe)
    first.close()
    [stored] = office("jobs", "list", "--store", "s.db", "--json").json
    assert (stored["address"], stored["status"], stored["handle"]) == ("run/r", "submitting", None)

    node()
    assert listed(office, status="uncertain")["call"] == 1
    shown = office("jobs", "show", "r", "1")
    assert "understudy jobs settle run/r 1 --handle or --absent" in shown.err
    assert "understudy jobs settle run/r 1" in office("runs", "wait", "r").err
    for wrong in (("--handle", "{"), ("--handle", "null"), (), ("--handle", "1", "--absent")):
        refused = office("jobs", "settle", "r", "1", *wrong)
        assert (refused.code, refused.err.count("\n")) == (2, 1), refused.err
    settled = office("jobs", "settle", "r", "1", "--handle", '"fax-7"')
    assert (settled.code, settled.err) == (0, "settled call 1 of run/r\n")
    job = listed(office)
    assert job["handle"] == "fax-7"
    assert office("jobs", "complete", job["token"], "--result", '"sent"').code == 0
    assert office("runs", "wait", "r").out == '"sent"\n'


def test_jobs_of_a_store_are_read_while_no_node_runs(office: Cli, node: Callable[[], NodeProcess]) -> None:
    running = node()
    for name in ("r1", "r2"):
        office("runs", "start", "copy", "--input", '"a4"', "--id", name)
    office("actors", "tell", "Desk/north", "copy", "--input", '"a4"')
    there = all_listed(office, 3)
    running.close()
    office.env = {"UNDERSTUDY_STORE": "s.db"}
    assert office("jobs", "list", "--json").json == there
    assert [job["address"] for job in there] == ["run/r2", "run/r1", "actor.Desk/north"]
    assert office("jobs", "list", "--limit", "1", "--json").json == there[:1]
    assert office("jobs", "list", "--actor", "Desk/north", "--json").json == there[2:]
    assert office("jobs", "show", "r1", "1", "--json").json == there[1:2]
    for command, why in (
        (("list", "--run", "nobody"), "there is no run/nobody in this store"),
        (("list", "--status", "odd"), "'odd' is not a status of jobs"),
        (("list", "--run", "r1", "--actor", "Desk/north"), "give one of them"),
        (("show", "r1", "9"), "call 9 of run/r1 is no job"),
        (("show", "actor.Desk", "1"), "names no actor"),
    ):
        refused = office("jobs", *command)
        assert (refused.code, refused.err.count("\n")) == (2, 1), refused.err
        assert why in refused.err
    assert "--connect" in office("jobs", "complete", there[0]["token"]).err
