"""`asyncio.Future()` and `asyncio.Task(...)` written out in workflow code: the run's loop makes them, as all others.

Made by asyncio they would hash by address, so that a set of them would iterate otherwise in each life of the run. Code
that imported the classes by name before this module was loaded gets those of asyncio, which the loop refuses.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from understudy_runtime.execution.program.asyncio_internals import running_loop
from understudy_runtime.execution.program.loop import WorkflowLoop

T = TypeVar("T")


class _MadeByTheLoop(type):
    """Of a class that stands for one of asyncio's: it is never instantiated, and its subclasses are asyncio's."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        own = _own(cls)
        if own is None:
            return super().__call__(*args, **kwargs)
        loop = running_loop()
        if isinstance(loop, WorkflowLoop) and kwargs.pop("loop", loop) in (None, loop):
            return loop.create_task(*args, **kwargs) if own is _Task else loop.create_future(*args, **kwargs)
        return own(*args, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        own = _own(cls)
        return super().__instancecheck__(instance) if own is None else isinstance(instance, own)

    def __subclasscheck__(cls, subclass: type) -> bool:
        own = _own(cls)
        return super().__subclasscheck__(subclass) if own is None else issubclass(subclass, own)


_Future, _Task = asyncio.Future, asyncio.Task


class Future(asyncio.Future[T], metaclass=_MadeByTheLoop):
    __doc__ = asyncio.Future.__doc__
    __module__ = "asyncio"


class Task(asyncio.Task[T], metaclass=_MadeByTheLoop):
    __doc__ = asyncio.Task.__doc__
    __module__ = "asyncio"


_OWN: dict[Any, Any] = {Future: _Future, Task: _Task}


def _own(cls: Any) -> Any:
    """The class of asyncio that this one stands for; None for its subclasses."""
    return _OWN.get(cls)


def make_by_the_loop() -> None:
    """Put the two into the package `asyncio`, for the whole process. Outside a run's turn they make what it makes."""
    package: Any = asyncio
    package.Future, package.Task = Future, Task
