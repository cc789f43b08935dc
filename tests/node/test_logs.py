"""Logs name the node, the run, the task and the attempt, whoever logs; and nobody's turn waits for their reader."""

from __future__ import annotations

import os
import re
import signal
import threading
from typing import Any

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


def test_what_a_task_in_a_process_of_its_own_says_names_them_too(yard: Yard) -> None:
    node = yard.node("--name", "n1")
    client = node.client()
    run = client.start("packing", '["socks"]')
    assert client.result(run) == [5, 5]
    wanted: dict[str, Any] = {"node": "n1", "run": run, "task": "pack", "attempt": 1}
    assert node.logged("packing", logger="shop", words="socks", **wanted)["level"] == "info"
    assert node.logged("packing socks", logger="shop.plain", weight=7, **wanted)["level"] == "warning"
    assert node.logged("packed socks", logger="stdout", **wanted)
    assert node.logged("no end of line", count=2, logger="stdout", **wanted)
    broken = node.logged("broken", level="error", **wanted)
    assert broken["exception"].endswith("ValueError: socks")
    assert broken["timestamp"][10] == "T"
    assert not [line for line in node.lines if not line.startswith("{")]


def test_what_is_less_than_the_chosen_level_is_not_logged_in_a_process_either(yard: Yard) -> None:
    address = free_address()
    node = yard.node("--log-level", "warning", "--listen", address)
    client = Client(address)
    client.result(client.start("packing", '["socks"]'))
    node.logged("packing again", task="pack")
    assert not [line for line in node.lines if '"event": "packing"' in line]


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
    lines: list[str] = []
    with os.fdopen(reading) as pipe:
        reader = threading.Thread(target=lambda: lines.extend(pipe))
        reader.start()
        writer.close(60.0)
        os.close(writing)
        reader.join()
    said = [re.fullmatch(r"understudy: (\d+) log lines were lost: .*\n", read) for read in lines]
    told = sum(int(found[1]) for found in said if found)
    written = lines.count(f"{line}\n")
    assert (told, written) == (lost, 3 * logs.MAX_LINES - lost)
