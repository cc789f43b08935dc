"""Calls of `@readonly` methods: plain calls on the live object, outside its loop, with nothing durable at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from understudy.definitions import HandlerDefinition
from understudy.errors import Stalled
from understudy_runtime.core.kinds import Failure
from understudy_runtime.execution.program.raising import failure_of
from understudy_runtime.execution.program.watchdog import Watchdog


def query(
    handlers: Mapping[str, HandlerDefinition], instance: Any, name: str, args: Raw, watchdog: Watchdog | None
) -> Raw | Failure:
    handler = handlers.get(name)
    if handler is None or not handler.readonly:
        return Failure("UnknownName", f"there is no @readonly method {name}", final=True)
    asked = _Query(handler, instance, args)
    if watchdog is None:
        asked.run(None)
    else:
        try:
            watchdog.guard(asked, asked.run, None)
        except Stalled as stalled:
            return Failure("Stalled", f"{name} did not return:\n{stalled}", final=True)
    return asked.answer


class _Query:
    """One call, as the watchdog sees it: a turn of a single step."""

    __slots__ = ("_args", "_handler", "_instance", "answer", "stalled", "steps")

    def __init__(self, handler: HandlerDefinition, instance: Any, args: Raw) -> None:
        self._handler = handler
        self._instance = instance
        self._args = args
        self.answer: Raw | Failure = Raw(b"null")
        self.steps = 0
        self.stalled: str | None = None

    def run(self, _: None) -> None:
        handler = self._handler
        try:
            args, kwargs = handler.call.decode(self._args)
            self.answer = Raw(handler.result.encode(handler.fn(self._instance, *args, **kwargs)))
        except BaseException as error:
            self.answer = failure_of(error)
