"""A worker of no language in particular: what the node says and takes, message by message, from workers.proto alone."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import grpc
import pytest

from tests.workers.conftest import PATIENCE_S, Node
from understudy_proto.v1 import values_pb2, workers_pb2, workers_pb2_grpc
from understudy_runtime.rpc import work_wire

FUZZED_STREAMS = 60


def hello(**fields: Any) -> workers_pb2.WorkRequest:
    given: dict[str, Any] = {
        "worker_id": f"w-{random.getrandbits(64):x}",
        "name": "foreign",
        "protocol_min": 1,
        "protocol_max": 1,
        "tasks": ["measure"],
        "slots": 2,
    }
    return workers_pb2.WorkRequest(hello=workers_pb2.Hello(**given | fields))


class Stream:
    def __init__(self, node: Node) -> None:
        self._requests: SimpleQueue[workers_pb2.WorkRequest | None] = SimpleQueue()
        stub: Any = workers_pb2_grpc.WorkerServiceStub(node.channel)
        self._call: Any = stub.Work(iter(self._requests.get, None), timeout=PATIENCE_S)

    def say(self, request: workers_pb2.WorkRequest) -> None:
        self._requests.put(request)

    def heard(self) -> Any:
        """What the node says next. RpcError when it has ended the stream with a reason."""
        return next(self._call)

    def dispatch(self) -> Any:
        """The next dispatch, whatever is said before it."""
        while True:
            if (said := self.heard()).dispatches:
                return said.dispatches[0]

    def settled(self) -> Any:
        while True:
            if (said := self.heard()).settled:
                return said.settled[0]

    def refusal(self) -> tuple[grpc.StatusCode, str]:
        """How the node ends the stream."""
        try:
            for _ in self._call:
                pass
        except grpc.RpcError:
            return self._call.code(), self._call.details()
        raise AssertionError("the node ended the stream without a reason")

    def leave(self) -> None:
        self.say(workers_pb2.WorkRequest(leaving=True))
        self._requests.put(None)
        for _ in self._call:
            pass

    def break_off(self) -> None:
        self._requests.put(None)
        self._call.cancel()


@pytest.fixture
def stream(node: Node) -> Iterator[Stream]:
    stream = Stream(node)
    yield stream
    stream.break_off()


def welcomed(stream: Stream, **fields: Any) -> Any:
    stream.say(hello(**fields))
    return (stream.heard()).welcome


def result(token: Any, data: bytes) -> workers_pb2.WorkRequest:
    return workers_pb2.WorkRequest(credits=1, results=[workers_pb2.AttemptResult(token=token, result=data)])


def test_a_session_from_hello_to_leaving(node: Node, stream: Stream) -> None:
    welcome = welcomed(stream)
    assert (welcome.protocol, welcome.heartbeat.seconds, welcome.session_timeout.seconds) == (1, 3, 10)
    run_id = node.start("measured", 21)
    stream.say(workers_pb2.WorkRequest(credits=1))
    dispatch = stream.dispatch()
    assert (dispatch.task, dispatch.slots, dispatch.token.attempt, dispatch.token.dispatch) == ("measure", 1, 1, 1)
    assert json.loads(dispatch.arguments) == {"args": [21, 2], "kwargs": {}}
    assert dispatch.token.key == f"default/run/{run_id}"
    stream.say(result(dispatch.token, b"42"))
    settled = stream.settled()
    assert (settled.token, settled.stale) == (dispatch.token, False)
    assert node.result(run_id) == 42
    stream.leave()


def test_a_failure_reaches_the_run_as_the_worker_told_it(node: Node, stream: Stream) -> None:
    welcomed(stream)
    run_id = node.start("measured", 1)
    stream.say(workers_pb2.WorkRequest(credits=1))
    failure = values_pb2.Failure(type="RangeError", message="too small", kind=values_pb2.FAILURE_KIND_ERROR)
    token = (stream.dispatch()).token
    stream.say(workers_pb2.WorkRequest(results=[workers_pb2.AttemptResult(token=token, failure=failure)]))
    assert "RangeError" in (node.outcome(run_id)).failure


@pytest.mark.parametrize("data", [b"", b"{", b"1 2", b"\xff", b'"\xff"', b"[" * 5_000 + b"]" * 5_000, b"NaN"])
def test_a_result_that_is_not_json_fails_the_task_and_not_the_stream(node: Node, stream: Stream, data: bytes) -> None:
    welcomed(stream)
    run_id = node.start("measured", 1)
    stream.say(workers_pb2.WorkRequest(credits=1))
    stream.say(result((stream.dispatch()).token, data))
    assert "not JSON" in (node.outcome(run_id)).failure
    again = node.start("measured", 1)
    stream.say(result((stream.dispatch()).token, b"7"))
    assert node.result(again) == 7


def test_a_worker_that_comes_back_is_told_what_is_no_longer_its_own(node: Node, stream: Stream) -> None:
    token = workers_pb2.AttemptToken(key="default/run/none", execution=1, call=1, attempt=1, dispatch=1)
    assert list((welcomed(stream, holds=[token])).stale) == [token]


@pytest.mark.parametrize(
    ("request_", "code", "why"),
    [
        (workers_pb2.WorkRequest(credits=1), grpc.StatusCode.INVALID_ARGUMENT, "hello"),
        (hello(worker_id=""), grpc.StatusCode.INVALID_ARGUMENT, "worker_id"),
        (hello(slots=0), grpc.StatusCode.INVALID_ARGUMENT, "slots"),
        (hello(tasks=[]), grpc.StatusCode.INVALID_ARGUMENT, "tasks"),
        (hello(name="a\nb"), grpc.StatusCode.INVALID_ARGUMENT, "name"),
        (hello(namespace="a/b"), grpc.StatusCode.INVALID_ARGUMENT, "namespace"),
        (hello(protocol_min=2, protocol_max=3), grpc.StatusCode.FAILED_PRECONDITION, "upgrade the older one"),
    ],
)
def test_a_hello_that_cannot_be_is_refused_with_the_reason(
    stream: Stream, request_: workers_pb2.WorkRequest, code: grpc.StatusCode, why: str
) -> None:
    stream.say(request_)
    refused, message = stream.refusal()
    assert (refused, why in message) == (code, True), message


@pytest.mark.parametrize(("of_worker", "spoken"), [((1, 1), 1), ((1, 2), 2), ((2, 3), 2)])
def test_a_node_speaks_with_workers_of_the_release_before_and_after_what_both_speak(
    monkeypatch: pytest.MonkeyPatch, of_worker: tuple[int, int], spoken: int
) -> None:
    monkeypatch.setattr(work_wire, "PROTOCOL_MAX", 2)
    said = workers_pb2.Hello(protocol_min=of_worker[0], protocol_max=of_worker[1])
    assert work_wire.spoken(said) == spoken


def test_a_second_hello_is_refused(stream: Stream) -> None:
    welcomed(stream)
    stream.say(hello())
    assert (stream.refusal())[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_a_newer_stream_of_the_same_worker_ends_the_older(node: Node, stream: Stream) -> None:
    welcomed(stream, worker_id="twin")
    newer = Stream(node)
    welcomed(newer, worker_id="twin")
    assert stream.refusal() == (grpc.StatusCode.ABORTED, "replaced by a newer stream of the same worker")
    newer.leave()


def test_a_request_that_is_too_large_ends_the_stream_only(node: Node, stream: Stream) -> None:
    welcome = welcomed(stream)
    token = workers_pb2.AttemptToken(key="default/run/none")
    stream.say(result(token, b"1" * (welcome.max_request_bytes + 1)))
    assert (stream.refusal())[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    after = Stream(node)
    welcomed(after)
    after.leave()


def test_nonsense_harms_nobody(node: Node) -> None:
    """Random messages on many streams; then a worker does its work as if nothing had been."""
    chance = random.Random(7)
    for _ in range(FUZZED_STREAMS):
        stream = Stream(node)
        if chance.random() < 0.8:
            welcomed(stream, slots=chance.choice([1, 100_000]), tasks=["nothing"])
        for _ in range(chance.randrange(5)):
            stream.say(nonsense(chance))
        stream.break_off()
    stream = Stream(node)
    welcomed(stream)
    run_id = node.start("measured", 1)
    stream.say(workers_pb2.WorkRequest(credits=1))
    stream.say(result((stream.dispatch()).token, b"1"))
    assert node.result(run_id) == 1
    stream.leave()


def nonsense(chance: random.Random) -> workers_pb2.WorkRequest:
    token = workers_pb2.AttemptToken(
        key=chance.choice(["", "/", "default/run/x", "\0"]), execution=chance.randrange(-(2**63), 2**63)
    )
    request = workers_pb2.WorkRequest(credits=chance.choice([0, 1, 2**32 - 1]), leaving=chance.random() < 0.2)
    request.results.add(token=token, result=chance.randbytes(chance.randrange(50)))
    request.results.add(failure=values_pb2.Failure(type="x" * chance.randrange(1000), arguments=chance.randbytes(9)))
    request.results.add().started_at.seconds = chance.choice([0, -1, 2**62])
    request.given_back.add(token=token, reason="x" * chance.randrange(100_000))
    request.progress.add(token=token, progress=chance.randbytes(9))
    request.health.blocked_for.seconds = chance.choice([0, 1, 2**62, -5])
    return request
