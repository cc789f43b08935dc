"""The protocol only grows: what a client or node of the last release sends is read, and what it is sent it can read."""

from __future__ import annotations

from base64 import b64decode
from typing import Any, Final

import msgspec
import pytest
from google.protobuf import json_format, message_factory
from google.protobuf.message import Message

from tests.goldens.lines import Line, read
from tests.goldens.peers import Sent
from tests.goldens.protocol import UNKNOWN, described, messages
from tests.goldens.test_formats import missing

DECLARED: Final = read("descriptors")
SENT: Final = read("protocol")
CLASSES: Final = {kind.full_name: message_factory.GetMessageClass(kind) for kind in messages()}


@pytest.fixture(scope="module")
def now() -> dict[tuple[str, str], Any]:
    return {(kind, name): declared for kind, name, declared in described()}


@pytest.mark.parametrize("line", DECLARED, ids=lambda line: line.name)
def test_what_was_declared_is_declared(line: Line, now: dict[tuple[str, str], Any]) -> None:
    declared = msgspec.json.decode(msgspec.json.encode(now.get((line.of, line.variant), "gone")))
    assert missing(line.whole, declared) == []


@pytest.mark.parametrize("line", SENT, ids=lambda line: line.name)
def test_a_message_is_read_and_sent_again_the_same(line: Line) -> None:
    sent = msgspec.json.decode(line.text, type=Sent)
    data = b64decode(sent.base64)
    message = parsed(line.of, data)
    assert message.SerializeToString(deterministic=True) == data
    assert json_format.MessageToDict(message, preserving_proto_field_name=True) == sent.json


@pytest.mark.parametrize("kind", CLASSES)
def test_what_a_later_release_has_added_is_passed_on(kind: str) -> None:
    line = next(line for line in SENT if line.of == kind and line.variant == "0")
    data = b64decode(msgspec.json.decode(line.text, type=Sent).base64) + UNKNOWN
    assert UNKNOWN in parsed(kind, data).SerializeToString()


def parsed(kind: str, data: bytes) -> Message:
    message = CLASSES[kind]()
    message.ParseFromString(data)
    return message
