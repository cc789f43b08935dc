"""From the client's event loop to the engine's and back, in batches.

Each side has one `Handover` into the other's loop, so a hundred calls at once cost a wakeup each way. The engine
answers by a callback on its own loop; the caller awaits a future on his.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from understudy import errors
from understudy.errors import Bug, StoreError
from understudy.failures import encode_failure
from understudy_runtime.actors.engine import Engine
from understudy_runtime.core.messages import Refused
from understudy_runtime.execution.handover import Handover

T = TypeVar("T")

Respond = Callable[[Any], None]
Begin = Callable[[Engine, Respond], object]
"""What to do on the engine's loop; it calls `Respond` once, with a reply or an exception."""

_Answer = tuple["asyncio.Future[Any]", Any]


class Bridge:
    """One caller's loop and one engine's. Made on the engine's loop, for calls from `callers_loop`."""

    def __init__(self, engine: Engine, callers_loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._callers_loop = callers_loop
        self._there: Handover[tuple[Begin, Respond]] = Handover(asyncio.get_running_loop(), self._begin)
        self._back: Handover[_Answer] = Handover(callers_loop, _resolve)
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.Future[Any]] = set()
        self._closed: StoreError | Bug | None = None

    @property
    def waiting(self) -> int:
        """Calls that the engine has not begun with."""
        return self._there.waiting

    async def ask(self, begin: Begin) -> Any:
        """The engine's reply; what it refuses is raised. Awaited on the caller's loop."""
        if self._closed is not None:
            raise self._closed
        future: asyncio.Future[Any] = self._callers_loop.create_future()
        back = self._back
        self._open.add(future)
        self._there.put((begin, lambda reply: back.put((future, reply))))
        try:
            reply = await future
        finally:
            self._open.discard(future)
        if type(reply) is Refused:
            raise getattr(errors, reply.error)(reply.message)
        if isinstance(reply, BaseException):
            raise reply
        return reply

    async def run(self, work: Callable[[Engine], Awaitable[T]]) -> T:
        """The result of a coroutine function that is run on the engine's loop."""

        def begin(engine: Engine, respond: Respond) -> None:
            task = asyncio.get_running_loop().create_task(_carry_out(work(engine), respond))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return await self.ask(begin)  # type: ignore[no-any-return]  # the reply is what `work` returned

    def post(self, begin: Callable[[Engine], object]) -> None:
        """Have this done on the engine's loop; nobody waits for it."""
        self._there.put((lambda engine, _: begin(engine), _ignore))

    def close(self, why: StoreError | Bug | None = None) -> None:
        """Called on the caller's loop, once the engine is gone: nobody is left waiting."""
        self._closed = self._closed or why or StoreError("the node has been closed")
        for future in self._open:
            if not future.done():
                future.set_exception(self._closed)

    def _begin(self, batch: list[tuple[Begin, Respond]]) -> None:
        for begin, respond in batch:
            try:
                begin(self._engine, respond)
            except BaseException as error:
                respond(told(error))


async def _carry_out(work: Awaitable[Any], respond: Respond) -> None:
    task = asyncio.current_task()
    try:
        respond(await work)
    except BaseException as error:
        if task is not None and task.cancelling():
            raise  # the engine's loop ends, and who waits is told that by `close`
        respond(told(error))


def told(error: BaseException) -> BaseException:
    """What a caller is told of it: user code that we call for him may raise what would end his own program."""
    if isinstance(error, Exception):
        return error
    what = encode_failure(error)
    return Bug(f"{what.type}: {what.message}")


def _resolve(answers: list[_Answer]) -> None:
    for future, reply in answers:
        if not future.done():
            future.set_result(reply)


def _ignore(reply: Any) -> None:
    """Nobody waits."""
