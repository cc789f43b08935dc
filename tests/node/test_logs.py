"""Logs name the node, the run, the task and the attempt, whoever logs; and nobody's turn waits for their reader."""

from __future__ import annotations

import os
import signal

from tests.node.nodes import Client, Yard, free_address
from understudy_runtime.node import logs
from understudy_runtime.node.logs import LineWriter


def test_what_a_task_logs_names_its_node_run_task_and_attempt(yard: Yard) -> None:
    node = yard.node("--name", "n1")
    run = node.client().start("total", "[[7]]")
    wanted = {"node": "n1", "run": run, "task": "add", "attempt": 1}
    assert node.logged("adding")["level"] == "info"
    assert node.logged("adding").items() >= wanted.items()
    assert node.logged("adding 7", logger="shop.plain").items() >= wanted.items()


def test_what_a_workflow_logs_is_not_repeated_when_it_is_replayed(yard: Yard) -> None:
    first = yard.node("--grace-s", "0")
    run = first.client().start("halting")
    yard.halted()
    first.signal(signal.SIGTERM)
    assert first.ended() == 0
    assert first.logged("halting")["run"] == run
    second = yard.node("--check-replay")
    yard.halted()
    yard.go_on("")
    second.logged("replay agrees", run=run)
    assert not [line for line in second.lines if '"halting"' in line]


def test_what_is_less_than_the_chosen_level_is_not_logged(yard: Yard) -> None:
    address = free_address()
    node = yard.node("--log-level", "warning", "--listen", address)
    client = Client(address)
    assert client.result(client.start("total", "[[7]]")) == 7
    node.logged("adding 7", level="warning")
    assert not [line for line in node.lines if '"info"' in line]


def test_a_reader_that_stalls_costs_lines_and_is_told_how_many() -> None:
    reading, writing = os.pipe()
    writer = LineWriter(writing)
    line = "x" * 1_000
    for _ in range(3 * logs.MAX_LINES):
        writer.write(line)
    lost = writer.lost
    assert lost > 0
    read = b""
    with os.fdopen(reading, "rb") as pipe:
        while b"log lines were lost" not in read:
            read += os.read(pipe.fileno(), 1 << 20)
        writer.close()
    os.close(writing)
    assert f"understudy: {lost} log lines were lost".encode() in read
