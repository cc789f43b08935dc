"""Sessions: many calls over one stream, answered in batches as they are done.

One task reads, one writes, and each call has one. Nothing waits for a batch to fill: what has been answered while the
previous response was on its way goes out in the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc.aio

from understudy.errors import BadInput, BadRequest, Overloaded
from understudy_proto.v1 import sessions_pb2
from understudy_runtime.rpc.calls import Calls
from understudy_runtime.rpc.errors import NodeClosing, Refusal, refusal, to_error
from understudy_runtime.rpc.limits import MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Limits

BATCH_BYTES: Final = 2**20
"""A response ends with the result that makes it larger than this."""

Context = grpc.aio.ServicerContext[sessions_pb2.CallsRequest, sessions_pb2.CallsResponse]


class Sessions:
    """SessionService."""

    def __init__(self, calls: Calls, limits: Limits) -> None:
        self._calls = calls
        self._limits = limits
        self._open: set[_Session] = set()

    async def calls(self, context: Context) -> Refusal | None:
        """One session, from its first request to its last answer; why the node ended it, if it did."""
        session = _Session(self._calls, self._limits, context)
        self._open.add(session)
        try:
            return await session.serve()
        finally:
            self._open.discard(session)

    def close(self) -> None:
        """End all sessions once they have been told what is known."""
        for session in self._open:
            session.close(refusal(NodeClosing()))


class _Session:
    def __init__(self, calls: Calls, limits: Limits, context: Context) -> None:
        self._methods: dict[str, Callable[[Any], Awaitable[Any]]] = {
            field.name: getattr(calls, field.name)
            for field in sessions_pb2.Call.DESCRIPTOR.oneofs_by_name["request"].fields
        }
        self._limits = limits
        self._context = context
        self._open: dict[int, asyncio.Task[None]] = {}
        self._results: deque[sessions_pb2.CallResult] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._refused: Refusal | None = None

    def close(self, refused: Refusal) -> None:
        """End it, for this reason, once the client has been told what is known."""
        self._refused = refused
        self._news.set()

    async def serve(self) -> Refusal | None:
        reader = asyncio.get_running_loop().create_task(self._read())
        try:
            await self._context.write(self._limits_message())
            await self._write()
            return self._refused
        finally:
            # The client is gone or has been answered: nobody waits any longer for what is still open.
            reader.cancel()
            for task in self._open.values():
                task.cancel()

    # --- in

    async def _read(self) -> None:
        create_task = asyncio.get_running_loop().create_task
        try:
            while (request := await self._next()) is not None:
                for number in request.abandoned:
                    self._abandon(number)
                for call in request.calls:
                    if (refused := self._refusal(call)) is not None:
                        self._answer(call.number, error=to_error(refused))
                        continue
                    # The session lives as long as its calls, and holds them.
                    self._open[call.number] = create_task(self._carry_out(call))
        except BadInput as error:
            self.close(refusal(error))
        finally:
            self._ended = True
            self._news.set()

    async def _next(self) -> sessions_pb2.CallsRequest | None:
        request: Any = await self._context.read()
        return None if request is grpc.aio.EOF else request

    def _refusal(self, call: sessions_pb2.Call) -> Refusal | None:
        if call.number in self._open:
            return refusal(BadRequest(f"call {call.number} is open already; number calls differently"))
        if len(self._open) >= self._limits.max_open_calls:
            return refusal(Overloaded(f"this session has {self._limits.max_open_calls} calls open; await some first"))
        return None

    def _abandon(self, number: int) -> None:
        task = self._open.pop(number, None)
        if task is not None:
            task.cancel()

    async def _carry_out(self, call: sessions_pb2.Call) -> None:
        kind = call.WhichOneof("request")
        try:
            if kind is None:
                raise BadRequest(f"call {call.number} is of no kind that this node knows")
            response = await self._methods[kind](getattr(call, kind))
            self._answer(call.number, **{kind: response})
        except Exception as error:
            self._answer(call.number, error=to_error(refusal(error)))
        finally:
            self._open.pop(call.number, None)

    # --- out

    def _answer(self, number: int, **result: Any) -> None:
        answer = sessions_pb2.CallResult(number=number, **result)
        if answer.ByteSize() > MAX_RESPONSE_BYTES - BATCH_BYTES:
            refused = refusal(Overloaded(f"the answer has {answer.ByteSize()} bytes, too many to send"))
            answer = sessions_pb2.CallResult(number=number, error=to_error(refused))
        self._results.append(answer)
        self._news.set()

    async def _write(self) -> None:
        """Until the client has ended its side and everything is answered, or the node closes."""
        while self._results or not (self._refused or (self._ended and not self._open)):
            if not self._results:
                self._news.clear()
                await self._news.wait()
                continue
            await self._context.write(self._batch())

    def _batch(self) -> sessions_pb2.CallsResponse:
        results, size = self._results, 0
        batch: list[sessions_pb2.CallResult] = []
        while results and size < BATCH_BYTES:
            batch.append(results.popleft())
            size += batch[-1].ByteSize()
        return sessions_pb2.CallsResponse(results=batch)

    def _limits_message(self) -> sessions_pb2.CallsResponse:
        limits = sessions_pb2.SessionLimits(
            max_open_calls=self._limits.max_open_calls, max_request_bytes=MAX_REQUEST_BYTES
        )
        limits.keepalive.FromNanoseconds(int(self._limits.keepalive_s * 1e9))
        return sessions_pb2.CallsResponse(limits=limits)
