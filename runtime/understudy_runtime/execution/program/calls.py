"""`Calls`: the durable side of a program, as its user code reaches it through `understudy.context`.

Each call is numbered and written down as a command when it is made; its future is resolved by the input that
bears its number. Cancelling the future tells the machine that nobody awaits the call any more, and raises at
once. Nothing here decides whether, when or where a task runs.
"""

from __future__ import annotations

import hashlib
from asyncio import Future
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from random import Random
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Raw

from understudy.codec import CallCodec, ResultCodec
from understudy.context import Granted, LeaseRequest, current_leases
from understudy.definitions import (
    HandlerDefinition,
    OperationDefinition,
    ResourceDefinition,
    TaskDefinition,
    WorkflowDefinition,
)
from understudy.errors import BadInput, BadRequest, LeaseLost, UnknownName
from understudy.failures import (
    decode_ask_failure,
    decode_failure,
    decode_lease_failure,
    decode_operation_failure,
    decode_run_failure,
    run_ended,
)
from understudy.options import TaskOptions
from understudy_runtime.core.keys import RESOURCE_PREFIX, id_of, name_of, namespace_of
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.calls import (
    AskScheduled,
    CallAnswered,
    CallCancelled,
    ChildScheduled,
    TaskGaveUp,
    TaskScheduled,
    TaskSucceeded,
)
from understudy_runtime.core.records.leases import LeaseEnded, LeaseRequested, OperationScheduled
from understudy_runtime.core.records.programs import Patched, TimerSet
from understudy_runtime.core.records.runs import TaskReused
from understudy_runtime.core.resource.messages import LeaseGrant
from understudy_runtime.execution.program.loop import WorkflowLoop
from understudy_runtime.execution.program.raising import NOT_HERE, ContinueAsNew, fail
from understudy_runtime.execution.program.tasks import RunFuture

answering: ContextVar[int] = ContextVar("understudy_answering", default=0)
"""In a run: the delivery whose handler this is, 0 elsewhere. What asks and child runs wait for, who asked waits for."""
TIMER_GRAIN_S: Final = 1e-6
"""Timers that are nearer to each other are the same, as replay sees them."""
MAX_OPEN_CALLS: Final = 100_000
"""Calls that one execution may await at once."""

_Call = TaskScheduled | ChildScheduled | AskScheduled | OperationScheduled
MAX_CONDITION_ROUNDS: Final = 64
"""So often `wait_until` conditions may set one another off in one turn; the next turn goes on with it."""

Outcome = TaskSucceeded | TaskReused | TaskGaveUp | CallAnswered
Settle = Callable[[Outcome], Any]
"""Turns an input into the call's result, or raises its error."""


class CallFuture(RunFuture[Any]):
    """The future of one call. Cancelling it gives the call up."""

    calls: Calls
    number: int

    def cancel(self, msg: Any | None = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled:
            self.calls.given_up(self.number)
        return cancelled


class Calls:
    """Implements `RunContext` for one execution of a run, or for one handler of an actor."""

    def __init__(self, key: str, execution: int, loop: WorkflowLoop, continued: WorkflowDefinition | None) -> None:
        self._key = key
        self._execution = execution
        self._loop = loop
        self._continued = continued
        self._count = 0
        self._open: dict[int, tuple[CallFuture, Settle]] = {}
        self._conditions: list[tuple[Callable[[], Any], Future[None]]] = []
        self._unsettled = 0
        self._patches: dict[str, bool] = {}
        self._recorded: Sequence[AnyRecord] | None = None
        self._calls_then: dict[int, _Call | LeaseRequested] = {}
        self._random: Random | None = None
        self._leases: set[int] = set()
        self.is_handling = False
        """Whether a handler is being called, which is not a task of its own by then."""
        self.renewal_asked = False
        """Whether continue_as_new() was ever called, by whichever task."""
        self.resources: Mapping[str, ResourceDefinition] = {}
        """The types whose resources there can be leases of."""
        self.commands: list[AnyRecord] = []

    # --- the program's side

    def begin(self, recorded: Sequence[AnyRecord] | None) -> None:
        """A new activation: what is asked for from now on goes into a fresh `commands`."""
        self.commands = []
        self._recorded = recorded
        self._calls_then = (
            {each.call: each for each in recorded if isinstance(each, _Call | LeaseRequested)} if recorded else {}
        )

    def resolve(self, outcome: Outcome) -> None:
        """Hand a call its end. A call that was given up, or a result that came twice, is ignored."""
        found = self._open.pop(outcome.call, None)
        if found is None or found[0].done():
            return
        future, settle = found
        try:
            result = settle(outcome)  # which calls user code: validators, and constructors of errors
            if not future.done():
                future.set_result(result)
        except BaseException as error:
            fail(future, error)

    def given_up(self, number: int) -> None:
        if self._open.pop(number, None) is not None:
            self.commands.append(CallCancelled(number))

    def turn(self, now: float, deliver: Callable[[], object] | None) -> None:
        """One turn of the loop, and more of it for as long as `wait_until` conditions set one another off."""
        self._loop.turn(now, deliver)
        for _ in range(MAX_CONDITION_ROUNDS):
            if not self._conditions or not self._meet_conditions(now):
                self._unsettled = 0
                return
        self._unsettled += 1
        self._loop.leave_unsettled(self._unsettled)

    def _meet_conditions(self, now: float) -> bool:
        """Ask every `wait_until` again; True if one of them could go on."""
        met = False

        def ask() -> None:
            nonlocal met
            waiting, self._conditions = self._conditions, []
            for predicate, future in waiting:
                if future.done():
                    continue
                is_met = _is_met(predicate)
                if future.done():
                    continue  # the predicate itself has cancelled whoever waits for it
                if is_met:
                    met = True
                    future.set_result(None)
                else:
                    self._conditions.append((predicate, future))

        self._loop.turn(now, ask)
        return met

    @property
    def replaying(self) -> bool:
        """What goes on happened before, and is only being repeated."""
        return self._recorded is not None

    def encode_result(self, codec: ResultCodec, value: Any) -> Raw:
        """What a handler or the workflow returned; BadInput if it would not arrive as it is. See `_encode`."""
        try:
            return Raw(codec.encode(value))
        except BadInput:
            if self._recorded is not None:
                data = codec.encode_unproven(value)
                if any(data == bytes(getattr(record, "result", b"")) for record in self._recorded):
                    return Raw(data)
            raise

    def _encode(self, codec: CallCodec, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[bytes, str]:
        """The arguments of a call; BadInput if they would not arrive as they are.

        Earlier releases sent those, too: a call that the journal has is made again as it was made then.
        """
        try:
            return codec.encode(args, kwargs)
        except BadInput:
            if self._recorded is not None:
                data, digest = codec.encode_unproven(args, kwargs)
                if any(_has_input(record, data, digest) for record in self._recorded):
                    return data, digest
            raise

    def has_set_timer(self, at: float) -> bool:
        """Live, True: it is going to. In a replay, whether it did so in this activation."""
        recorded = self._recorded
        return recorded is None or any(
            type(record) is TimerSet and record.at is not None and abs(record.at - at) < TIMER_GRAIN_S
            for record in recorded
        )

    def __len__(self) -> int:
        return len(self._open)

    # --- RunContext

    def call_task(
        self, task: TaskDefinition, args: tuple[Any, ...], kwargs: dict[str, Any], options: TaskOptions, default: Any
    ) -> Awaitable[Any]:
        data, digest = self._encode(task.call, args, kwargs)
        number = self._next()
        self._ask_for(TaskScheduled(number, task.name, Raw(data), digest, options, self._leases_here()), task.call)

        def settle(outcome: Outcome) -> Any:
            if isinstance(outcome, TaskGaveUp):
                if options.optional:
                    return default
                raise decode_failure(outcome.failure, task.raises)
            assert outcome.result is not None
            return task.result.decode(outcome.result)

        return self._await(number, settle)

    def call_workflow(
        self, workflow: WorkflowDefinition, args: tuple[Any, ...], kwargs: dict[str, Any], run_id: str | None
    ) -> Awaitable[Any]:
        number, child_id = self._child(workflow, args, kwargs, run_id, wait=True)

        def settle(outcome: Outcome) -> Any:
            assert isinstance(outcome, CallAnswered)
            if outcome.failure is not None:
                raise _child_error(child_id, outcome.failure, workflow)
            return workflow.result.decode(outcome.result or Raw(b"null"))

        return self._await(number, settle)

    def start_workflow(
        self, workflow: WorkflowDefinition, args: tuple[Any, ...], kwargs: dict[str, Any], run_id: str | None
    ) -> str:
        return self._child(workflow, args, kwargs, run_id, wait=False)[1]

    def ask(
        self, key_suffix: str, handler: HandlerDefinition, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Awaitable[Any]:
        data, _ = self._encode(handler.call, args, kwargs)
        number = self._next()
        to = self._address(key_suffix)
        self._ask_for(AskScheduled(number, to, handler.name, Raw(data), delivery=answering.get()), handler.call)

        def settle(outcome: Outcome) -> Any:
            assert isinstance(outcome, CallAnswered)
            if outcome.failure is not None:
                raise decode_ask_failure(outcome.failure)
            return handler.result.decode(outcome.result or Raw(b"null"))

        return self._await(number, settle)

    def tell(self, key_suffix: str, handler: HandlerDefinition, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        data, _ = self._encode(handler.call, args, kwargs)
        to = self._address(key_suffix)
        self._ask_for(AskScheduled(self._next(), to, handler.name, Raw(data), ask=False), handler.call)

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
        raise BadRequest("reminders are for actors; a workflow sleeps, and a schedule starts workflows by the clock")

    def forget(self, id: str) -> None:
        raise BadRequest("reminders are for actors; a workflow has none")

    def request_lease(self, request: LeaseRequest) -> tuple[int, Awaitable[Granted]]:
        number = self._next()
        spec = Raw(request.spec.encode()) if request.spec else None
        asked = LeaseRequested(
            number,
            request.address,
            request.units,
            request.exclusive,
            request.priority,
            request.wait_s,
            spec,
            request.digest,
            request.capacity,
        )
        self.commands.append(self._lease_as_recorded(asked) if self._calls_then else asked)

        def settle(outcome: Outcome) -> Granted:
            assert isinstance(outcome, CallAnswered)
            if outcome.failure is not None:
                raise decode_lease_failure(outcome.failure)
            grant = _decode_grant(outcome.result or Raw(b"null"))
            self._leases.add(number)
            return Granted(number, grant.fence, grant.units, bytes(grant.handle or b"null"))

        return number, self._await(number, settle)

    def end_lease(self, number: int) -> None:
        if number in self._leases:
            self._leases.discard(number)
            self.commands.append(LeaseEnded(number))

    def invoke(
        self, number: int, operation: OperationDefinition, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Awaitable[Any]:
        if number not in self._leases:
            raise LeaseLost(f"{operation.name}: the block that held the lease has ended; call operations inside it")
        data, digest = self._encode(operation.call, args, kwargs)
        call = self._next()
        self._ask_for(OperationScheduled(call, number, operation.name, Raw(data), digest), operation.call)

        def settle(outcome: Outcome) -> Any:
            assert isinstance(outcome, CallAnswered)
            if outcome.failure is not None:
                raise decode_operation_failure(outcome.failure, operation.raises)
            return operation.result.decode(outcome.result or Raw(b"null"))

        return self._await(call, settle)

    def resource(self, kind: str) -> ResourceDefinition:
        known = self.resources
        if kind not in known:
            raise UnknownName(f"there is no resource type {kind} in this node's apps; they have: {', '.join(known)}")
        return known[kind]

    async def wait_until(self, predicate: Callable[[], Any]) -> Any:
        future: Future[None] = self._loop.create_future()
        while (value := predicate()) is None or value is False:
            self._conditions.append((predicate, future))
            await future
            # Whoever was woken before this may have taken what it waited for, so it asks for itself.
            future = self._loop.create_future()
        return value

    def continue_as_new(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> BaseException:
        if self._continued is None:
            return BadRequest("continue_as_new() is for workflows; an actor's handler just returns")
        if answering.get() or self.is_handling:
            return BadRequest(NOT_HERE)
        self.renewal_asked = True
        return ContinueAsNew(*self._encode(self._continued.call, args, kwargs))

    def patched(self, patch_id: str) -> bool:
        """In a replay, what the journal says; live, True. The first answer stands for the whole execution."""
        known = self._patches.get(patch_id)
        if known is None:
            taken = Patched(patch_id)
            known = self._patches[patch_id] = self._recorded is None or taken in self._recorded
            if known:
                self.commands.append(taken)
        return known

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._loop.time(), UTC)

    def random(self) -> Random:
        if self._random is None:
            seed = hashlib.blake2b(f"{self._key}:{self._execution}".encode(), digest_size=16).digest()
            self._random = Random(seed)
        return self._random

    def uuid4(self) -> UUID:
        return UUID(int=self.random().getrandbits(128), version=4)

    @property
    def run_id(self) -> str:
        return id_of(self._key)

    # ---

    def _ask_for(self, command: _Call, codec: CallCodec) -> None:
        self.commands.append(self._as_recorded(command, codec) if self._calls_then else command)

    def _as_recorded(self, command: _Call, codec: CallCodec) -> _Call:
        """The recorded arguments in the place of the command's, if they are equal in the types that the code has now.

        So a field that was added with a default is no divergence, and any other argument is one.
        """
        then = self._calls_then.get(command.call)
        if then is None or then.__struct_fields__ != command.__struct_fields__:
            return command
        field = "input" if isinstance(command, ChildScheduled) else "args"
        recorded, asked = getattr(then, field), getattr(command, field)
        if recorded == asked or not _are_equal(recorded, asked, codec):
            return command
        changed = {name: getattr(then, name) for name in (field, "digest") if name in command.__struct_fields__}
        return msgspec.structs.replace(command, **changed)

    def _lease_as_recorded(self, asked: LeaseRequested) -> LeaseRequested:
        """The same for the spec of a resource."""
        then = self._calls_then.get(asked.call)
        if not isinstance(then, LeaseRequested) or then.digest == asked.digest:
            return asked
        definition = self.resources.get(asked.to.split("/", 1)[0].removeprefix(RESOURCE_PREFIX))
        if definition is None or not isinstance(then.spec, Raw) or not isinstance(asked.spec, Raw):
            return asked
        if not _are_equal_specs(then.spec, asked.spec, definition):
            return asked
        return msgspec.structs.replace(asked, spec=then.spec, digest=then.digest)

    def _leases_here(self) -> tuple[int, ...]:
        entered = current_leases.get()
        return tuple(number for number, _, _ in entered if number in self._leases) if entered else ()

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _await(self, number: int, settle: Settle) -> Awaitable[Any]:
        if len(self._open) >= MAX_OPEN_CALLS:
            raise BadRequest(f"{MAX_OPEN_CALLS} calls are open in this run; await some of them first")
        future = CallFuture(loop=self._loop)
        future.run_hash = self._loop.next_hash()
        future.calls = self
        future.number = number
        self._open[number] = (future, settle)
        return future

    def _child(
        self,
        workflow: WorkflowDefinition,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        run_id: str | None,
        *,
        wait: bool,
    ) -> tuple[int, str]:
        data, digest = self._encode(workflow.call, args, kwargs)
        number = self._next()
        child_id = f"{name_of(self._key)}.{self._execution}.{number}" if run_id is None else run_id
        behalf, leases = answering.get(), self._leases_here() if wait else ()
        child = ChildScheduled(
            number, workflow.name, child_id, Raw(data), digest, wait, workflow.deadline_s, behalf, leases
        )
        self._ask_for(child, workflow.call)
        return number, child_id

    def _address(self, key_suffix: str) -> str:
        return f"{namespace_of(self._key)}/{key_suffix}"


def _are_equal(recorded: Raw, asked: Raw, codec: CallCodec) -> bool:
    """Whether they are in today's types: as values, or once encoded (a set, or a type that has no equality)."""
    try:
        then, now = codec.decode(recorded), codec.decode(asked)
        return bool(then == now) or codec.encode(*then)[1] == codec.encode(*now)[1]
    except BaseException:  # of user code that compares or decodes: what cannot be shown to be equal is not
        return False


def _are_equal_specs(recorded: Raw, asked: Raw, definition: ResourceDefinition) -> bool:
    try:
        then, now = (definition.spec.decode(each, f"the spec of {definition.name}") for each in (recorded, asked))
        return bool(then == now) or definition.encode_spec(then)[1] == definition.encode_spec(now)[1]
    except BaseException:  # as above
        return False


_decode_grant: Final = msgspec.json.Decoder(LeaseGrant).decode


def _is_met(predicate: Callable[[], Any]) -> bool:
    """Whether the one who waits can go on: also to find out what its predicate raises."""
    try:
        value = predicate()
    except BaseException:  # raised again, where it is awaited
        return True
    return value is not None and value is not False


_ENDS: Final = {"RunCancelled": "cancelled", "Terminated": "terminated", "RunTimedOut": "timed_out"}


def _child_error(run_id: str, failure: Failure, workflow: WorkflowDefinition) -> Exception:
    ended = _ENDS.get(failure.type)
    if ended is not None and failure.arguments is None:
        return run_ended(run_id, ended, failure.message)
    return decode_run_failure(run_id, failure, workflow.raises)


def _has_input(record: AnyRecord, data: bytes, digest: str) -> bool:
    """The digest is asked too, because sets are encoded in the order of this process."""
    given = getattr(record, "args", None) or getattr(record, "input", None)
    return given is not None and (bytes(given) == data or getattr(record, "digest", "") == digest)
