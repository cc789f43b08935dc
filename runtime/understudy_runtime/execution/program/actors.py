"""`ActorProgram`: one user-defined actor in memory, as a `Program`.

A handler is the `main` of a loop of its own, so it may await whatever a workflow may. When it has ended, the reminders
that it set or forgot, its reply and the actor's new state are the last commands. A handler that raised leaves
reminders and state as they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import Context
from inspect import isawaitable
from typing import Any
from zlib import crc32

from msgspec import Raw

from understudy.context import current_run
from understudy.definitions import ActorDefinition, HandlerDefinition, ResourceDefinition
from understudy.errors import BadRequest, Stalled
from understudy_runtime.core.actor import MAX_REMINDERS, Kept
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import Activated, Hold
from understudy_runtime.core.ports import Order
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.actors import ReminderForgotten, ReminderSet, StateSet
from understudy_runtime.core.records.calls import CallAnswered, TaskGaveUp, TaskSucceeded
from understudy_runtime.core.records.deliveries import Delivered, Replied
from understudy_runtime.core.records.programs import Fired
from understudy_runtime.core.records.runs import TaskReused
from understudy_runtime.execution.program.calls import Calls
from understudy_runtime.execution.program.keeping import reason, restored
from understudy_runtime.execution.program.loop import WorkflowLoop
from understudy_runtime.execution.program.queries import query
from understudy_runtime.execution.program.raising import failure_of
from understudy_runtime.execution.program.runs import PROGRAM_BYTES
from understudy_runtime.execution.program.stepping import Stepper
from understudy_runtime.execution.program.watchdog import Watchdog


class ActorProgram:
    """Implements `Program` for user-defined actors. StateUnfit if `kept` cannot be made to fit the class."""

    def __init__(
        self,
        key: str,
        definition: ActorDefinition,
        kept: Kept,
        watchdog: Watchdog | None,
        resources: Mapping[str, ResourceDefinition] | None = None,
        order: Order = "3.13",
    ) -> None:
        self._key = key
        self._order: Order = order
        self._resources = resources or {}
        self._definition = definition
        self._watchdog = watchdog
        self._instance: Any
        self._state, self._instance = restored(definition, kept, watchdog)
        self._is_migrated = kept.state is not None and kept.version != definition.version
        self._reminders = set(kept.reminders)
        self._flight: _Flight | None = None
        self._unfit: str | None = None

    @property
    def size(self) -> int:
        return PROGRAM_BYTES // 2 + 2 * len(self._state) + (PROGRAM_BYTES if self._flight is not None else 0)

    def activate(
        self, now: float, inputs: Sequence[AnyRecord], recorded: Sequence[AnyRecord] | None = None
    ) -> Activated:
        commands: list[AnyRecord] = []
        if self._unfit is not None:
            return Activated([], Hold("diverged", self._unfit))
        try:
            for record in inputs:
                if isinstance(record, Delivered):
                    if record.reminder and record.again_at is None:
                        self._reminders.discard(record.reminder)
                    self._flight = _Flight(
                        self._key, record.delivery, now, self._reminders, self._watchdog, self._resources, self._order
                    )
            flight = self._flight
            if flight is not None:
                commands = flight.run(now, inputs, recorded, self._definition.handlers, self._instance)
        except Stalled as stalled:
            return Activated([], Hold("stalled", str(stalled)))
        if flight is not None and flight.over:
            self._flight = None
            self._order = "3.13"
            flight.evict()
            self._land(flight, commands)
        return Activated(commands)

    def query(self, handler: str, args: Raw) -> Raw | Failure:
        if self._unfit is not None:
            return Failure("BadInput", self._unfit, final=True)
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
            except BaseException as unfit:
                failure = failure_of(unfit)
            else:
                commands += flight.reminders.values()
                commands.append(Replied(flight.delivery, flight.result))
                if state != self._state or self._is_migrated:
                    self._state, self._is_migrated = state, False
                    commands.append(StateSet(Raw(state), self._definition.version))
                self._note_reminders(flight.reminders)
                return
        commands.append(Replied(flight.delivery, failure=failure))
        self._go_back()

    def _go_back(self) -> None:
        """To the state before the handler. What it is made of is the user's, and may refuse what it took before."""
        try:
            self._instance = self._definition.state.decode(self._state)
        except BaseException as unfit:
            self._unfit = f"its state does not fit any more: {reason(unfit)}; deploy code that fits it"

    def _note_reminders(self, changes: _Changes) -> None:
        self._reminders -= changes.keys()
        self._reminders |= {name for name, change in changes.items() if isinstance(change, ReminderSet)}


_Changes = dict[str, "ReminderSet | ReminderForgotten"]


class _HandlerCalls(Calls):
    """`RunContext` of a handler, which may set reminders: they become commands when it has ended well."""

    def __init__(self, key: str, delivery: int, loop: WorkflowLoop, reminders: set[str]) -> None:
        super().__init__(key, delivery, loop, None)
        self._reminders = reminders
        self.handlers: Mapping[str, HandlerDefinition] = {}
        self.changes: _Changes = {}

    def remind(
        self,
        id: str,
        delay_s: float,
        handler: HandlerDefinition,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        every: bool,
    ) -> None:
        known = self.handlers.get(handler.name)
        if known is None or known.fn is not handler.fn:
            raise BadRequest(f"{handler.call.name} is no handler of this actor; it can have only itself reminded")
        set_by_now = self._reminders | self.changes.keys()
        set_by_now -= {name for name, change in self.changes.items() if isinstance(change, ReminderForgotten)}
        if len(set_by_now | {id}) > MAX_REMINDERS:
            raise BadRequest(f"{MAX_REMINDERS} reminders are set already; forget() some of them first")
        at = self._loop.time() + delay_s
        data, _ = self._encode(handler.call, args, kwargs)
        self.changes.pop(id, None)
        self.changes[id] = ReminderSet(id, handler.name, Raw(data), at, delay_s if every else None)

    def forget(self, id: str) -> None:
        if self.changes.pop(id, None) is not None or id in self._reminders:
            self.changes[id] = ReminderForgotten(id)


class _Flight:
    """One handler under way, in a loop that ends with it."""

    def __init__(
        self,
        key: str,
        delivery: int,
        now: float,
        reminders: set[str],
        watchdog: Watchdog | None,
        resources: Mapping[str, ResourceDefinition],
        order: Order,
    ) -> None:
        context = Context()
        self._loop = WorkflowLoop(crc32(f"{key}:{delivery}".encode()), now, context, watchdog, order)
        self._calls = _HandlerCalls(key, delivery, self._loop, reminders)
        self._calls.resources = resources
        context.run(current_run.set, self._calls)
        self._steps = Stepper(self._loop, self._calls)
        self._handler: HandlerDefinition | None = None
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
        calls = self._calls
        calls.handlers = handlers
        calls.begin(recorded)
        self._steps.turn(now, lambda: self._take(inputs, handlers, instance))
        self._finish(now)
        return calls.commands

    @property
    def reminders(self) -> _Changes:
        """The last that the handler did about each."""
        return self._calls.changes

    def evict(self) -> None:
        self._loop.evict()

    def _take(self, inputs: Sequence[AnyRecord], handlers: Any, instance: Any) -> None:
        for record in inputs:
            match record:
                case TaskSucceeded() | TaskGaveUp() | TaskReused() | CallAnswered():
                    self._calls.resolve(record)
                case Fired():
                    self._steps.timer = None
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
            is_awaited = isawaitable(answer)
        except BaseException as error:
            self.over, self.failure = True, failure_of(error)
            return
        if is_awaited:
            self._steps.main = self._loop.start(_awaited(answer), handler.name)
        else:
            self._succeed(answer)

    def _succeed(self, answer: Any) -> None:
        assert self._handler is not None
        self.over = True
        try:
            self.result = self._calls.encode_result(self._handler.result, answer)
        except BaseException as unfit:
            self.failure = failure_of(unfit)

    def _finish(self, now: float) -> None:
        over = self.over or self._steps.is_over(now)
        self._steps.note(over=over)
        if over and not self.over:
            self._end()

    def _end(self) -> None:
        main, exited = self._steps.main, self._steps.exited
        self.over = True
        assert main is not None
        if exited is not None:
            self.failure = failure_of(exited)
        elif main.cancelled():
            self.failure = Failure("CancelledError", "the handler was cancelled", kind="cancelled")
        elif (error := main.exception()) is not None:
            self.failure = failure_of(error)
        else:
            self._succeed(main.result())


async def _awaited(answer: Any) -> Any:
    return await answer
