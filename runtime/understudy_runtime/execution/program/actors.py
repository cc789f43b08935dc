"""`ActorProgram`: one user-defined actor in memory, as a `Program`.

A handler is the `main` of a loop of its own, so it may await whatever a workflow may. When it has ended, its reply
and the actor's new state are the last commands. A handler that raised leaves the state as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context
from inspect import isawaitable
from typing import Any
from zlib import crc32

from msgspec import Raw

from understudy.context import current_run
from understudy.definitions import ActorDefinition, HandlerDefinition
from understudy.errors import BadInput, Stalled
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import Activated, Hold
from understudy_runtime.core.records import (
    AnyRecord,
    CallAnswered,
    Delivered,
    Fired,
    Replied,
    StateSet,
    TaskGaveUp,
    TaskReused,
    TaskSucceeded,
    TimerSet,
    Warned,
)
from understudy_runtime.execution.program.calls import Calls
from understudy_runtime.execution.program.loop import WorkflowLoop
from understudy_runtime.execution.program.queries import query
from understudy_runtime.execution.program.runs import PROGRAM_BYTES, failure_of
from understudy_runtime.execution.program.tasks import RunTask
from understudy_runtime.execution.program.watchdog import Watchdog


class ActorProgram:
    """Implements `Program` for user-defined actors. `state` is the JSON of the fields, or None for a new one."""

    def __init__(self, key: str, definition: ActorDefinition, state: Raw | None, watchdog: Watchdog | None) -> None:
        self._key = key
        self._definition = definition
        self._watchdog = watchdog
        self._state = definition.state.encode(definition.state.new()) if state is None else bytes(state)
        self._instance: Any = definition.state.decode(self._state)
        self._flight: _Flight | None = None

    @property
    def size(self) -> int:
        return PROGRAM_BYTES // 2 + 2 * len(self._state) + (PROGRAM_BYTES if self._flight is not None else 0)

    def activate(
        self, now: float, inputs: Sequence[AnyRecord], recorded: Sequence[AnyRecord] | None = None
    ) -> Activated:
        commands: list[AnyRecord] = []
        try:
            for record in inputs:
                if isinstance(record, Delivered):
                    self._flight = _Flight(self._key, record.delivery, now, self._watchdog)
            flight = self._flight
            if flight is not None:
                commands = flight.run(now, inputs, recorded, self._definition.handlers, self._instance)
        except Stalled as stalled:
            return Activated([], Hold("stalled", str(stalled)))
        if flight is not None and flight.over:
            self._flight = None
            self._land(flight, commands)
        return Activated(commands)

    def query(self, handler: str, args: Raw) -> Raw | Failure:
        return query(self._definition.handlers, self._instance, handler, args, self._watchdog)

    def evict(self) -> None:
        if self._flight is not None:
            self._flight.evict()

    def _land(self, flight: _Flight, commands: list[AnyRecord]) -> None:
        """The handler has ended: its reply, and the new state if it changed."""
        failure = flight.failure
        if failure is None:
            try:
                state = self._definition.state.encode(self._instance)
                # The next handler is to see what would be loaded, and nothing is kept that could not be.
                self._instance = self._definition.state.decode(state)
            except BadInput as unfit:
                failure = failure_of(unfit, ())
            else:
                commands.append(Replied(flight.delivery, flight.result))
                if state != self._state:
                    self._state = state
                    commands.append(StateSet(Raw(state)))
                return
        commands.append(Replied(flight.delivery, failure=failure))
        self._instance = self._definition.state.decode(self._state)


class _Flight:
    """One handler under way, in a loop that ends with it."""

    def __init__(self, key: str, delivery: int, now: float, watchdog: Watchdog | None) -> None:
        context = Context()
        self._loop = WorkflowLoop(crc32(f"{key}:{delivery}".encode()), now, context, watchdog)
        self._calls = Calls(key, delivery, self._loop, None)
        context.run(current_run.set, self._calls)
        self._main: RunTask[Any] | None = None
        self._handler: HandlerDefinition | None = None
        self._timer: float | None = None
        self._warned = 0
        self.delivery = delivery
        self.over = False
        self.result = Raw(b"null")
        self.failure: Failure | None = None

    def run(
        self,
        now: float,
        inputs: Sequence[AnyRecord],
        recorded: Sequence[AnyRecord] | None,
        handlers: Any,
        instance: Any,
    ) -> list[AnyRecord]:
        loop, calls = self._loop, self._calls
        calls.begin(recorded)
        try:
            loop.turn(now, lambda: self._take(inputs, handlers, instance))
            if calls.has_conditions:
                loop.turn(now, calls.meet_conditions)
        except SystemExit as exited:
            self.over, self.failure = True, failure_of(exited, ())
        self._finish()
        return calls.commands

    def evict(self) -> None:
        self._loop.evict()

    def _take(self, inputs: Sequence[AnyRecord], handlers: Any, instance: Any) -> None:
        for record in inputs:
            match record:
                case TaskSucceeded() | TaskGaveUp() | TaskReused() | CallAnswered():
                    self._calls.resolve(record)
                case Fired():
                    self._timer = None
                case Delivered():
                    self._begin(record, handlers, instance)
                case _:
                    pass

    def _begin(self, delivered: Delivered, handlers: Any, instance: Any) -> None:
        handler: HandlerDefinition | None = handlers.get(delivered.handler)
        if handler is None:
            self.over = True
            self.failure = Failure("UnknownName", f"there is no handler {delivered.handler}", final=True)
            return
        self._handler = handler
        try:
            args, kwargs = handler.call.decode(delivered.args)
            answer = handler.fn(instance, *args, **kwargs)
        except Exception as error:
            self.over, self.failure = True, failure_of(error, ())
            return
        if isawaitable(answer):
            self._main = self._loop.start(_awaited(answer), handler.name)
        else:
            self._succeed(answer)

    def _succeed(self, answer: Any) -> None:
        assert self._handler is not None
        self.over = True
        try:
            self.result = Raw(self._handler.result.encode(answer))
        except BadInput as unfit:
            self.failure = failure_of(unfit, ())

    def _finish(self) -> None:
        loop, commands = self._loop, self._calls.commands
        while self._warned < len(loop.warnings):
            commands.append(Warned(loop.warnings[self._warned]))
            self._warned += 1
        if not self.over and loop.ended and self._main is not None:
            self._end(self._main)
        if self.over:
            return
        deadline = loop.next_deadline()
        if deadline != self._timer:
            self._timer = deadline
            commands.append(TimerSet(deadline))

    def _end(self, main: RunTask[Any]) -> None:
        error = None if main.cancelled() else main.exception()
        if main.cancelled():
            self.over, self.failure = True, Failure("CancelledError", "the handler was cancelled", kind="cancelled")
        elif error is not None:
            self.over, self.failure = True, failure_of(error, ())
        else:
            self._succeed(main.result())


async def _awaited(answer: Any) -> Any:
    return await answer
