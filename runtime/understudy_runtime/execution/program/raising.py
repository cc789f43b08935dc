"""What user code raises, and what becomes of it: the one guard of all calls into user code from the engine's thread.

Whoever calls user code there catches `BaseException`, not `Exception`, and hands what it caught to a function of this
module. Otherwise `CancelledError`, `GeneratorExit`, `SystemExit` or a class of the user's own would leave the turn, and
the engine's loop with it, so that all runs of the node pay for one. That holds for `KeyboardInterrupt`, too: a real one
is raised in the main thread alone. `Stalled`, which the watchdog posts, may be caught as well, because the watchdog
raises it again when the turn is over.

Nothing here raises, whatever `__str__`, `__repr__` or arguments a class of the user's has. So an error is never asked
for its class by `isinstance`, which looks at its `__class__`: that, too, may be user code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from understudy.errors import BadRequest
from understudy.failures import clean_text, encode_failure
from understudy_runtime.core.kinds import Failure

NOT_HERE: Final = (
    "continue_as_new() ends the execution of a workflow, so it is for the workflow's own code and the tasks that this "
    "begins; a handler or a @readonly method sets an attribute instead, and the workflow awaits it with wait_until()"
)


_members: Callable[[Any], Sequence[BaseException]] = BaseExceptionGroup.__dict__["exceptions"].__get__
_set_exception: Callable[[Any, BaseException], None] = asyncio.Future.__dict__["set_exception"]
"""A future's. A task's own would refuse."""


class ContinueAsNew(BaseException):
    """Leaves the workflow function to begin the next execution. Not an Exception: clean-up runs, handlers do not."""

    def __init__(self, input: bytes, digest: str) -> None:
        super().__init__("continue_as_new() ends the run's execution: let it pass")
        self.input = input
        self.digest = digest


def renewal_in(error: BaseException | None) -> ContinueAsNew | None:
    """The `ContinueAsNew` that this is, or that a group holds and nothing beside it.

    A group that holds another error, too, is that error's: it must not go unseen.
    """
    kind = type(error)
    if kind is ContinueAsNew:
        return cast("ContinueAsNew", error)
    if not issubclass(kind, BaseExceptionGroup):
        return None
    found = [renewal_in(each) for each in _members(error)]
    return found[0] if None not in found else None


def failure_of(error: BaseException, raises: Sequence[type[Exception]] = ()) -> Failure:
    """How `error` is journalled, or told to a caller."""
    renewal = renewal_in(error)
    if renewal is not None:
        error = BadRequest(NOT_HERE).with_traceback(renewal.__traceback__)
    fields = encode_failure(error, raises)
    kind = "cancelled" if issubclass(type(error), asyncio.CancelledError) else fields.kind
    return Failure(fields.type, fields.message, fields.traceback, fields.arguments, kind, fields.final)


def fail(future: asyncio.Future[Any], error: BaseException) -> None:
    """Have whoever awaits `future`, or the task that it is, get `error`. User code may have ended it itself by now."""
    if future.done():
        return
    if issubclass(type(error), StopIteration):  # no future takes it: it would end the coroutine that awaits it
        stopped = RuntimeError("StopIteration was raised; give next() a default")
        stopped.__cause__ = error
        error = stopped
    _set_exception(future, error)


def shown(value: object) -> str:
    """`repr` for people."""
    try:
        return clean_text(repr(value))
    except BaseException as broken:
        return f"<{type(value).__name__} whose repr raised {type(broken).__name__}>"
