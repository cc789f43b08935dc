"""`understudy resources` and `understudy locks`: who holds what, what has happened to it, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.node.nodes import NodeProcess

CODE = """
import asyncio

from understudy import App, Health, Resource, lock, semaphore

app = App("clusters")


@app.resource(capacity=4, check_every="50ms")
class Cluster(Resource[str, str]):
    async def create(self, spec: str, fence: int) -> str:
        return f"{spec}-{fence}"

    async def check(self, handle: str) -> Health:
        return "healthy"

    async def destroy(self, handle: str, fence: int) -> None: ...


@app.workflow
async def use(name: str) -> int:
    async with Cluster.at(name, "small").lease(units=2) as cluster, lock("ledger"), semaphore("seats", 5).lease(3):
        return cluster.fence
"""

AGAIN = """

@app.workflow
async def again(name: str) -> int:
    async with Cluster.at(name, "small").lease():
        pass
    await asyncio.sleep(1)
    async with Cluster.at(name, "small").lease() as cluster:
        return cluster.fence
"""


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A store in which the run `first` has had a cluster, a lock and a semaphore."""
    cli = Cli(tmp_path_factory.mktemp("clusters"))
    (cli.at / "clusters.py").write_text(CODE)
    assert cli("run", "clusters.py:use", "--input", '["analytics"]', "--id", "first").out == "2\n"
    yield cli
    cli.close()


def test_one_command_tells_what_happened_for_whom_and_why(used: Cli) -> None:
    told = used("resources", "history", "Cluster/analytics", "--leases").out.splitlines()
    assert told[0].split() == ["AT", "WHAT", "FENCE", "WHO", "NODE", "WHY"]
    rows = [line.split()[1:] for line in told[1:]]
    assert rows[0][:3] == ["creating", "1", "run/first"]
    assert rows[0][4:] == ["a", "lease", "is", "wanted"]
    assert rows[1][:3] == ["ready", "1", "run/first"]
    assert rows[1][4:] == ["created", "and", "healthy"]
    node = rows[0][3]
    assert ["lease", "granted", "2", "run/first", node] in rows
    assert ["lease", "over", "2", "run/first", node, "released"] in rows
    turns = used("resources", "history", "resource.Cluster/analytics", "--json").json
    assert [turn["seq"] for turn in turns] == list(range(1, len(turns) + 1))


def test_resources_and_locks_are_listed_and_shown(used: Cli) -> None:
    assert [each["key"] for each in used("resources", "list", "--json").json] == ["default/resource.Cluster/analytics"]
    assert used("resources", "list", "--type", "Nothing").err == "no resources\n"
    listed = used("locks", "list").out.splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [
        ["lock/ledger", "ready", "0/1"],
        ["semaphore/seats", "ready", "0/5"],
    ]
    shown = used("resources", "show", "Cluster/analytics", "--json").json
    assert (shown["state"], shown["handle"], shown["fence"], shown["leases"]) == ("ready", "small-1", 2, [])
    assert "handle      small-1" in used("resources", "show", "Cluster/analytics").out


def test_what_is_not_there_and_what_needs_a_node_say_so(used: Cli) -> None:
    missing = used("resources", "show", "Cluster/other")
    assert (missing.code, missing.err.count("\n")) == (2, 1)
    assert "there is no resource.Cluster/other in this store" in missing.err
    change = used("resources", "drain", "Cluster/analytics")
    assert change.code == 2
    assert "--connect" in change.err
    assert "is no address" in used("resources", "show", "nothing").err


def test_one_command_tells_who_ended_it_and_why(tmp_path: Path) -> None:
    code = CODE.replace('check_every="50ms"', 'check_every="50ms", idle_timeout="100ms"')
    (tmp_path / "clusters.py").write_text(code + AGAIN)
    cli = Cli(tmp_path)
    assert cli("run", "clusters.py:again", "--input", '["a"]', "--id", "r").code == 0
    rows = [line.split() for line in cli("resources", "history", "Cluster/a").out.splitlines()[1:]]
    ended = [row for row in rows if row[1] in ("draining", "destroying", "absent")][:3]
    assert [row[1:4] for row in ended] == [
        ["draining", "2", "run/r"],
        ["destroying", "3", "run/r"],
        ["absent", "3", "run/r"],
    ]
    assert [" ".join(row[5:]) for row in ended] == ["idle for 0.1 s", "idle for 0.1 s", "destroyed: idle for 0.1 s"]
    assert {row[4] for row in rows} == {rows[0][4]}, "the node"
    assert all(row[0].startswith("20") for row in rows)
    cli.close()


@pytest.mark.slow
def test_a_node_does_what_operators_ask_and_remembers_who_and_why(tmp_path: Path) -> None:
    (tmp_path / "clusters.py").write_text(CODE)
    node = NodeProcess(tmp_path, ("node", "clusters.py:app", "--store", "s.db", "--listen", "127.0.0.1:0"))
    node.logged("the node is ready")
    cli = Cli(tmp_path)
    cli.env = {"UNDERSTUDY_CONNECT": node.address}
    try:
        assert cli("runs", "start", "use", "--input", '["a"]', "--id", "r", "--wait").out.endswith("2\n")
        assert cli("resources", "set-capacity", "Cluster/a", "9", "--by", "ada").code == 0
        assert cli("resources", "show", "Cluster/a", "--json").json["capacity"] == 9
        assert cli("resources", "drain", "Cluster/a", "--by", "ada", "--note", "too dear").out.startswith(
            "Cluster/a is "
        )
        told = cli("resources", "history", "Cluster/a").out
        assert "ada" in told
        assert "drained by ada: too dear" in told
        refused = cli("resources", "settle", "Cluster/a", "created")
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert [each["key"] for each in cli("locks", "list", "--json").json] == [
            "default/lock/ledger",
            "default/semaphore/seats",
        ]
    finally:
        cli.close()
        node.close()
