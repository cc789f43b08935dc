"""What user code is running inside of: a run or actor (`RunContext`), or an attempt of a task (`AttemptContext`).

The runtime sets one of the two context variables; the public functions read them. A function called in
neither is a plain Python call.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID
from weakref import WeakSet

import msgspec

if TYPE_CHECKING:
    from understudy.definitions import (
        HandlerDefinition,
        OperationDefinition,
        ResourceDefinition,
        TaskDefinition,
        WorkflowDefinition,
    )
    from understudy.options import TaskOptions


class LeaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A lease of the resource at `address` (`kind/id`). `kind` is its type, empty for locks and semaphores.

    `alone`: whoever has it has all of it. `wait_s` None: as long as it takes. `spec` is JSON, `capacity` a semaphore's.
    """

    address: str
    kind: str = ""
    units: int = 1
    exclusive: bool = False
    alone: bool = False
    priority: int = 0
    wait_s: float | None = None
    spec: str = ""
    digest: str = ""
    capacity: int | None = None


class Granted(msgspec.Struct, frozen=True):
    """The lease that the call `number` got. `handle` is JSON."""

    number: int
    fence: int
    units: int
    handle: bytes = b"null"


class RunContext(Protocol):
    """The durable side of a workflow run or of an actor's handler, as user code reaches it.

    The calls are made (and numbered) at once, when the method is called from the awaiting coroutine's first
    step; what they return is a future of the run's own loop.
    """

    def call_task(
        self, task: TaskDefinition, args: tuple[Any, ...], kwargs: dict[str, Any], options: TaskOptions, default: Any
    ) -> Awaitable[Any]: ...

    def call_workflow(
        self, workflow: WorkflowDefinition, args: tuple[Any, ...], kwargs: dict[str, Any], run_id: str | None
    ) -> Awaitable[Any]:
        """Run as a child and await its result."""
        ...

    def start_workflow(
        self, workflow: WorkflowDefinition, args: tuple[Any, ...], kwargs: dict[str, Any], run_id: str | None
    ) -> str:
        """Start as a child that may outlive this run; returns its run id."""
        ...

    def ask(
        self, key_suffix: str, handler: HandlerDefinition, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Awaitable[Any]:
        """Ask the actor `kind/id` of this namespace."""
        ...

    def tell(
        self, key_suffix: str, handler: HandlerDefinition, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None: ...

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
        """Have the actor told by itself after `delay_s`, and with `every` again and again, unless its handler fails."""
        ...

    def forget(self, id: str) -> None:
        """Take a reminder back, unless the handler fails."""
        ...

    def wait_until(self, predicate: Callable[[], Any]) -> Awaitable[Any]:
        """The predicate's first value that is neither None nor False; asked again after every change."""
        ...

    def continue_as_new(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> BaseException:
        """What to raise to end this execution and begin the next."""
        ...

    def patched(self, patch_id: str) -> bool: ...
    def request_lease(self, request: LeaseRequest) -> tuple[int, Awaitable[Granted]]:
        """Ask for a lease: the number of the call, and what is granted."""
        ...

    def end_lease(self, number: int) -> None:
        """The block of this call has ended. Nothing happens if it holds nothing."""
        ...

    def invoke(
        self, number: int, operation: OperationDefinition, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Awaitable[Any]:
        """An operation under the lease that the call `number` got."""
        ...

    def resource(self, kind: str) -> ResourceDefinition:
        """The resource type of this name; UnknownName if it is not here."""
        ...

    def now(self) -> datetime: ...
    def random(self) -> Random: ...
    def uuid4(self) -> UUID: ...

    @property
    def run_id(self) -> str: ...


class TaskInfo(msgspec.Struct, frozen=True):
    """Who an attempt is. `key` is its idempotency key: the same for every attempt and dispatch of one call.

    `progress` is what the previous attempt last gave to `heartbeat()`, decoded to plain JSON types, or None.
    """

    key: str
    run_id: str
    task: str
    attempt: int
    dispatch: int
    progress: Any = None
    completion_token: str = ""
    """Inside a job's `submit`: what lets others say how the job ended, by `client.complete(token, result)`."""


class AttemptContext(Protocol):
    """The attempt that this thread, task or process is running."""

    @property
    def info(self) -> TaskInfo: ...

    def heartbeat(self, progress: Any) -> None: ...


class AttemptHost(Protocol):
    """Something that runs attempts in this process."""

    @property
    def has_attempts(self) -> bool: ...


attempt_hosts: WeakSet[AttemptHost] = WeakSet()
"""So that what no attempt is known for can be told from a plain call of a task. A forked process has none of them."""
os.register_at_fork(after_in_child=attempt_hosts.clear)
current_run: ContextVar[RunContext | None] = ContextVar("understudy_run", default=None)
current_attempt: ContextVar[AttemptContext | None] = ContextVar("understudy_attempt", default=None)
current_leases: ContextVar[tuple[tuple[int, str, bool], ...]] = ContextVar("understudy_leases", default=())
"""The blocks that the code is in, outermost first: the call, the address, and whether it has all of it."""
