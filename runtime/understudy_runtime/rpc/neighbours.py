"""Calls of this node at others: a session and a channel to each that it has something to ask.

What comes this way is carried out where it arrives, or refused (`HOP`): a call is forwarded once, by the node that took
it in, which also tries again. So a node that knows no better than the one that asked never sends a call in circles.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import Any, Final

import grpc.aio
from google.protobuf import message_factory
from google.protobuf.message import Message

from understudy.errors import BadRequest, Unreachable
from understudy.remote.errors import of_status
from understudy.remote.session import Session
from understudy.remote.targets import Targets
from understudy_runtime.core.membership import Member, View
from understudy_runtime.rpc.methods import FULL_NAMES, RESPONSES
from understudy_runtime.rpc.peer_access import PeerAccess, peer_channel
from understudy_runtime.rpc.sessions import METHODS

HOP: Final = "understudy-hop"
"""Metadata of what one node asks of another: carry it out yourself."""
ANSWER_S: Final = 30.0
"""How long a call that does not wait for anything may go without an answer."""


class Neighbours:
    """Used on the engine's loop."""

    def __init__(self, access: PeerAccess | None = None) -> None:
        self._access = access or PeerAccess()
        self._lines: dict[tuple[str, str], _Line] = {}

    async def call(self, member: Member, method: str, request: Message, *, waits: bool = False) -> Any:
        """What `member` answers; errors are those that its door raises. Unreachable if it cannot be asked."""
        line = self._line(member)
        if method in METHODS:
            session = await line.session()
            return await session.call(method, request, waits=waits)
        return await line.unary(method, request, None if waits else ANSWER_S)

    async def watch(self, member: Member, method: str, request: Message) -> AsyncIterator[Any]:
        """The responses of a method that goes on telling; errors as in `call`."""
        async for response in self._line(member).stream(method, request):
            yield response

    def members(self, view: View) -> None:
        """Who is there, from now on: nobody waits for those that are not."""
        living = {(member.node, member.incarnation) for member in view.members.values()}
        for name in self._lines.keys() - living:
            self._lines.pop(name).end()

    async def close(self) -> None:
        lines, self._lines = list(self._lines.values()), {}
        await asyncio.gather(*(line.close() for line in lines))

    def _line(self, member: Member) -> _Line:
        name = (member.node, member.incarnation)
        line = self._lines.get(name)
        if line is None or line.address != member.address:
            if line is not None:
                line.end()
            line = self._lines[name] = _Line(member, self._access)
        return line


class _Line:
    """To one life of a node."""

    def __init__(self, member: Member, access: PeerAccess) -> None:
        self.address = member.address
        try:
            self._channel = peer_channel(member.address, access)
            self._metadata: tuple[tuple[str, str], ...] = (*access.metadata(), (HOP, "1"))
        except BadRequest as error:
            raise Unreachable(f"{member.node} at {member.address} cannot be asked: {error}") from None
        self._opening: asyncio.Task[Session] | None = None
        self._ending: asyncio.Task[None] | None = None

    async def session(self) -> Session:
        """Opened by whoever needs it first. Unreachable if it cannot be; the next one tries again."""
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())
        try:
            return await asyncio.shield(self._opening)
        except Exception:
            self._opening = None
            raise

    async def _open(self) -> Session:
        targets = Targets(self.address, lambda address: self._channel)
        session = Session(targets, self._metadata, 0.0, retry_overloaded=False, outlives_closing=False)
        await session.open()
        return session

    async def unary(self, method: str, request: Message, timeout_s: float | None) -> Any:
        call: Any = self._channel.unary_unary(
            FULL_NAMES[method],
            request_serializer=_serialized,
            response_deserializer=message_factory.GetMessageClass(RESPONSES[method]).FromString,
        )
        with self._told():
            return await call(request, timeout=timeout_s, metadata=self._metadata)

    async def stream(self, method: str, request: Message) -> AsyncIterator[Any]:
        call: Any = self._channel.unary_stream(
            FULL_NAMES[method],
            request_serializer=_serialized,
            response_deserializer=message_factory.GetMessageClass(RESPONSES[method]).FromString,
        )
        with self._told():
            async for response in call(request, metadata=self._metadata):
                yield response

    @contextmanager
    def _told(self) -> Generator[None]:
        """What grpc raises, as what it means here."""
        try:
            yield
        except grpc.aio.AioRpcError as error:
            raise of_status(error) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody cancelled the task: the channel was closed, because that life of the node is over.
            raise Unreachable(f"the node at {self.address} is gone") from None

    def end(self) -> None:
        """Whoever waits for it is told so."""
        self._ending = asyncio.get_running_loop().create_task(self.close())

    async def close(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            [session] = await asyncio.gather(opening, return_exceptions=True)
            if isinstance(session, Session):
                await session.close()
        await self._channel.close()


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()
