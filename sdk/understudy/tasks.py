"""Tasks as user code holds them: call one in a workflow and it is durable, call it elsewhere and it just runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, ParamSpec, TypeVar, cast, overload

import msgspec

from understudy.building import Deferred
from understudy.context import current_run
from understudy.definitions import TaskDefinition
from understudy.options import (
    Duration,
    RetryPolicy,
    TaskOptions,
    checked_label,
    checked_labels,
    checked_priority,
    checked_slots,
    refuse_unknown,
    seconds,
)

if TYPE_CHECKING:
    from understudy.app import App

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")


class Task(Generic[P, R]):
    """A decorated function. `fn` is the function itself.

    Calling it always returns a coroutine. In a workflow the call is scheduled when the coroutine first runs,
    and raises `TaskFailed` (or one of `raises=`) once the task has given up.
    """

    def __init__(
        self, app: App, fn: Callable[P, Any], definition: Deferred[TaskDefinition], options: TaskOptions, default: Any
    ) -> None:
        self.app = app
        self.fn = fn
        self.options = options
        self.default = default
        self._definition = definition
        self.__name__ = getattr(fn, "__name__", "task")
        self.__doc__ = fn.__doc__

    @property
    def definition(self) -> TaskDefinition:
        return self._definition.get()

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        run = current_run.get()
        if run is not None:
            return cast("R", await run.call_task(self._definition.get(), args, kwargs, self.options, self.default))
        result = self.fn(*args, **kwargs)
        return cast("R", await result if inspect.isawaitable(result) else result)

    @overload
    def with_(
        self,
        *,
        optional: Literal[True],
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        deadline: Duration | None = None,
        heartbeat: Duration | None = None,
        memory_mb: int | None = None,
        version: str | None = None,
        queue: str | None = None,
        priority: int | None = None,
        slots: int | None = None,
        labels: Sequence[str] | None = None,
        queue_timeout: Duration | None = None,
    ) -> Task[P, R | None]: ...
    @overload
    def with_(
        self,
        *,
        optional: Literal[False] | None = None,
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        deadline: Duration | None = None,
        heartbeat: Duration | None = None,
        memory_mb: int | None = None,
        version: str | None = None,
        queue: str | None = None,
        priority: int | None = None,
        slots: int | None = None,
        labels: Sequence[str] | None = None,
        queue_timeout: Duration | None = None,
    ) -> Task[P, R]: ...
    def with_(self, *, optional: bool | None = None, **options: Any) -> Task[P, Any]:
        """The same task with other options for the calls made through it; what is not given stays."""
        refuse_unknown(f"{self.__name__}.with_", options, TASK_OPTIONS)
        changed = given_options(optional=optional, **options)
        return self._with(msgspec.structs.replace(self.options, **changed), self.default)

    def optional(self, default: D) -> Task[P, R | D]:
        """The same task, giving `default` where it would raise; the failure becomes a warning of the run."""
        return self._with(msgspec.structs.replace(self.options, optional=True), default)

    def _with(self, options: TaskOptions, default: Any) -> Task[P, Any]:
        return Task(self.app, self.fn, self._definition, options, default)

    def __repr__(self) -> str:
        return f"<task {self.__name__}>"


def given_options(
    *,
    retry: RetryPolicy | None = None,
    timeout: Duration | None = None,
    deadline: Duration | None = None,
    heartbeat: Duration | None = None,
    optional: bool | None = None,
    isolate: Literal["", "process"] | None = None,
    memory_mb: int | None = None,
    version: str | None = None,
    queue: str | None = None,
    priority: int | None = None,
    slots: int | None = None,
    labels: Sequence[str] | None = None,
    queue_timeout: Duration | None = None,
) -> dict[str, Any]:
    """Those fields of `TaskOptions` that were given."""
    fields: dict[str, Any] = {
        "retry": retry,
        "timeout_s": None if timeout is None else seconds(timeout),
        "deadline_s": None if deadline is None else seconds(deadline),
        "heartbeat_s": None if heartbeat is None else seconds(heartbeat),
        "optional": optional,
        "isolate": isolate,
        "memory_mb": memory_mb,
        "version": version,
        "queue": None if queue is None else checked_label(queue),
        "priority": None if priority is None else checked_priority(priority),
        "slots": None if slots is None else checked_slots(slots),
        "labels": None if labels is None else checked_labels(labels),
        "queue_timeout_s": None if queue_timeout is None else seconds(queue_timeout),
    }
    return {name: value for name, value in fields.items() if value is not None}


TASK_OPTIONS: Final = frozenset(inspect.signature(given_options).parameters)
