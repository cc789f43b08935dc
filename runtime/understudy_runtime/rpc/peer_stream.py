"""One stream between two nodes, after the hellos; it is the same at both ends.

One task reads, one writes, one watches. Whatever is offered while a frame is on its way goes out in the next. A side
that has written nothing for `ping_s` writes a frame all the same, and one that has heard nothing for `silence_s` gives
the stream up: so a connection that is only half there is found, whatever TCP thinks of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import grpc.aio
import msgspec

from understudy_proto.v1 import peers_pb2
from understudy_runtime.core.peering import BadPeer, Conversation
from understudy_runtime.rpc import peer_wire


class Pace(msgspec.Struct, frozen=True):
    """In seconds. Pauses between attempts to connect grow from `first_pause_s` to `longest_pause_s`; where only a
    person can help, they are `hopeless_pause_s` at once."""

    ping_s: float = 2.0
    silence_s: float = 8.0
    hello_s: float = 5.0
    first_pause_s: float = 0.05
    longest_pause_s: float = 2.0
    hopeless_pause_s: float = 5.0


class Pipe(Protocol):
    """What the two ends of a gRPC stream have in common."""

    async def read(self) -> Any: ...
    async def write(self, message: Any, /) -> None: ...


class StreamBroken(Exception):
    """There is no going on with this stream; why."""


class PeerStream:
    """`deliver` is called with each envelope that is to be handed over, `moved` when some were acknowledged."""

    def __init__(
        self,
        pipe: Pipe,
        conversation: Conversation[peers_pb2.PeerEnvelope],
        deliver: Callable[[peers_pb2.PeerEnvelope], None],
        moved: Callable[[], None],
        pace: Pace,
    ) -> None:
        self._pipe = pipe
        self._conversation = conversation
        self._deliver = deliver
        self._moved = moved
        self._pace = pace
        self._now = asyncio.get_running_loop().time
        self._news = asyncio.Event()
        self._ping = False
        self._ended: str | None = None
        self._over = asyncio.Event()
        self._heard_at = self._wrote_at = self._now()

    def nudge(self) -> None:
        """The conversation has something to say."""
        self._news.set()

    def end(self, why: str) -> None:
        """From now on this stream has nothing to do with the conversation."""
        self._ended = self._ended or why
        self._over.set()

    async def carry(self, answer: peers_pb2.PeerFrame | None) -> None:
        """Say `answer`, if there is one, and go on until the stream breaks, or is ended: StreamBroken."""
        loop = asyncio.get_running_loop()
        work = (self._read(), self._write(answer), self._watch(), self._over.wait())
        tasks = [loop.create_task(coroutine) for coroutine in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError) as error:
            details = error.details() if isinstance(error, grpc.aio.AioRpcError) else None
            raise StreamBroken(details or str(error)) from None
        except BadPeer as error:
            raise StreamBroken(str(error)) from error
        finally:
            self.end("the stream is over")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise StreamBroken(self._ended or "the stream is over")

    async def _read(self) -> None:
        while (frame := await self._pipe.read()) is not grpc.aio.EOF:
            self._heard_at = self._now()
            if self._ended is not None:
                return
            before = self._conversation.unacknowledged
            fresh = self._conversation.take(peer_wire.batch(frame))
            if self._conversation.unacknowledged < before:
                self._moved()
            for envelope in fresh:
                self._deliver(envelope)
            if self._conversation.has_news:
                self._news.set()
        self.end("the other node has ended the stream")

    async def _write(self, answer: peers_pb2.PeerFrame | None) -> None:
        if answer is not None:
            await self._pipe.write(answer)
        while self._ended is None:
            if not (self._ping or self._conversation.has_news):
                self._news.clear()
                await self._news.wait()
                continue
            self._ping = False
            await self._pipe.write(peer_wire.to_frame(self._conversation.now()))
            self._wrote_at = self._now()

    async def _watch(self) -> None:
        ping_s = self._pace.ping_s
        while True:
            slept_at = self._now()
            await asyncio.sleep(ping_s)
            now = self._now()
            if now - slept_at > 2 * ping_s:
                # It was this node that was away: what the other said meanwhile has not been read yet.
                self._heard_at = now
            if now - self._heard_at > self._pace.silence_s:
                raise StreamBroken(f"nothing was heard for {self._pace.silence_s:g} s")
            if now - self._wrote_at >= ping_s:
                self._ping = True
                self._news.set()
