"""Both ends make of each request and answer what they made of it: clients, nodes and workers.

What is not tried here: streams, sessions and errors on the way, which `tests/rpc` has.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest
import structlog

from tests.goldens import conversions
from tests.goldens.lines import Line, read
from tests.goldens.peers import Sent
from tests.goldens.protocol import methods
from tests.goldens.test_formats import missing
from tests.goldens.test_protocol import parsed
from understudy_runtime.rpc.methods import FULL_NAMES, snake

NODE: Final = read("node_calls")
CLIENT: Final = read("client_calls")
WORK: Final = read("work_calls")
REQUESTS: Final = {snake(method.name): method.input_type.full_name for method in methods()}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


def data_of(line: Line) -> bytes:
    return b64decode(msgspec.json.decode(line.text, type=Sent).base64)


def compared(golden: dict[str, Any], now: dict[str, Any]) -> list[str]:
    plain: Any = msgspec.json.decode(msgspec.json.encode(now))
    return missing({name: each for name, each in golden.items() if name != "given"}, plain)


@pytest.mark.parametrize("line", NODE, ids=lambda line: line.name)
def test_a_node_does_and_answers_the_same(line: Line) -> None:
    request = parsed(REQUESTS[line.of], data_of(line))
    assert compared(line.whole, conversions.carried_out(line.of, request, line.whole["given"])) == []


@pytest.mark.parametrize("line", CLIENT, ids=lambda line: line.name)
def test_a_client_asks_and_returns_the_same(line: Line) -> None:
    arguments: dict[str, Any] = msgspec.json.decode(line.text)
    given = [b64decode(each) for each in line.whole["given"]]
    assert compared(line.whole, conversions.asked(line.of, arguments, given, None)) == []


@pytest.mark.parametrize("line", WORK, ids=lambda line: line.name)
def test_workers_and_nodes_understand_each_other_the_same(line: Line) -> None:
    message = parsed(conversions.WORKERS[line.of].DESCRIPTOR.full_name, data_of(line))
    assert compared(line.whole, conversions.between_worker_and_node(line.of, message)) == []


def test_every_call_is_there() -> None:
    assert {line.of for line in NODE} == set(FULL_NAMES)
    assert {line.of for line in CLIENT} == set(conversions.DOOR)
