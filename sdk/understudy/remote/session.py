"""`Session`: many calls over one stream, that comes back when it breaks.

    call ──► outbox ──one request──► node ──one response──► futures

What is called while a request is on its way goes out in the next; nobody waits for a batch to fill. A call stays open
until it is answered, given up, or the client's patience is over; a new stream begins by sending all that is open.

A node that is too busy refuses new work and says when to try again. The session does that by itself, as long as the
client's patience lasts: after the delay it was told, twice that the next time, and so on up to `MOST_DELAYS` times it,
and each time a random part later, so that clients that were refused together do not come back together.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from typing import Any, Final

import grpc
import grpc.aio

from understudy.errors import BadInput, Overloaded, UnderstudyError, Unreachable
from understudy.remote.errors import CLOSING, is_transient, of_error, of_status
from understudy.remote.targets import Targets
from understudy_proto.v1 import sessions_pb2

METHOD: Final = "/understudy.v1.SessionService/Calls"
BATCH_BYTES: Final = 2**20
"""A request ends with the call that makes it larger than this."""
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0
ANSWER_S: Final = 60.0
"""How long a call that does not wait for anything may go without an answer."""
MOST_DELAYS: Final = 8
SPREAD: Final = 0.5
"""What is waited longer than that before a refused call is tried again, at most, as a share of it."""
FRAME_BYTES: Final = 1_024
"""What a request may have besides its calls."""

Metadata = Sequence[tuple[str, str | bytes]]


class _Open:
    """A call that has not been answered."""

    __slots__ = ("answer", "call", "size", "timer")

    def __init__(self, call: sessions_pb2.Call, answer: asyncio.Future[Any]) -> None:
        self.call = call
        self.size = call.ByteSize()
        self.answer = answer
        self.timer: asyncio.TimerHandle | None = None


class Session:
    """Used on one event loop. `patience_s`: how long calls wait for a node to be reached again.

    With `retry_overloaded` that is also how long they go on asking a node that is too busy. What a node leaves undone
    because it closes is asked of the next one, unless the session does not care to live for that (`outlives_closing`).
    """

    def __init__(
        self,
        targets: Targets,
        metadata: Metadata,
        patience_s: float,
        *,
        retry_overloaded: bool = True,
        outlives_closing: bool = True,
    ) -> None:
        self._targets = targets
        self._metadata = tuple(metadata)
        self._patience_s = patience_s
        self._overloaded_s = patience_s if retry_overloaded else 0.0
        self._outlives_closing = outlives_closing
        self._loop = asyncio.get_running_loop()
        self._prefix = os.urandom(8).hex()
        self._count = 0
        self._open: dict[int, _Open] = {}
        self._outbox: list[int] = []
        self._abandoned: list[int] = []
        self._news = asyncio.Event()
        self._max_request_bytes = 2**62
        self._keeper: asyncio.Task[None] | None = None
        self._closed: UnderstudyError | None = None
        self._up = False

    async def open(self, wait_s: float = 0.0) -> None:
        """Unreachable if none of the nodes answers for so long; NotAllowed if it does not let us in."""
        first: asyncio.Future[None] = self._loop.create_future()
        self._keeper = self._loop.create_task(self._keep(first, self._loop.time() + wait_s))
        await first

    async def close(self) -> None:
        self._closed = Unreachable("the client has been closed")
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._fail(self._closed)

    def key(self) -> str:
        """An idempotency key."""
        self._count += 1
        return f"{self._prefix}{self._count:x}"

    async def call(self, kind: str, request: Any, *, waits: bool = False) -> Any:
        """The answer to a request, of `kind` as in `Call`. `waits`: it may take as long as it likes."""
        give_up_at, delays = self._loop.time() + self._overloaded_s, 1
        while True:
            try:
                return await self._call(kind, request, waits)
            except Overloaded as refused:
                pause_s = max(refused.retry_after_s, FIRST_PAUSE_S) * delays * random.uniform(1, 1 + SPREAD)
                if self._loop.time() + pause_s > give_up_at:
                    raise
            await asyncio.sleep(pause_s)
            delays = min(delays * 2, MOST_DELAYS)

    async def _call(self, kind: str, request: Any, waits: bool) -> Any:
        if self._closed is not None:
            raise self._closed
        self._count += 1
        number = self._count
        opened = _Open(sessions_pb2.Call(number=number, **{kind: request}), self._loop.create_future())
        self._check_size(opened)
        if not waits:
            opened.timer = self._loop.call_later(ANSWER_S, self._too_late, number)
        self._open[number] = opened
        self._outbox.append(number)
        self._news.set()
        try:
            return await opened.answer
        except asyncio.CancelledError:
            self._abandoned.append(number)
            self._news.set()
            raise
        finally:
            self._open.pop(number, None)
            if opened.timer is not None:
                opened.timer.cancel()

    # --- the stream, again and again

    async def _keep(self, first: asyncio.Future[None], begin_by: float) -> None:
        down_since, pause_s, untried = self._loop.time(), FIRST_PAUSE_S, len(self._targets)
        while True:
            self._up = False
            target, channel = self._targets.name, self._targets.channel
            broken = await self._serve(channel, first)
            if self._up:
                down_since, pause_s, untried = self._loop.time(), FIRST_PAUSE_S, len(self._targets)
            error, untried = self._told(target, broken), untried - 1
            if is_transient(broken):
                self._targets.leave(channel)
                if untried > 0:
                    continue
            if not first.done():
                if not is_transient(broken) or self._loop.time() + pause_s > begin_by:
                    first.set_exception(error)
                    return
                untried = len(self._targets)
            elif not is_transient(broken) or self._loop.time() - down_since > self._patience_s:
                self._fail(error)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _serve(self, channel: grpc.aio.Channel, first: asyncio.Future[None]) -> grpc.aio.AioRpcError:
        """Carry calls for as long as one stream lasts; how it ended."""
        begin: grpc.aio.StreamStreamMultiCallable[Any, Any] = channel.stream_stream(
            METHOD,
            request_serializer=sessions_pb2.CallsRequest.SerializeToString,
            response_deserializer=sessions_pb2.CallsResponse.FromString,
        )
        stream = begin(metadata=self._metadata)
        writer: asyncio.Task[None] | None = None
        try:
            response = await stream.read()
            while isinstance(response, sessions_pb2.CallsResponse):
                if writer is None:
                    self._begin(response.limits)
                    writer = self._loop.create_task(self._write(stream))
                    if not first.done():
                        first.set_result(None)
                self._take(response)
                response = await stream.read()
            return _ended(await stream.code(), await stream.details())
        except grpc.aio.AioRpcError as error:
            return error
        except asyncio.InvalidStateError as error:
            return _ended(grpc.StatusCode.UNAVAILABLE, str(error))
        finally:
            stream.cancel()
            if writer is not None:
                writer.cancel()

    def _begin(self, limits: sessions_pb2.SessionLimits) -> None:
        self._up = True
        self._max_request_bytes = limits.max_request_bytes or self._max_request_bytes
        self._abandoned.clear()
        self._outbox = list(self._open)
        for number in self._outbox:
            self._check_again(number)
        self._news.set()

    async def _write(self, stream: grpc.aio.StreamStreamCall[Any, Any]) -> None:
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._outbox or self._abandoned:
                    await stream.write(self._batch())
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the reader hears of it, too

    def _batch(self) -> sessions_pb2.CallsRequest:
        abandoned, self._abandoned = self._abandoned, []
        calls: list[sessions_pb2.Call] = []
        size = taken = 0
        for number in self._outbox:
            opened = self._open.get(number)
            if opened is not None:
                if calls and size + opened.size > min(BATCH_BYTES, self._max_request_bytes - FRAME_BYTES):
                    break
                calls.append(opened.call)
                size += opened.size + 16
            taken += 1
        del self._outbox[:taken]
        return sessions_pb2.CallsRequest(calls=calls, abandoned=abandoned)

    def _take(self, response: sessions_pb2.CallsResponse) -> None:
        for result in response.results:
            opened = self._open.get(result.number)
            kind = result.WhichOneof("result")
            if opened is None or opened.answer.done() or kind is None:
                continue
            if kind != "error":
                opened.answer.set_result(getattr(result, kind))
            elif result.error.reason != CLOSING or not self._outlives_closing:
                opened.answer.set_exception(of_error(result.error))
            # Otherwise the node closes, and leaves the call to our next stream.

    # --- what goes wrong

    def _check_size(self, opened: _Open) -> None:
        if opened.size > self._max_request_bytes - FRAME_BYTES:
            raise _too_large(opened.size, self._max_request_bytes)

    def _check_again(self, number: int) -> None:
        """Another node may allow less."""
        opened = self._open[number]
        if opened.size > self._max_request_bytes - FRAME_BYTES and not opened.answer.done():
            opened.answer.set_exception(_too_large(opened.size, self._max_request_bytes))

    def _too_late(self, number: int) -> None:
        opened = self._open.get(number)
        if opened is not None and not opened.answer.done():
            what = "does not answer" if self._up else "cannot be reached"
            opened.answer.set_exception(
                Unreachable(
                    f"{self._targets.name} {what}: nothing for {ANSWER_S:.0f} s; what was asked may have been done"
                )
            )

    def _fail(self, error: UnderstudyError) -> None:
        for opened in self._open.values():
            if not opened.answer.done():
                opened.answer.set_exception(error)

    def _told(self, target: str, broken: grpc.aio.AioRpcError) -> UnderstudyError:
        return unreachable(target, broken) if is_transient(broken) else of_status(broken)


def unreachable(target: str, broken: grpc.aio.AioRpcError) -> Unreachable:
    """In words for people: what happened and what to do."""
    why = broken.details() or broken.code().name
    if "refused" in why.lower():
        return Unreachable(
            f"nobody listens at {target}; start a node there with `understudy node TARGET --listen {target}`,"
            " or connect to another address"
        )
    if "dns" in why.lower() or "name or service" in why.lower():
        return Unreachable(f"{target} cannot be reached: there is no host of that name; check the address ({why})")
    return Unreachable(f"{target} cannot be reached: {why}; check the address, and that a node listens there")


def _too_large(size: int, limit: int) -> BadInput:
    return BadInput(f"the request has {size} bytes, and the node takes {limit}; pass large values by reference")


def _ended(code: grpc.StatusCode, details: str | None) -> grpc.aio.AioRpcError:
    """A stream that ended in good order is over all the same."""
    if code is grpc.StatusCode.OK:
        code, details = grpc.StatusCode.UNAVAILABLE, "the node ended the session"
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details)
