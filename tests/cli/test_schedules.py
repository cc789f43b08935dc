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
