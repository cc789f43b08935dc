"""The worker's end of its streams: one at a time, to one node.

`carry` is one stream from hello to its end. Whoever calls it decides whether and when there is a next one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

import grpc.aio

from understudy_proto.v1 import workers_pb2, workers_pb2_grpc
from understudy_runtime.core.workers import FromWorker, Hello, ToWorker, Welcome
from understudy_runtime.rpc import work_wire
from understudy_runtime.rpc.limits import MAX_RESPONSE_BYTES

WELCOME_S: Final = 10.0
"""How long a node may take to answer a hello, connecting included."""

_HOPELESS: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


class StreamEnded(Exception):
    """The stream is no more. `hopeless`: another one would end alike, until somebody changes something."""

    def __init__(self, why: str, *, hopeless: bool = False) -> None:
        super().__init__(why)
        self.hopeless = hopeless


class Party(Protocol):
    """Who works: it is told what the node says, and when there is nobody left to say anything to."""

    def welcomed(self, welcome: Welcome, send: Callable[[FromWorker], None]) -> None: ...
    def take(self, batch: ToWorker) -> None: ...
    def disconnected(self) -> None: ...


def channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
    ]
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, credentials, options=options)


async def carry(channel: grpc.aio.Channel, hello: Hello, party: Party, done: asyncio.Event, token: str = "") -> None:
    """One stream, until `done` is set and everything has been said. StreamEnded if it ends before."""
    metadata = (("authorization", f"Bearer {token}"),) if token else None
    stub: Any = workers_pb2_grpc.WorkerServiceStub(channel)
    call: grpc.aio.StreamStreamCall[Any, Any] = stub.Work(metadata=metadata)
    stream = _Stream(call, party)
    try:
        await stream.begin(hello)
        await stream.converse(done)
    except grpc.aio.AioRpcError as error:
        raise StreamEnded(error.details() or error.code().name, hopeless=error.code() in _HOPELESS) from None
    except TimeoutError:
        raise StreamEnded("the node does not answer") from None
    finally:
        party.disconnected()
        call.cancel()


class _Stream:
    def __init__(self, call: grpc.aio.StreamStreamCall[Any, Any], party: Party) -> None:
        self._call = call
        self._party = party
        self._outbox: deque[FromWorker] = deque()
        self._news = asyncio.Event()
        self._welcome = Welcome("")

    async def begin(self, hello: Hello) -> None:
        async with asyncio.timeout(WELCOME_S):
            await self._call.write(workers_pb2.WorkRequest(hello=work_wire.to_hello(hello)))
            first: Any = await self._call.read()
        if first is grpc.aio.EOF or not first.HasField("welcome"):
            raise StreamEnded("the node did not welcome the worker")
        self._welcome = work_wire.welcome(first.welcome)
        self._party.welcomed(self._welcome, self._send)

    async def converse(self, done: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        reader, writer = loop.create_task(self._read()), loop.create_task(self._write(done))
        ending = loop.create_task(done.wait())
        ending.add_done_callback(lambda _: self._news.set())
        try:
            await asyncio.wait([reader, writer], return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                reader.result()
                raise StreamEnded("the node has ended the stream")
            writer.result()
            await self._call.done_writing()
        finally:
            for task in (reader, writer, ending):
                task.cancel()

    def _send(self, batch: FromWorker) -> None:
        self._outbox.append(batch)
        self._news.set()

    async def _read(self) -> None:
        while True:
            async with asyncio.timeout(self._welcome.session_timeout_s):
                response: Any = await self._call.read()
            if response is grpc.aio.EOF:
                await self._check()
                return
            self._party.take(work_wire.to_worker(response))

    async def _check(self) -> None:
        code = await self._call.code()
        if code is not grpc.StatusCode.OK:
            raise StreamEnded(await self._call.details() or code.name, hopeless=code in _HOPELESS)

    async def _write(self, done: asyncio.Event) -> None:
        """Whatever there is to say; and, if that is nothing for a heartbeat, that the worker is alive."""
        while self._outbox or not done.is_set():
            if not self._outbox:
                self._news.clear()
                try:
                    async with asyncio.timeout(self._welcome.heartbeat_s):
                        await self._news.wait()
                except TimeoutError:
                    self._outbox.append(FromWorker())
                continue
            for request in work_wire.to_requests(self._outbox.popleft()):
                await self._call.write(request)
