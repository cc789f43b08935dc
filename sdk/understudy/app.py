"""`App`: the definitions that belong together, under one name.

Decorating registers and checks; nothing runs. The runtime reads `tasks`, `workflows`, `actors` and `schedules`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal, ParamSpec, Protocol, TypeVar, overload

from understudy.actors import ACTOR_MARK, Actor
from understudy.building import (
    Deferred,
    actor_definition,
    names_where_decorated,
    task_definition,
    workflow_definition,
)
from understudy.definitions import ActorDefinition, TaskDefinition, WorkflowDefinition
from understudy.errors import BadDefinition
from understudy.options import Duration, Isolation, RetryPolicy, TaskOptions, seconds
from understudy.scheduling import CatchUp, Overlap, ScheduleSpec, checked_schedule_id, starting, timing
from understudy.tasks import Task, given_options
from understudy.workflows import CLASS_MARK, ClassMark, HasRun, Workflow, is_workflow, workflow_of

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
W = TypeVar("W", bound=HasRun[..., Any])
A = TypeVar("A", bound=Actor)
F = TypeVar("F", bound=Callable[..., Any])

MAX_NAME_CHARS: Final = 200


class TaskDecorator(Protocol):
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Task[P, R]: ...


class OptionalTaskDecorator(Protocol):
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R | None]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Task[P, R | None]: ...


class WorkflowDecorator(Protocol):
    @overload
    def __call__(self, entry: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
    @overload
    def __call__(self, entry: type[W], /) -> type[W]: ...


class App:
    """A named set of tasks, workflows and actors. `build` pins runs to this version of the code."""

    def __init__(self, name: str, build: str = "") -> None:
        self.name: Final = _checked_name("app", name)
        self.build: Final = build
        self._tasks: dict[str, Deferred[TaskDefinition]] = {}
        self._workflows: dict[str, Deferred[WorkflowDefinition]] = {}
        self._actors: dict[str, Deferred[ActorDefinition]] = {}
        self._schedules: dict[str, Callable[[], ScheduleSpec]] = {}

    @property
    def tasks(self) -> Mapping[str, TaskDefinition]:
        return {name: deferred.get() for name, deferred in self._tasks.items()}

    @property
    def workflows(self) -> Mapping[str, WorkflowDefinition]:
        return {name: deferred.get() for name, deferred in self._workflows.items()}

    @property
    def actors(self) -> Mapping[str, ActorDefinition]:
        return {name: deferred.get() for name, deferred in self._actors.items()}

    @property
    def schedules(self) -> Mapping[str, ScheduleSpec]:
        """By their ids; BadInput if arguments do not fit their workflow."""
        return {schedule_id: make() for schedule_id, make in self._schedules.items()}

    @overload
    def task(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def task(self, fn: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self,
        fn: None = None,
        /,
        *,
        optional: Literal[True],
        name: str = "",
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        deadline: Duration | None = None,
        heartbeat: Duration | None = None,
        isolate: Isolation = "",
        memory_mb: int | None = None,
        raises: Sequence[type[Exception]] = (),
        version: str = "",
        queue: str = "default",
        priority: int = 0,
        slots: int = 1,
        labels: Sequence[str] = (),
    ) -> OptionalTaskDecorator: ...
    @overload
    def task(
        self,
        fn: None = None,
        /,
        *,
        optional: Literal[False] = False,
        name: str = "",
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        deadline: Duration | None = None,
        heartbeat: Duration | None = None,
        isolate: Isolation = "",
        memory_mb: int | None = None,
        raises: Sequence[type[Exception]] = (),
        version: str = "",
        queue: str = "default",
        priority: int = 0,
        slots: int = 1,
        labels: Sequence[str] = (),
    ) -> TaskDecorator: ...
    def task(self, fn: Any = None, /, *, name: str = "", raises: Sequence[type[Exception]] = (), **options: Any) -> Any:
        """Make a function a task: a unit of work that may touch the outside world and may be tried again.

        `async def` runs on the work loop; `def` gets a thread, or a process of its own with
        `isolate="process"`, there with at most `memory_mb` of memory. `timeout` bounds one attempt, `deadline`
        all of them with the delays between, `heartbeat` the silence of an attempt. A task that is `optional`
        gives None where it would raise. Error classes in `raises` reach the workflow as themselves. A retried
        run does not reuse the results of another `version`.

        On a node with workers, a ready task waits in `queue` for a worker that has all of its `labels` and `slots`
        slots free; a point of `priority` (-100 to 100) is worth ten seconds of waiting.
        """

        def decorate(fn: Callable[..., Any]) -> Task[..., Any]:
            task_name = _checked_name("task", name or fn.__name__)
            task_options = TaskOptions(**given_options(**options))
            make = partial(task_definition, task_name, fn, task_options, raises)
            deferred = self._add(self._tasks, "task", task_name, make)
            return Task(self, fn, deferred, task_options, None)

        return decorate if fn is None else decorate(fn)

    @overload
    def workflow(self, entry: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
    @overload
    def workflow(self, entry: type[W], /) -> type[W]: ...
    @overload
    def workflow(
        self,
        entry: None = None,
        /,
        *,
        name: str = "",
        timeout: Duration | None = None,
        raises: Sequence[type[Exception]] = (),
    ) -> WorkflowDecorator: ...
    def workflow(
        self,
        entry: Any = None,
        /,
        *,
        name: str = "",
        timeout: Duration | None = None,
        raises: Sequence[type[Exception]] = (),
    ) -> Any:
        """Make an `async def` function, or a class with an `async def run`, a workflow.

        `timeout` bounds the whole run, waiting included. Error classes in `raises` reach whoever awaits the
        run as themselves.
        """

        def decorate(entry: Callable[..., Any]) -> Any:
            workflow_name = _checked_name("workflow", name or entry.__name__)
            deadline_s = None if timeout is None else seconds(timeout)
            make = partial(workflow_definition, workflow_name, entry, deadline_s, raises)
            deferred = self._add(self._workflows, "workflow", workflow_name, make)
            if isinstance(entry, type):
                setattr(entry, CLASS_MARK, ClassMark(self, deferred))
                return entry
            return Workflow(self, entry, deferred)

        return decorate if entry is None else decorate(entry)

    def schedule(
        self,
        *,
        id: str = "",
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
        cron: str | Sequence[str] = (),
        tz: str = "UTC",
        every: Duration | None = None,
        starts: datetime | None = None,
        ends: datetime | None = None,
        jitter: Duration = 0,
        catch_up: CatchUp = "one",
        overlap: Overlap = "skip",
    ) -> Callable[[F], F]:
        """Run the workflow below by the clock; the schedule is made, or changed, when a node with this code starts.

            @app.schedule(cron="0 3 * * *", tz="Europe/Berlin")
            @app.workflow
            async def nightly() -> None: ...

        `cron` is one expression or several (see `understudy.cron`) in the time zone `tz`; or `every` is an interval,
        counted from `starts` or else from 1970, UTC. A local time that a change of clocks skips counts as the moment of
        the change, one that comes twice counts once; with `*` for the hour, an expression goes by the hours that
        really pass.

        Each run starts up to `jitter` after its nominal time, the same for the same time. `catch_up` says which of the
        times that passed while no node ran are made up for: none ("skip"), the newest ("one") or all, up to 1,000.
        `overlap` says what happens while a run has not ended: "skip" the new one, "buffer_one" or "buffer" (all) until
        it has, "allow" both, "cancel" or "terminate" the old one. `scheduled_for()` is the nominal time inside a run.

        `id` is the workflow's name unless it is given. Deleted, the schedule is there again when a node starts, and one
        that is no longer in the code stays until it is deleted.
        """
        spec = timing(
            cron=cron, tz=tz, every=every, starts=starts, ends=ends, jitter=jitter, catch_up=catch_up, overlap=overlap
        )

        def decorate(workflow: F) -> F:
            if not is_workflow(workflow):
                raise BadDefinition(f"{workflow!r} is no workflow yet; @app.schedule goes above @app.workflow")
            schedule_id = checked_schedule_id(id or str(getattr(workflow, "__name__", "")))
            if schedule_id in self._schedules:
                raise BadDefinition(f"app {self.name} has two schedules called {schedule_id}; give one of them an id")
            self._schedules[schedule_id] = lambda: starting(spec, workflow_of(workflow)[1], args, kwargs or {})
            return workflow

        return decorate

    def actor(self, cls: type[A], /) -> type[A]:
        """Make a class derived from `Actor` an actor, addressed as `cls.at(id)`."""
        name = _checked_name("actor", cls.__name__)
        _require_actor(name, cls)
        setattr(cls, ACTOR_MARK, self._add(self._actors, "actor", name, partial(actor_definition, name, cls)))
        return cls

    def _add(
        self, known: dict[str, Deferred[T]], kind: str, name: str, make: Callable[[Mapping[str, Any]], T]
    ) -> Deferred[T]:
        if name in known:
            raise BadDefinition(f"app {self.name} has two {kind}s called {name}; give one of them another name")
        known[name] = Deferred(make, names_where_decorated())
        return known[name]

    def __repr__(self) -> str:
        return f"<app {self.name}>"


def _require_actor(name: str, cls: type[Any]) -> None:
    if not issubclass(cls, Actor):
        raise BadDefinition(f"actor {name} must derive from understudy.Actor")


def _checked_name(kind: str, name: str) -> str:
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable() or "/" in name:
        raise BadDefinition(f"{name!r} is no name for {kind}: use 1 to {MAX_NAME_CHARS} printable characters, no '/'")
    return name
