"""Locks, events and queues belong to the run that made them.

One that a module or another run made would tie runs together in this process, until a restart: nothing of that is in a
journal, and who waits in one run cannot be woken from another. It is refused at its first use in workflow code, by the
name of what to use instead. In tasks, and outside of runs, they are what they always are.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Final

import anyio._backends._asyncio as backend

from understudy_runtime.execution.program.asyncio_internals import running_loop
from understudy_runtime.execution.program.loop import WorkflowLoop
from understudy_runtime.execution.program.refusals import not_durable

_LOCK = "understudy.lock(NAME)"
_SEMAPHORE = "understudy.semaphore(NAME, capacity)"
_MESSAGES = "a @handler of the workflow and wait_until()"

_USES: Final[list[tuple[Any, tuple[str, ...], str]]] = [
    (asyncio.Lock, ("acquire", "release"), _LOCK),
    (asyncio.Semaphore, ("acquire", "release"), _SEMAPHORE),
    (asyncio.Event, ("wait", "set", "clear"), _MESSAGES),
    (asyncio.Condition, ("wait", "notify"), _MESSAGES),
    (asyncio.Barrier, ("wait",), _MESSAGES),
    (asyncio.Queue, ("get", "put", "get_nowait", "put_nowait", "join", "task_done"), _MESSAGES),
    (backend.Lock, ("acquire", "acquire_nowait", "release"), _LOCK),
    (backend.Semaphore, ("acquire", "acquire_nowait", "release"), _SEMAPHORE),
    (backend.CapacityLimiter, ("acquire_on_behalf_of", "acquire_on_behalf_of_nowait"), _SEMAPHORE),
]
"""Each class, what uses it, and what to use in its place. An event of anyio is one of asyncio inside."""

_MADE_IN: Final = "_understudy_loop"


def _with_room(cls: Any) -> Any:
    """The class, or where its instances have no room for who made them, one with room that anyio makes in its place."""
    if cls.__dictoffset__:
        return cls
    roomy = type(cls.__name__, (cls,), {"__slots__": (_MADE_IN,), "__module__": cls.__module__})
    setattr(backend, cls.__name__, roomy)
    return roomy


def _remember_maker(cls: Any) -> None:
    init = cls.__init__

    @functools.wraps(init)
    def remembering(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        loop = running_loop()
        if isinstance(loop, WorkflowLoop):
            setattr(self, _MADE_IN, loop)

    cls.__init__ = remembering


def _refuse_foreign(cls: Any, name: str, instead: str) -> None:
    method = getattr(cls, name)

    @functools.wraps(method)
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        loop = running_loop()
        if isinstance(loop, WorkflowLoop) and getattr(self, _MADE_IN, None) is not loop:
            what = f"{cls.__module__.split('.')[0]}.{type(self).__name__}"
            raise not_durable(
                f"an {what} that the module or another run made", f"make it inside of the workflow, or use {instead}"
            )
        return method(self, *args, **kwargs)

    setattr(cls, name, checked)


def keep_apart() -> None:
    """Put the checks in place, for the whole process."""
    for given, names, instead in _USES:
        cls = _with_room(given)
        _remember_maker(cls)
        for name in names:
            _refuse_foreign(cls, name, instead)
