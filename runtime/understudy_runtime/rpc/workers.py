"""The node's end of worker streams: WorkerService.Work.

One task reads, one writes. Whatever the pool wants to say while a response is on its way goes out together in the next.
What can wait to be written is bounded by what the worker may hold.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import grpc.aio

from understudy.errors import BadRequest, UnderstudyError
from understudy_runtime.core.workers import FromWorker, Link, ToWorker, Workers
from understudy_runtime.rpc import work_wire
from understudy_runtime.rpc.errors import Refusal, refusal

HELLO_S: Final = 10.0
"""How long a stream may be open without a hello."""

Context = grpc.aio.ServicerContext[Any, Any]


class WorkerStreams:
    """Used on the engine's loop, as `workers` is."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    async def work(self, context: Context) -> Refusal | None:
        """One stream, from hello to its end; why the node ended it, if it did."""
        stream = _Stream(context)
        try:
            async with asyncio.timeout(HELLO_S):
                first = await context.read()
            if first is grpc.aio.EOF:
                return None
            if not first.HasField("hello"):
                raise BadRequest("the first request of a stream must be a hello")
            protocol = work_wire.spoken(first.hello)
            link = self._workers.connect(work_wire.hello(first.hello), stream.send, stream.end)
        except TimeoutError:
            return refusal(BadRequest(f"no hello within {HELLO_S:g} s"))
        except work_wire.NoCommonProtocol as error:
            return Refusal(grpc.StatusCode.FAILED_PRECONDITION, str(error), "PROTOCOL")
        except UnderstudyError as error:
            return refusal(error)
        try:
            return await stream.carry(link, protocol)
        finally:
            link.closed()


class _Stream:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._pending: ToWorker | None = None
        self._news = asyncio.Event()
        self._ended: str | None = None
        self._fault: Exception | None = None
        self._eof = False

    # --- for the pool

    def send(self, batch: ToWorker) -> None:
        if self._pending is None:
            self._pending = batch
        else:
            self._pending.add(batch)
        self._news.set()

    def end(self, why: str) -> None:
        self._ended = why
        self._news.set()

    # ---

    async def carry(self, link: Link, protocol: int) -> Refusal | None:
        """`protocol` is the version that both speak."""
        reader = asyncio.get_running_loop().create_task(self._read(link))
        try:
            await self._context.write(work_wire.to_welcome(link.welcome, protocol))
            await self._write()
        finally:
            reader.cancel()
        if self._fault is not None:
            return refusal(self._fault)
        return None if self._ended is None else Refusal(grpc.StatusCode.ABORTED, self._ended, "STREAM_ENDED")

    async def _read(self, link: Link) -> None:
        try:
            while (request := await self._context.read()) is not grpc.aio.EOF:
                link.take(work_wire.from_worker(request) if request.ByteSize() else FromWorker())
        except Exception as error:
            self._fault = error
        self._eof = True
        self._news.set()

    async def _write(self) -> None:
        """Until the worker has ended its side, or the node the stream; what is pending is written in any case."""
        while self._pending is not None or not (self._eof or self._ended is not None):
            batch, self._pending = self._pending, None
            if batch is None:
                self._news.clear()
                await self._news.wait()
                continue
            for response in work_wire.to_responses(batch):
                await self._context.write(response)
