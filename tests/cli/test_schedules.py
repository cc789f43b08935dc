"""`understudy schedules`: minding the schedules of a store that no node has open."""

from __future__ import annotations

from tests.cli.conftest import Cli

DAILY = ("--cron", "0 3 * * *", "--tz", "Europe/Berlin", "--input", "[[1, 2]]")
RANGE = ("--from", "2020-01-01", "--to", "2020-01-02T12:00+01:00")


def created(cli: Cli, *options: str) -> Cli:
    assert cli("schedules", "create", "nightly", "shop.py:total", *DAILY, *options).code == 0
    return cli


def test_a_schedule_that_was_made_is_shown_and_listed(cli: Cli) -> None:
    created(cli, "--overlap", "buffer", "--note", "x")
    shown = cli("schedules", "show", "nightly", "--json").json
    assert (shown["workflow"], shown["when"], shown["tz"]) == ("total", "0 3 * * *", "Europe/Berlin")
    assert (shown["status"], shown["overlap"], shown["input"]["args"]) == ("active", "buffer", [[1, 2]])
    assert shown["next_at"] is not None
    assert [each["id"] for each in cli("schedules", "list", "--json").json] == ["nightly"]
    assert cli("schedules", "list").out.splitlines()[1].split()[:3] == ["nightly", "total", "active"]


def test_another_schedule_of_that_id_is_an_update_only_if_it_is_said_to_be(cli: Cli) -> None:
    created(cli)
    again = ("schedules", "create", "nightly", "shop.py:total", "--every", "1h", "--input", "[[1]]")
    refused = cli(*again)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "exists already" in refused.err
    assert cli(*again, "--update").code == 0
    assert cli("schedules", "show", "nightly", "--json").json["when"] == "every 3600 s"


def test_pause_and_resume(cli: Cli) -> None:
    created(cli)
    assert cli("schedules", "pause", "nightly", "--note", "holiday").out == "schedule nightly is paused\n"
    shown = cli("schedules", "show", "nightly", "--json").json
    assert (shown["status"], shown["note"], shown["next_at"]) == ("paused", "holiday", None)
    assert cli("schedules", "resume", "nightly").out.startswith("schedule nightly is active, next at ")


def test_what_is_asked_for_happens_when_a_node_runs(cli: Cli) -> None:
    created(cli)
    triggered = cli("schedules", "trigger", "nightly").out.strip()
    backfilled = cli("schedules", "backfill", "nightly", *RANGE, "--overlap", "allow")
    assert "2 nominal times" in backfilled.err
    cli("run", "shop.py:total", "--input", "[[5]]")
    runs = {run["id"] for run in cli("runs", "list", "--workflow", "total", "--json").json}
    assert runs >= {triggered, "nightly/2020-01-01T02:00:00Z", "nightly/2020-01-02T02:00:00Z"}


def test_a_deleted_schedule_is_gone(cli: Cli) -> None:
    created(cli)
    assert cli("schedules", "delete", "nightly").code == 0
    assert cli("schedules", "list").err == "no schedules\n"
    for command in (("show",), ("pause",), ("delete",), ("backfill", *RANGE)):
        missing = cli("schedules", command[0], "nightly", *command[1:])
        assert missing.code == 2
        assert "there is no schedule" in missing.err


def test_what_is_wrong_is_one_line(cli: Cli) -> None:
    for options in (("--cron", "0 3 * *"), (), ("--every", "1h", "--tz", "x"), ("--every", "1h", "--starts", "soon")):
        refused = cli("schedules", "create", "n", "shop.py:total", "--input", "[[1]]", *options)
        assert (refused.code, refused.err.count("\n")) == (2, 1), refused.err
    refused = cli(
        "schedules", "create", "n", "shop.py:total", "--every", "1h", "--store", "memory://", "--input", "[[1]]"
    )
    assert (refused.code, "memory" in refused.err) == (2, True)


def test_a_store_that_a_process_has_open_can_be_read_but_not_changed(cli: Cli) -> None:
    created(cli)
    cli.start("run", "shop.py:halting", "--id", "h")
    cli.halted()
    assert cli("schedules", "list").out.count("nightly") == 1
    refused = cli("schedules", "pause", "nightly")
    assert refused.code == 2
    assert "process" in refused.err
    cli.go_on("x")


SCHEDULED = """
from understudy import App, Retry

app = App("scheduled")

@app.schedule(every="1s")
@app.workflow
async def ticking() -> int:
    return 1

@app.task
async def add(a: int) -> int:
    return a

@app.workflow
async def once(fails: bool) -> int:
    if fails:
        raise ValueError("no")
    return await add(2)
"""

NODE = """
import asyncio
import understudy
from scheduled import app

async def main():
    async with understudy.embedded(app) as client, asyncio.timeout(30):
        while not await client.list(workflow="ticking"):
            await asyncio.sleep(0.01)

asyncio.run(main())
"""


def test_what_is_there_for_one_run_starts_no_schedules(cli: Cli) -> None:
    (cli.at / "scheduled.py").write_text(SCHEDULED)
    assert cli("run", "scheduled.py:once", "--input", "false").out == "2\n"
    assert cli("run", "scheduled.py:once", "--input", "true", "--id", "r").code == 1
    cli("runs", "retry", "r")
    assert cli("schedules", "list").err == "no schedules\n"
    assert cli("runs", "list", "--workflow", "ticking").err == "no runs\n"


def test_what_was_due_meanwhile_is_started_by_the_next_node_as_its_policy_says(cli: Cli) -> None:
    (cli.at / "scheduled.py").write_text(SCHEDULED)
    every = ("--every", "1s", "--starts", "2020-01-01", "--catch-up", "one")
    assert cli("schedules", "create", "old", "scheduled.py:ticking", *every).code == 0
    assert cli("run", "scheduled.py:once", "--input", "false").out == "2\n"
    shown = cli("schedules", "show", "old", "--json").json
    assert cli("run", "scheduled.py:once", "--input", "false").out == "2\n"
    assert cli("schedules", "show", "old", "--json").json == shown
    assert cli("runs", "list", "--workflow", "ticking").err == "no runs\n"
    (cli.at / "node.py").write_text(NODE)
    ended = cli.script("node.py")
    assert (ended.code, ended.err) == (0, "")
    first = cli("runs", "list", "--workflow", "ticking", "--json").json[-1]
    assert first["id"].startswith("old/")
