"""The newsletter at a real SMTP server: later is later, no is no, and nobody gets it twice."""

from __future__ import annotations

import asyncio
import json
import mailbox
import socket
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it asks typing for a name that CPython 3.15 warns of
    from aiosmtpd.controller import Controller

from examples import mail as example
from examples.mail import Issue, Relay
from tests.cli.conftest import PATIENCE_S, Cli, cli
from understudy import testing

__all__ = ["cli"]  # the fixture of the command's own tests

ISSUE = Issue("2026-11", "News", "None.")
ADA, GRACE, NOBODY = "ada@example.org", "grace@example.org", "nobody@example.org"


class Server:
    """A mail server. `answers` are given for an address before it is accepted; `archive` has what was."""

    def __init__(self, folder: Path) -> None:
        self.archive = mailbox.Maildir(folder / "archive")
        self.answers: dict[str, list[str]] = {}
        self.hold: str = ""
        self.held, self.let_go = threading.Event(), threading.Event()
        self.tried: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._open = Controller(self, hostname="127.0.0.1", port=_free_port())
        self._open.start()
        self.relay = Relay("127.0.0.1", self._open.port, archive=str(folder / "archive"))

    def close(self) -> None:
        self.let_go.set()
        self._open.stop()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name for it
        [address] = envelope.rcpt_tos
        self.tried[address] += 1
        if self.answers.get(address):
            return self.answers[address].pop(0)
        if self.hold != "before":
            self.archive.add(message_from_bytes(envelope.content))
        if self.hold:
            self.hold, hold = "", self.hold
            self.held.set()
            await asyncio.to_thread(self.let_go.wait, PATIENCE_S)
            if hold == "before":
                return "451 it was never here"
        return "250 OK"

    def got(self) -> Counter[str]:
        """How many mails each address has."""
        return Counter(str(mail["To"]) for mail in self.archive)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    yield running
    running.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.anyio
async def test_each_mail_arrives_once_and_later_is_tried_later(server: Server) -> None:
    server.answers = {ADA: ["451 4.7.1 greylisted", "451 4.7.1 greylisted"], NOBODY: ["550 5.1.1 no such user"]}
    async with testing.node(example.app) as client:
        began = client.now()
        fates = await client.run(example.newsletter, ISSUE, [ADA, GRACE, NOBODY], server.relay)
        assert 11 * 60 <= (client.now() - began).total_seconds() < 12 * 60
    assert fates == {ADA: "sent", GRACE: "sent", NOBODY: "refused"}
    assert server.got() == {ADA: 1, GRACE: 1}
    assert server.tried == {ADA: 3, GRACE: 1, NOBODY: 1}


@pytest.mark.anyio
async def test_a_server_that_is_never_there_is_given_up(server: Server) -> None:
    async with testing.node(example.app) as client:
        gone = Relay("127.0.0.1", _free_port())
        assert await client.run(example.newsletter, ISSUE, [ADA], gone) == {ADA: "gave up"}


@pytest.mark.anyio
async def test_the_rate_is_for_all_newsletters_together(server: Server) -> None:
    to = [f"reader{number}@example.org" for number in range(15)]
    async with testing.node(example.app) as client:
        began = client.now()
        other = Issue("2026-12", "News", "None.")
        runs = [await client.start(example.newsletter, issue, to, server.relay) for issue in (ISSUE, other)]
        for run in runs:
            await run.result()
        assert (client.now() - began).total_seconds() >= 2, "30 mails at 10 a second, the first second's at once"
    assert server.got() == dict.fromkeys(to, 2)


@pytest.mark.anyio
async def test_the_same_issue_sent_anew_has_the_same_message_ids(server: Server) -> None:
    async with testing.node(example.app) as client:
        for _ in range(2):
            await client.run(example.newsletter, ISSUE, [ADA], server.relay)
    assert len({mail["Message-ID"] for mail in server.archive}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("hold", ["after", "before"])
def test_killed_before_the_answer_came_it_looks_and_sends_only_what_is_not_there(
    cli: Cli, server: Server, hold: str
) -> None:
    """`after`: the server has taken the mail; `before`: it has not."""
    text = Path(example.__file__ or "").read_text()
    assert 'seconds("1m")' in text
    (cli.at / "mail.py").write_text(text.replace('seconds("1m")', 'seconds("100ms")'))
    command = ("run", "mail.py:newsletter", "--input", _input([ADA], server.relay), "--id", "n")
    server.hold = hold
    killed = cli.start(*command)
    assert server.held.wait(PATIENCE_S), killed.communicate()
    killed.kill()
    killed.wait(PATIENCE_S)
    ended = cli(*command)
    assert (ended.code, ended.json) == (0, {ADA: "sent"}), ended.err
    assert server.got() == {ADA: 1}
    assert server.tried == {ADA: 1 if hold == "after" else 2}


@pytest.mark.slow
def test_without_an_archive_it_says_that_it_does_not_know(cli: Cli, server: Server) -> None:
    path = str(Path(example.__file__ or "").resolve())
    blind = Relay(server.relay.host, server.relay.port)
    command = ("run", f"{path}:newsletter", "--input", _input([ADA], blind), "--id", "n")
    server.hold = "after"
    killed = cli.start(*command)
    assert server.held.wait(PATIENCE_S), killed.communicate()
    killed.kill()
    killed.wait(PATIENCE_S)
    assert cli(*command).json == {ADA: "unknown"}
    assert server.got() == {ADA: 1}


def _input(to: list[str], relay: Relay) -> str:
    return json.dumps({"issue": vars(ISSUE), "to": to, "relay": vars(relay)})
