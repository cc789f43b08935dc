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
from understudy.errors import Stalled
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import Activated, Hold
from understudy_runtime.core.ports import Order
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.calls import CallAnswered, TaskGaveUp, TaskSucceeded
from understudy_runtime.core.records.deliveries import Delivered, Replied
from understudy_runtime.core.records.programs import Fired
from understudy_runtime.core.records.runs import (
    Cancelled,
    CancelRequested,
    Completed,
    ContinuedAsNew,
    ExecutionStarted,
    Failed,
    TaskReused,
)
from understudy_runtime.execution.program.asyncio_internals import unseen_failure
from understudy_runtime.execution.program.calls import Calls, answering
from understudy_runtime.execution.program.loop import WorkflowLoop
from understudy_runtime.execution.program.queries import query
from understudy_runtime.execution.program.raising import ContinueAsNew, failure_of, renewal_in
from understudy_runtime.execution.program.stepping import Stepper
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
        self._steps: Stepper
        self._renewal: ContinueAsNew | None = None
        self._instance: Any = None
        self._cancelling = False
        self._over = False
        self._unanswered: dict[int, Delivered] = {}

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
            self._steps.turn(now, lambda: self._take(inputs, loop, calls))
            if calls.renewal_asked:
                self._renew_for_a_child(loop, now)
        except Stalled as stalled:
            return Activated([], Hold("stalled", str(stalled)))
        self._finish(calls, now)
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
        self._steps = Stepper(loop, calls)
        context.run(current_run.set, calls)
        return loop, calls

    def _take(self, inputs: Sequence[AnyRecord], loop: WorkflowLoop, calls: Calls) -> None:
        for record in inputs:
            match record:
                case TaskSucceeded() | TaskGaveUp() | TaskReused() | CallAnswered():
                    calls.resolve(record)
                case Fired():
                    self._steps.timer = None
                case ExecutionStarted():
                    self._start_main(record, loop, calls)
                case Delivered():
                    self._receive(record, loop, calls)
                case CancelRequested():
                    self._cancelling = True
                    if self._steps.main is not None:
                        self._steps.main.cancel()
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
            self._steps.main = loop.start(coroutine)  # pyright: ignore[reportUnknownArgumentType]
        except BaseException as error:
            self._end(calls, Failed(failure_of(error, self._definition.raises)))

    def _receive(self, delivered: Delivered, loop: WorkflowLoop, calls: Calls) -> None:
        if calls.renewal_asked:
            # What this instance would make of it goes with it: the next execution takes the message.
            self._unanswered[delivered.delivery] = delivered
            return
        handler = self._definition.handlers.get(delivered.handler)
        if handler is None:
            failure = Failure("UnknownName", f"{self._definition.name} has no handler {delivered.handler}", final=True)
            calls.commands.append(Replied(delivered.delivery, failure=failure))
            return
        self._unanswered[delivered.delivery] = delivered
        finish = Reply(calls, handler, delivered.delivery, self._unanswered)
        try:
            args, kwargs = handler.call.decode(delivered.args)
            calls.is_handling = True
            answer = handler.fn(self._instance, *args, **kwargs)
            is_awaited = isawaitable(answer)
        except BaseException as error:
            finish.fail(error)
            return
        finally:
            calls.is_handling = False
        if is_awaited:
            loop.create_task(finish.after(answer), name=f"{handler.name}-{delivered.delivery}")
        else:
            finish.succeed(answer)

    def _renew_for_a_child(self, loop: WorkflowLoop, now: float) -> None:
        """A task that nobody awaits has ended by continue_as_new(): so does the workflow's function."""
        main = self._steps.main
        if main is None or main.done() or self._renewal is not None:
            return
        for task in loop.tasks:
            renewal = renewal_in(unseen_failure(task))
            if renewal is not None:
                task.exception()  # it has been looked at now
                self._renewal = renewal
                self._steps.turn(now, main.cancel)
                return

    def _finish(self, calls: Calls, now: float) -> None:
        over = self._over or self._steps.is_over(now)
        self._steps.note(over=over)
        if over and not self._over:
            self._end(calls, self._outcome(calls))

    def _end(self, calls: Calls, command: AnyRecord) -> None:
        self._over = True
        calls.commands.append(command)

    def _outcome(self, calls: Calls) -> AnyRecord:
        main, exited = self._steps.main, self._steps.exited
        if exited is not None:
            return Failed(failure_of(exited, self._definition.raises))
        assert main is not None
        if main.cancelled():
            return self._outcome_of_cancelled()
        error = main.exception()
        renewal = renewal_in(error)
        if renewal is not None:
            return self._continued(renewal)
        if error is not None:
            return Failed(failure_of(error, self._definition.raises))
        try:
            return Completed(calls.encode_result(self._definition.result, main.result()))
        except BaseException as unfit:
            return Failed(failure_of(unfit, ()))

    def _outcome_of_cancelled(self) -> AnyRecord:
        if self._cancelling:
            return Cancelled()
        if self._renewal is not None:
            return self._continued(self._renewal)
        return Failed(failure_of(asyncio.CancelledError("the workflow cancelled itself"), ()))

    def _continued(self, renewal: ContinueAsNew) -> ContinuedAsNew:
        left = sorted(self._unanswered.values(), key=lambda delivered: delivered.delivery)
        return ContinuedAsNew(Raw(renewal.input), renewal.digest, tuple(left))


class Reply:
    """The answer that the handler of one delivery owes.

    Once the workflow continues as new there is none: the message stays `unanswered`, and the next execution handles it.
    """

    def __init__(
        self, calls: Calls, handler: HandlerDefinition, delivery: int, unanswered: dict[int, Delivered]
    ) -> None:
        self._calls = calls
        self._handler = handler
        self._delivery = delivery
        self._unanswered = unanswered

    def succeed(self, answer: Any) -> None:
        try:
            result = self._calls.encode_result(self._handler.result, answer)
        except BaseException as unfit:
            self.fail(unfit)
        else:
            self._answer(Replied(self._delivery, result))

    def fail(self, error: BaseException) -> None:
        self._answer(Replied(self._delivery, failure=failure_of(error, ())))

    def _answer(self, replied: Replied) -> None:
        if not self._calls.renewal_asked:
            self._unanswered.pop(self._delivery, None)
            self._calls.commands.append(replied)

    async def after(self, answer: Any) -> None:
        answering.set(self._delivery)
        try:
            result = await answer
        except BaseException as error:
            self.fail(error)
            if issubclass(type(error), asyncio.CancelledError):
                raise
        else:
            self.succeed(result)
