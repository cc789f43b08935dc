"""Whatever is sent to any method, the answer is one of the caller's errors, and the node goes on.

What is not tried here: drains that would stop the node (its hook does nothing), and the methods of workers.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from tests.rpc.conftest import LONG_S, soon
from tests.rpc.shop import checkout
from understudy import Client
from understudy_proto.v1 import sessions_pb2
from understudy_runtime.rpc.methods import SERVICES

pytestmark = pytest.mark.anyio

SECONDS = 1.5
OURS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED}
TEXTS = [
    "",
    "a",
    "checkout",
    "echo",
    "Approval",
    "Counter",
    "add",
    "get",
    "decide",
    "default",
    "\x00",
    "é/ü",
    "x" * 600,
    "0 3 * * *",
    "@hourly",
    "Asia/Kathmandu",
]
ADDRESSES = ["run", "actor.Counter", "actor.", "actor.run", "/", "a/b", "7b7d", "ffff", "5b312c2261225d", "32"]
JSON = [
    b"",
    b"5",
    b"[5]",
    b'{"cents":5}',
    b'{"args":[5],"kwargs":{}}',
    b'{"args":5}',
    b"[" * 300,
    b"\xff",
    b"NaN",
    b"1e999",
]
NEARLY_JSON = [
    b'{"args":["\\ud800"],"kwargs":{}}',
    b'{"args":[1],"kwargs":{"cents":1}}',
    b"null",
    b'"',
    b"[[1]]",
    b"9" * 400,
]
NUMBERS = [0, 1, 2, 7, 100, 1_000, 1_001, 2**31 - 1, -1, -(2**31)]
LARGE = [*NUMBERS, 2**62, -(2**62), 253_402_300_799, -62_135_596_800]


def methods() -> Iterator[MethodDescriptor]:
    for service in (*SERVICES, *sessions_pb2.DESCRIPTOR.services_by_name.values()):
        yield from service.methods


def made_up(chance: random.Random, kind: Descriptor, depth: int = 0) -> Message:
    message = message_factory.GetMessageClass(kind)()
    for field in kind.fields:
        if chance.random() < 0.35 or depth > 4:
            continue
        if field.is_repeated:
            getattr(message, field.name).extend(value(chance, field, depth) for _ in range(chance.randrange(4)))
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(value(chance, field, depth))
        else:
            setattr(message, field.name, value(chance, field, depth))
    return message


def value(chance: random.Random, field: FieldDescriptor, depth: int) -> Any:
    if field.message_type is not None:
        return made_up(chance, field.message_type, depth + 1)
    number = chance.choice(NUMBERS)
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return chance.choice(TEXTS + ADDRESSES)
        case FieldDescriptor.TYPE_BYTES:
            return chance.choice(JSON + NEARLY_JSON)
        case FieldDescriptor.TYPE_BOOL:
            return number % 2 == 0
        case FieldDescriptor.TYPE_INT64:
            return chance.choice(LARGE)
        case FieldDescriptor.TYPE_UINT32 | FieldDescriptor.TYPE_UINT64:
            return abs(number)
        case _:
            return number


def mutated(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data or b"\x00")
    for _ in range(chance.randrange(1, 5)):
        where = chance.randrange(len(changed))
        match chance.randrange(3):
            case 0:
                changed[where] = chance.randrange(256)
            case 1:
                del changed[where:][: chance.randrange(1, 4)]
            case _:
                changed[where:where] = chance.randbytes(chance.randrange(4))
    return bytes(changed)


@pytest.mark.parametrize("method", list(methods()), ids=lambda method: method.full_name)
async def test_any_message_is_answered_and_none_is_a_fault_of_ours(
    method: MethodDescriptor, channel: grpc.aio.Channel, client: Client
) -> None:
    chance = random.Random(method.full_name)
    path = f"/{method.containing_service.full_name}/{method.name}"
    await soon(client.run(checkout, 1, id="a"))
    await soon(client.schedules.create("a", checkout, 1, cron="0 3 * * *", tz="Europe/Berlin"))
    ended = time.monotonic() + SECONDS / 2
    tried = 0
    while time.monotonic() < ended:
        data = made_up(chance, method.input_type).SerializeToString()
        if chance.random() < 0.5:
            data = mutated(chance, data)
        error = await send(channel, method, path, data)
        assert error is None or error.code() not in OURS, (data, error)
        tried += 1
    assert tried > 10
    assert await soon(client.run(checkout, 2)) == "2"
    await soon(client.schedules.create("after", checkout, 1, every="1h"))
    assert await soon(client.schedules.list(limit=1))


async def send(
    channel: grpc.aio.Channel, method: MethodDescriptor, path: str, data: bytes
) -> grpc.aio.AioRpcError | None:
    """How it was refused; None if it was not, or still waits after a moment."""
    raw: Any = channel  # without (de)serializers it carries bytes
    try:
        if method.client_streaming:
            stream = raw.stream_stream(path)()
            await stream.read()
            await stream.write(data)
            await stream.done_writing()
            answer = await stream.read()
            if isinstance(answer, bytes):
                for result in sessions_pb2.CallsResponse.FromString(answer).results:
                    assert result.error.reason != "BUG", (data, result)
            stream.cancel()
        elif method.server_streaming:
            watch = raw.unary_stream(path)(data, timeout=0.05)
            await watch.read()
            watch.cancel()
        else:
            await raw.unary_unary(path)(data, timeout=0.05)
    except grpc.aio.AioRpcError as error:
        return None if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED else error
    return None


def test_all_methods_are_tried() -> None:
    assert len(list(methods())) >= 24
    assert LONG_S > SECONDS
