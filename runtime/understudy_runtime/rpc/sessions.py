"""Sessions: many calls over one stream, answered in batches as they are done.

One task reads, one writes, and each call has one. Nothing waits for a batch to fill: what has been answered while the
previous response was on its way goes out in the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import grpc.aio

from understudy.errors import BadInput, BadRequest, Overloaded
from understudy_proto.v1 import sessions_pb2
from understudy_runtime.rpc.calls import Behaviours
from understudy_runtime.rpc.entrance import Entrance
from understudy_runtime.rpc.errors import NodeClosing, Refusal, refusal, to_error, told
from understudy_runtime.rpc.gate import Pass
from understudy_runtime.rpc.limits import MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Limits
from understudy_runtime.rpc.methods import SERVICES

BATCH_BYTES: Final = 2**20
BATCH_RESULTS: Final = 1_000
"""A response ends with the result that makes it larger than this, or that is the so-manieth."""
CALLS_PER_SLICE: Final = 64
"""Calls begun before the engine's loop gets a breath."""

Context = grpc.aio.ServicerContext[sessions_pb2.CallsRequest, sessions_pb2.CallsResponse]


def _methods() -> dict[str, str]:
    methods = [method for service in SERVICES for method in service.methods]
    by_request = {method.input_type.full_name: method for method in methods}
    fields = sessions_pb2.Call.DESCRIPTOR.oneofs_by_name["request"].fields
    called = {field.name: by_request[field.message_type.full_name] for field in fields if field.message_type}
    return {name: f"/{method.containing_service.full_name}/{method.name}" for name, method in called.items()}


METHODS: Final = _methods()
"""The kinds of calls that a session carries, each with the full name of the method that it is a call of."""


class Sessions:
    """SessionService."""

    def __init__(
        self,
        behaviours: Behaviours,
        entrance: Entrance,
        limits: Limits,
        passes: Callable[[Context], Pass] | None = None,
    ) -> None:
        self._behaviours = behaviours
        self._entrance = entrance
        self._limits = limits
        self._passes = passes
        self._open: set[_Session] = set()
        self._closing = False

    @property
    def unread(self) -> int:
        """Calls that have come in and have not been looked at."""
        return sum(session.unread for session in self._open)

    async def calls(self, context: Context) -> Refusal | None:
        """One session, from its first request to its last answer; why the node ended it, if it did."""
        if self._closing:
            return refusal(NodeClosing())
        caller = None if self._passes is None else self._passes(context)
        session = _Session(self._behaviours, self._entrance, self._limits, context, caller)
        self._open.add(session)
        try:
            return await session.serve()
        finally:
            self._open.discard(session)

    def close(self) -> None:
        """End all sessions once they have been told what is known, and begin no more."""
        self._closing = True
        for session in self._open:
            session.close(refusal(NodeClosing()))


class _Session:
    def __init__(
        self, behaviours: Behaviours, entrance: Entrance, limits: Limits, context: Context, caller: Pass | None
    ) -> None:
        self._behaviours = behaviours
        self._entrance = entrance
        self._limits = limits
        self._context = context
        self._caller = caller
        self._open: dict[int, asyncio.Task[None]] = {}
        self._results: deque[sessions_pb2.CallResult] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self.unread = 0
        """Calls of the last request that have not been looked at."""
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
        try:
            while (request := await self._next()) is not None:
                for number in request.abandoned:
                    self._abandon(number)
                if self._caller is not None and (unknown := self._caller.renew()) is not None:
                    self.close(unknown)
                    return
                begun, self.unread = 0, len(request.calls)
                for call in request.calls:
                    self.unread -= 1
                    begun += self._take(call)
                    if begun == CALLS_PER_SLICE:
                        begun = 0
                        await asyncio.sleep(0)
        except BadInput as error:
            self.close(refusal(error))
        finally:
            self._ended = True
            self._news.set()

    async def _next(self) -> sessions_pb2.CallsRequest | None:
        request: Any = await self._context.read()
        return None if request is grpc.aio.EOF else request

    def _take(self, call: sessions_pb2.Call) -> bool:
        """Begin with it, or refuse it, before it has cost a task; whether it was begun with."""
        kind = call.WhichOneof("request")
        if kind is None:
            return self._refuse(call, refusal(BadRequest(f"call {call.number} is of no kind that this node knows")))
        request = getattr(call, kind)
        if (refused := self._refusal(call.number, kind, request)) is not None:
            return self._refuse(call, refused)
        # The session lives as long as its calls, and holds them.
        task = asyncio.get_running_loop().create_task(self._carry_out(call.number, kind, request))
        self._open[call.number] = task
        return True

    def _refuse(self, call: sessions_pb2.Call, refused: Refusal) -> bool:
        self._answer(call.number, error=to_error(refused))
        return False

    def _refusal(self, number: int, kind: str, request: Any) -> Refusal | None:
        if number in self._open:
            return refusal(BadRequest(f"call {number} is open already; number calls differently"))
        if len(self._open) >= self._limits.max_open_calls:
            return refusal(Overloaded(f"this session has {self._limits.max_open_calls} calls open; await some first"))
        if self._caller is not None and (refused := self._caller.judge(METHODS[kind])) is not None:
            return refused
        try:
            self._entrance.let_in(request)
        except Overloaded as overloaded:
            return refusal(overloaded)
        return None

    def _abandon(self, number: int) -> None:
        task = self._open.pop(number, None)
        if task is not None:
            task.cancel()

    async def _carry_out(self, number: int, kind: str, request: Any) -> None:
        try:
            response = await self._behaviours.behaviour(kind)(request)
            self._answer(number, **{kind: response})
        except BaseException as error:
            self._answer(number, error=to_error(refusal(told(error))))
        finally:
            self._open.pop(number, None)

    # --- out

    def _answer(self, number: int, **result: Any) -> None:
        answer = sessions_pb2.CallResult(number=number, **result)
        if answer.ByteSize() > MAX_RESPONSE_BYTES - BATCH_BYTES:
            refused = refusal(BadRequest(f"the answer has {answer.ByteSize()} bytes, too many to send"))
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
        while results and size < BATCH_BYTES and len(batch) < BATCH_RESULTS:
            batch.append(results.popleft())
            size += batch[-1].ByteSize()
        return sessions_pb2.CallsResponse(results=batch)

    def _limits_message(self) -> sessions_pb2.CallsResponse:
        limits = sessions_pb2.SessionLimits(
            max_open_calls=self._limits.max_open_calls, max_request_bytes=MAX_REQUEST_BYTES
        )
        limits.keepalive.FromNanoseconds(int(self._limits.keepalive_s * 1e9))
        return sessions_pb2.CallsResponse(limits=limits)
