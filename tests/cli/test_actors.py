"""`understudy actors`: actors of a real node in another process, from a folder without any of its code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.conftest import Cli
from tests.node.nodes import NodeProcess

HALL = """
from understudy import Actor, App, handler, readonly, remind

app = App("hall")

@app.actor(version=3)
class Visits(Actor):
    names: list[str] = []

    @handler
    def enter(self, name: str) -> int:
        if not name:
            raise ValueError("who?")
        self.names.append(name)
        remind("close", "1h", Visits.enter, "the guard")
        return len(self.names)

    @readonly
    def count(self) -> int:
        return len(self.names)
"""


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    at = tmp_path_factory.mktemp("hall")
    (at / "hall.py").write_text(HALL)
    node = NodeProcess(at, ("node", "hall.py:app", "--store", "s.db", "--listen", "127.0.0.1:0"))
    node.logged("the node is ready")
    elsewhere = at / "elsewhere"
    elsewhere.mkdir()
    cli = Cli(elsewhere)
    cli.env = {"UNDERSTUDY_CONNECT": node.address}
    yield cli
    cli.close()
    node.close()


def test_an_actor_is_asked_told_and_shown(cli: Cli) -> None:
    asked = cli("actors", "ask", "Visits/north", "enter", "--input", '"Ada"')
    assert (asked.code, asked.out) == (0, "1\n"), asked.err
    assert cli("actors", "tell", "Visits/north", "enter", "--input", '{"name": "Bo"}').code == 0
    shown = cli("actors", "show", "Visits/north", "--json").json
    assert (shown["actor"], shown["status"], shown["version"]) == ("Visits/north", "active", 3)
    assert shown["state"] == {"names": ["Ada", "Bo"]}
    assert list(shown["reminders"]) == ["close"]


@pytest.mark.slow
def test_actors_are_listed_and_shown_for_people(cli: Cli) -> None:
    for name in ("east", "west"):
        cli("actors", "tell", f"Visits/{name}", "enter", "--input", '"x"')
    text = cli("actors", "show", "Visits/west").out
    assert "close at 20" in text
    assert "held" not in text
    assert cli("actors", "ask", "Visits/west", "count", "--json").json == {"result": 1}
    listed = cli("actors", "list")
    assert listed.out.splitlines()[0].split() == ["ACTOR", "STATUS", "SINCE", "UPDATED"]
    assert {"Visits/east", "Visits/west"} <= {line.split()[0] for line in listed.out.splitlines()}
    assert cli("actors", "list", "Visits", "--status", "held").err.strip() == "no actors"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("ask", "Visits/south", "enter", "--input", '""'), 1, "enter of Visits/south raised ValueError: who?"),
        (("ask", "Visits/south", "leave"), 2, "no handler named leave"),
        (("tell", "Visits/south", "count"), 2, "count is @readonly"),
        (("ask", "Visits/south", "enter", "--input", "7"), 2, "Expected `str`, got `int`"),
        (("show", "Visits"), 2, "names no actor"),
        (("show", "Visits/nobody"), 2, "nothing has happened"),
        (("list", "--status", "asleep"), 2, "no status of actors"),
    ],
)
def test_what_does_not_work_is_explained(cli: Cli, words: tuple[str, ...], code: int, told: str) -> None:
    refused = cli("actors", *words)
    assert (refused.code, refused.out) == (code, "")
    assert told in refused.err
