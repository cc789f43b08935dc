"""`RunProgram`: one execution of a workflow, as a `Program`.

    inputs ─► resolve futures, start handlers ─► passes of the loop ─► commands, and the end if `main` has ended

The workflow's coroutine is `main`; handlers of a class workflow run beside it in the same loop. When `main`
returns, whatever else runs is cancelled and awaited before the run ends, so clean-up code may still call tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextvars import Context
from inspect import isawaitable
from typing import Any, Final
from zlib import crc32

from msgspec import Raw

from understudy.context import current_run
from understudy.definitions import HandlerDefinition, ResourceDefinition, WorkflowDefinition
from understudy.errors import BadInput, Stalled
from understudy.failures import encode_failure
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import Activated, Hold
from understudy_runtime.core.ports import Order
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.calls import CallAnswered, TaskGaveUp, TaskSucceeded
from understudy_runtime.core.records.deliveries import Delivered, Replied
from understudy_runtime.core.records.programs import Fired, TimerSet, Warned
from understudy_runtime.core.records.runs import (
    Cancelled,
    CancelRequested,
    Completed,
    ContinuedAsNew,
    ExecutionStarted,
    Failed,
    TaskReused,
)
from understudy_runtime.execution.program.calls import Calls, ContinueAsNew, answering
from understudy_runtime.execution.program.loop import WorkflowLoop
from understudy_runtime.execution.program.queries import query
from understudy_runtime.execution.program.tasks import RunTask
from understudy_runtime.execution.program.watchdog import Watchdog

PROGRAM_BYTES: Final = 4_000
CALL_BYTES: Final = 1_500
"""Reckoned for a program and for each call it awaits, measured for small ones."""


class RunProgram:
    """Implements `Program` for runs."""

    def __init__(
        self,
        key: str,
        definition: WorkflowDefinition,
        watchdog: Watchdog | None,
        resources: Mapping[str, ResourceDefinition] | None = None,
        order: Order = "3.13",
    ) -> None:
        self._key = key
        self._order: Order = order
        self._resources = resources or {}
        self._definition = definition
        self._watchdog = watchdog
        self._loop: WorkflowLoop | None = None
        self._calls: Calls | None = None
        self._main: RunTask[Any] | None = None
        self._instance: Any = None
        self._timer: float | None = None
        self._warned = 0
        self._cancelling = False
        self._over = False

    @property
    def size(self) -> int:
        return PROGRAM_BYTES + CALL_BYTES * (len(self._calls) if self._calls is not None else 0)

    def activate(
        self, now: float, inputs: Sequence[AnyRecord], recorded: Sequence[AnyRecord] | None = None
    ) -> Activated:
        first = inputs[0]
        if type(first) is ExecutionStarted:
            loop, calls = self._begin(first, now)
        else:
            assert self._loop is not None
            assert self._calls is not None
            loop, calls = self._loop, self._calls
        calls.begin(recorded)
        try:
            calls.turn(now, lambda: self._take(inputs, loop, calls))
        except Stalled as stalled:
            return Activated([], Hold("stalled", str(stalled)))
        except SystemExit as exited:
            self._end(calls, Failed(failure_of(exited, ())))
        self._finish(loop, calls)
        return Activated(calls.commands)

    def query(self, handler: str, args: Raw) -> Raw | Failure:
        return query(self._definition.handlers, self._instance, handler, args, self._watchdog)

    def evict(self) -> None:
        if self._loop is not None:
            self._loop.evict()

    # ---

    def _begin(self, started: ExecutionStarted, now: float) -> tuple[WorkflowLoop, Calls]:
        context = Context()
        salt = crc32(f"{self._key}:{started.execution}".encode())
        loop = self._loop = WorkflowLoop(salt, now, context, self._watchdog, self._order)
        calls = self._calls = Calls(self._key, started.execution, loop, self._definition)
        calls.resources = self._resources
        context.run(current_run.set, calls)
        return loop, calls

    def _take(self, inputs: Sequence[AnyRecord], loop: WorkflowLoop, calls: Calls) -> None:
        for record in inputs:
            match record:
                case TaskSucceeded() | TaskGaveUp() | TaskReused() | CallAnswered():
                    calls.resolve(record)
                case Fired():
                    self._timer = None
                case ExecutionStarted():
                    self._start_main(record, loop, calls)
                case Delivered():
                    self._receive(record, loop, calls)
                case CancelRequested():
                    self._cancelling = True
                    if self._main is not None:
                        self._main.cancel()
                case _:
                    pass

    def _start_main(self, started: ExecutionStarted, loop: WorkflowLoop, calls: Calls) -> None:
        entry = self._definition.entry
        try:
            args, kwargs = self._definition.call.decode(started.input)
            if self._definition.is_class:
                self._instance = entry()
                entry = self._instance.run
            coroutine: Any = entry(*args, **kwargs)
            if not isinstance(coroutine, Coroutine):
                name, kind = self._definition.name, type(coroutine).__qualname__
                raise TypeError(f"workflow {name} returned a {kind} at once: what wraps it must return its coroutine")
        except Exception as error:
            self._end(calls, Failed(failure_of(error, self._definition.raises)))
            return
        self._main = loop.start(coroutine)  # pyright: ignore[reportUnknownArgumentType]

    def _receive(self, delivered: Delivered, loop: WorkflowLoop, calls: Calls) -> None:
        handler = self._definition.handlers.get(delivered.handler)
        if handler is None:
            failure = Failure("UnknownName", f"{self._definition.name} has no handler {delivered.handler}", final=True)
            calls.commands.append(Replied(delivered.delivery, failure=failure))
            return
        finish = Reply(calls, handler, delivered.delivery)
        try:
            args, kwargs = handler.call.decode(delivered.args)
            answer = handler.fn(self._instance, *args, **kwargs)
        except Exception as error:
            finish.fail(error)
            return
        if isawaitable(answer):
            loop.create_task(finish.after(answer), name=f"{handler.name}-{delivered.delivery}")
        else:
            finish.succeed(answer)

    def _finish(self, loop: WorkflowLoop, calls: Calls) -> None:
        while self._warned < len(loop.warnings):
            calls.commands.append(Warned(loop.warnings[self._warned]))
            self._warned += 1
        if self._over:
            return
        if loop.ended and self._main is not None:
            self._end(calls, self._outcome(self._main, calls))
            return
        deadline = loop.next_deadline()
        if deadline != self._timer:
            self._timer = deadline
            calls.commands.append(TimerSet(deadline))

    def _end(self, calls: Calls, command: AnyRecord) -> None:
        self._over = True
        calls.commands.append(command)

    def _outcome(self, main: RunTask[Any], calls: Calls) -> AnyRecord:
        if main.cancelled():
            if self._cancelling:
                return Cancelled()
            return Failed(failure_of(asyncio.CancelledError("the workflow cancelled itself"), ()))
        error = main.exception()
        if isinstance(error, ContinueAsNew):
            return ContinuedAsNew(Raw(error.input), error.digest)
        if error is not None:
            return Failed(failure_of(error, self._definition.raises))
        try:
            return Completed(calls.encode_result(self._definition.result, main.result()))
        except BadInput as unfit:
            return Failed(failure_of(unfit, ()))


class Reply:
    """The answer that the handler of one delivery owes."""

    def __init__(self, calls: Calls, handler: HandlerDefinition, delivery: int) -> None:
        self._calls = calls
        self._handler = handler
        self._delivery = delivery

    def succeed(self, answer: Any) -> None:
        try:
            result = self._calls.encode_result(self._handler.result, answer)
        except BadInput as unfit:
            self.fail(unfit)
        else:
            self._calls.commands.append(Replied(self._delivery, result))

    def fail(self, error: BaseException) -> None:
        self._calls.commands.append(Replied(self._delivery, failure=failure_of(error, ())))

    async def after(self, answer: Any) -> None:
        answering.set(self._delivery)
        try:
            self.succeed(await answer)
        except asyncio.CancelledError as cancelled:
            self.fail(cancelled)
            raise
        except Exception as error:
            self.fail(error)


def failure_of(error: BaseException, raises: tuple[type[Exception], ...]) -> Failure:
    fields = encode_failure(error, raises)
    kind = "cancelled" if isinstance(error, asyncio.CancelledError) else fields.kind
    return Failure(fields.type, fields.message, fields.traceback, fields.arguments, kind, fields.final)
