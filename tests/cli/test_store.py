"""Looking after a store from the command line, and what it says when the disk or the database is at fault."""

from __future__ import annotations

import json
import sqlite3
import time

import pytest

from tests.cli.conftest import Cli

STORE = ".understudy/state.db"

CRAMPED = '''
"""Where files may have so many bytes, and no more."""
import resource

from understudy import App

resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
app = App("cramped")

@app.task
async def text(n: int) -> str:
    return "x" * 20_000

@app.workflow
async def hoard(n: int) -> int:
    return sum([len(await text(i)) for i in range(n)])
'''


def total(cli: Cli, run_id: str, *options: str) -> None:
    ended = cli("run", "shop.py:total", "--input", "[[1, 2]]", "--id", run_id, *options)
    assert (ended.code, ended.out) == (0, "3\n"), ended.err


def ids(cli: Cli, *options: str) -> list[str]:
    return sorted(each["id"] for each in cli("runs", "list", "--json", *options).json)


def test_a_backup_is_looked_into_restored_and_worked_with(cli: Cli) -> None:
    total(cli, "first")
    ended = cli("store", "backup", "backup.db", "--json")
    assert ended.json == {"backup": "backup.db", "bytes": (cli.at / "backup.db").stat().st_size}
    total(cli, "second")
    assert ids(cli, "--store", "backup.db") == ["first"]
    refused = cli("run", "shop.py:total", "--input", "[[1]]", "--store", "backup.db")
    assert refused.code == 2
    assert "is a backup: make a store of it with `understudy store restore" in refused.err
    assert cli("store", "restore", "backup.db", "--into", "restored.db").out == "backup.db restored into restored.db\n"
    total(cli, "third", "--store", "restored.db")
    assert ids(cli, "--store", "restored.db") == ["first", "third"]


def test_a_backup_can_be_taken_while_a_node_writes_and_nothing_is_restored_over_it(cli: Cli) -> None:
    cli.start("run", "shop.py:halting", "--id", "halting")
    cli.halted()
    assert cli("store", "backup", "backup.db").code == 0
    taken = cli("store", "adopt")
    assert (taken.code, taken.err.count("\n")) == (2, 1)
    assert "is open for writing in process" in taken.err
    taken = cli("store", "prune", "--older-than", "1d")
    assert (taken.code, taken.err.count("\n")) == (2, 1)
    cli.go_on("on")
    assert cli("store", "restore", "backup.db", "--into", "restored.db").code == 0
    assert ids(cli, "--store", "restored.db") == ["halting"]


def an_old_run_and_a_new_one(cli: Cli) -> None:
    for name in ("old", "new"):
        total(cli, name)
    con = sqlite3.connect(cli.at / STORE)
    with con:
        con.execute(
            "UPDATE actor SET closed_at = ?1, created_at = ?1 WHERE key LIKE '%/old'", (time.time() - 31 * 86_400,)
        )
    con.close()


def test_a_node_deletes_runs_that_closed_longer_ago_than_it_is_told_to_keep_them(cli: Cli) -> None:
    an_old_run_and_a_new_one(cli)
    node = cli.start("node", "shop.py", "--listen", "127.0.0.1:0", "--retention", "30d", "--log-format", "json")
    assert node.stderr is not None
    said = next(line for line in node.stderr if "old runs deleted" in line)
    assert json.loads(said)["runs"] == 1
    assert ids(cli) == ["new"], "while the node runs"


def test_runs_that_closed_long_ago_are_pruned(cli: Cli) -> None:
    an_old_run_and_a_new_one(cli)
    assert cli("store", "prune", "--older-than", "30d", "--dry-run").out == "1 runs would be deleted\n"
    assert ids(cli) == ["new", "old"]
    assert cli("store", "prune", "--older-than", "30d", "--json").json == {"runs": 1, "deleted": True}
    assert ids(cli) == ["new"]
    total(cli, "old")


REFUSED = {
    "no store to back up": (("store", "backup", "x.db"), "there is no store"),
    "no store to prune": (("store", "prune", "--older-than", "1d"), "there is no store"),
    "no store to adopt": (("store", "adopt"), "there is no store"),
    "no backup": (("store", "restore", "x.db", "--into", "y.db"), "there is no store at x.db"),
    "no duration": (("store", "prune", "--older-than", "old"), "'old' is not a duration"),
    "a folder that is not there": (("store", "restore", "shop.py", "--into", "none/y.db"), "shop.py"),
    "a text for a backup": (("store", "restore", "shop.py", "--into", "y.db"), "not a SQLite database"),
    "a database to back up": (("store", "backup", "x", "--store", "postgresql://h/d"), "pg_dump"),
    "a store in memory": (("store", "backup", "x", "--store", "memory://"), "is forgotten when its process ends"),
    "a full disk": (("run", "shop.py:total", "--input", "[[]]", "--store", "/dev/full"), "is full: free some space"),
}


@pytest.mark.parametrize(("arguments", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_one_line(cli: Cli, arguments: tuple[str, ...], told: str) -> None:
    ended = cli(*arguments)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended.err
    assert told in ended.err
    assert not list(cli.at.glob("*.partial"))
    assert not (cli.at / STORE).exists(), "a look makes no store"


@pytest.mark.parametrize(
    "command",
    [
        ("run", "shop.py:total", "--input", "[[]]"), ("node", "shop.py", "--listen", "127.0.0.1:0"), ("runs", "list"),
        ("store", "backup", "x.db"), ("store", "prune", "--older-than", "1d"), ("store", "adopt"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_damaged_file_is_named_with_what_to_do(cli: Cli, command: tuple[str, ...]) -> None:
    damage(cli)
    ended = cli(*command, "--store", "bad.db")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended.err
    assert "bad.db: the file is damaged: restore a backup" in ended.err


def damage(cli: Cli) -> None:
    total(cli, "first", "--store", "bad.db")
    path = cli.at / "bad.db"
    data = path.read_bytes()
    path.write_bytes(data[:8192] + b"\xff" * (len(data) - 8192))


def test_a_disk_that_fills_up_ends_the_run_command_and_no_more_is_claimed(cli: Cli) -> None:
    (cli.at / "cramped.py").write_text(CRAMPED)
    ended = cli("run", "cramped.py:hoard", "--input", "100", "--id", "hoard")
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err
    assert ended.err.splitlines()[-1].startswith("understudy: the node has stopped: ")
    assert ids(cli) == ["hoard"], "what was acknowledged is there"
    (cli.at / "cramped.py").write_text(CRAMPED.replace("200_000", "200_000_000"))
    assert cli("run", "cramped.py:hoard", "--input", "100", "--id", "hoard").out == "2000000\n"


def test_a_node_that_has_no_database_ends_with_one_line(cli: Cli) -> None:
    ended = cli("node", "shop.py", "--listen", "127.0.0.1:0", "--store", "postgresql://nobody:secret@127.0.0.1:1/x")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended.err
    assert "postgresql://nobody@127.0.0.1:1/x: cannot be reached" in ended.err
    assert "secret" not in ended.err
