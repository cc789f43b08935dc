"""`App`: the definitions that belong together, under one name.

Decorating registers and checks; nothing runs. The runtime reads `tasks`, `workflows`, `actors` and `schedules`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from functools import partial
from inspect import signature
from typing import Any, Final, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from understudy.actors import ACTOR_MARK, Actor
from understudy.building import (
    Deferred,
    actor_definition,
    names_where_decorated,
    require_class,
    require_function,
    task_definition,
    workflow_definition,
)
from understudy.definitions import ActorDefinition, ResourceDefinition, TaskDefinition, WorkflowDefinition
from understudy.errors import BadDefinition
from understudy.jobs import JobDecorator, JobDefinition, JobTask, job_definition, job_options
from understudy.options import (
    Duration,
    Isolation,
    Rate,
    RetryPolicy,
    TaskOptions,
    UnknownSubmit,
    per_second,
    refuse_unknown,
    seconds,
    takes_options,
)
from understudy.resource_building import resource_definition
from understudy.resources import RESOURCE_MARK, Resource
from understudy.resourcing import PATIENT, ResourceOptions
from understudy.scheduling import CatchUp, Overlap, ScheduleSpec, checked_schedule_id, starting, timing
from understudy.tasks import TASK_OPTIONS, Task, given_options
from understudy.workflows import CLASS_MARK, ClassMark, HasRun, Workflow, is_workflow, workflow_of

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
W = TypeVar("W", bound=HasRun[..., Any])
A = TypeVar("A", bound=Actor)
Res = TypeVar("Res", bound=Resource[Any, Any])
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
        self._jobs: dict[str, Deferred[JobDefinition]] = {}
        self._workflows: dict[str, Deferred[WorkflowDefinition]] = {}
        self._actors: dict[str, Deferred[ActorDefinition]] = {}
        self._resources: dict[str, Deferred[ResourceDefinition]] = {}
        self._schedules: dict[str, Callable[[], ScheduleSpec]] = {}

    @property
    def tasks(self) -> Mapping[str, TaskDefinition]:
        made = {name: deferred.get() for name, deferred in self._tasks.items()}
        for deferred in self._jobs.values():
            made |= deferred.get().parts
        return made

    @property
    def workflows(self) -> Mapping[str, WorkflowDefinition]:
        return {name: deferred.get() for name, deferred in self._workflows.items()}

    @property
    def actors(self) -> Mapping[str, ActorDefinition]:
        return {name: deferred.get() for name, deferred in self._actors.items()}

    @property
    def resources(self) -> Mapping[str, ResourceDefinition]:
        return {name: deferred.get() for name, deferred in self._resources.items()}

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
        queue_timeout: Duration | None = None,
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
        queue_timeout: Duration | None = None,
    ) -> TaskDecorator: ...
    def task(self, fn: Any = None, /, *, name: str = "", raises: Sequence[type[Exception]] = (), **options: Any) -> Any:
        """Make a function a task: a unit of work that may touch the outside world and may be tried again.

        `async def` runs on the work loop; `def` gets a thread, or a process of its own with
        `isolate="process"`, there with at most `memory_mb` of memory. `timeout` bounds one attempt, `deadline`
        all of them with the delays between, `heartbeat` the silence of an attempt. A task that is `optional`
        gives None where it would raise. Error classes in `raises` reach the workflow as themselves. A retried
        run does not reuse the results of another `version`.

        On a node with workers, a ready task waits in `queue` for a worker that has all of its `labels` and `slots`
        slots free; a point of `priority` (-100 to 100) is worth ten seconds of waiting. An attempt that nobody has
        begun with after `queue_timeout` has failed, by a timeout.
        """

        refuse_unknown("app.task", options, TASK_OPTIONS | {"name", "raises"})

        def decorate(fn: Callable[..., Any]) -> Task[..., Any]:
            require_function("task", fn)
            task_name = _checked_name("task", name or fn.__name__)
            task_options = TaskOptions(**given_options(**options))
            make = partial(task_definition, task_name, fn, task_options, raises)
            deferred = self._add(self._tasks, "task", task_name, make)
            return Task(self, fn, deferred, task_options, None)

        return decorate if fn is None else decorate(fn)

    @takes_options
    def job(
        self,
        *,
        name: str = "",
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        deadline: Duration | None = None,
        every: Duration = "10s",
        factor: float = 1.0,
        cap: Duration = "1m",
        rate: Rate | None = None,
        system: str = "",
        unknown: UnknownSubmit = "fail",
        call_timeout: Duration = "1m",
        poll_errors: int = 10,
        raises: Sequence[type[Exception]] = (),
        version: str = "",
    ) -> JobDecorator:
        """Make a class derived from `Job` a task whose work happens in an outside system; see `understudy.jobs`.

        It is polled `every` so often, with intervals that grow by `factor` up to `cap`, and at most at `rate` ("10/s",
        "100/m") in all, on each node; jobs that name the same `system` share the rate. `timeout` bounds an attempt
        from its submission on, `call_timeout` one call of a method. A failed attempt is retried when its job has been
        cancelled. `unknown` says what becomes of a submit that nobody knows the outcome of and that `find` cannot tell:
        the task fails, it is submitted again with the same key, or the run is held until a person has looked.
        """
        limit = None if rate is None else per_second(rate)
        how: dict[str, Any] = {
            "every_s": seconds(every),
            "factor": factor,
            "cap_s": seconds(cap),
            "poll_errors": poll_errors,
            "call_timeout_s": seconds(call_timeout),
            "unknown": unknown,
        }

        def decorate(cls: type[Any]) -> JobTask[..., Any]:
            require_class("job", cls)
            job_name = _checked_name("job", name or cls.__name__)
            given = given_options(retry=retry, timeout=timeout, deadline=deadline, version=version)
            options = TaskOptions(**given, job=job_options(cls, **how))
            shared = None if limit is None else (system or job_name, limit)
            make = partial(job_definition, job_name, cls, options, raises, shared)
            return JobTask(self, cls, self._add(self._jobs, "job", job_name, make), options)

        return cast("JobDecorator", decorate)

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
    @takes_options
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

        When it has returned, tasks and async generators that it left behind are cancelled, and the run ends when they
        have. What they raise then is a warning. Clean-up that has not ended after 10 seconds is cut off; time in which
        it awaits calls (tasks, runs, asks, leases) does not count, up to an hour in all.
        """

        def decorate(entry: Callable[..., Any]) -> Any:
            if not isinstance(entry, type):
                require_function("workflow", entry)
            workflow_name = _checked_name("workflow", name or entry.__name__)
            deadline_s = None if timeout is None else seconds(timeout)
            make = partial(workflow_definition, workflow_name, entry, deadline_s, raises)
            deferred = self._add(self._workflows, "workflow", workflow_name, make)
            if isinstance(entry, type):
                setattr(entry, CLASS_MARK, ClassMark(self, deferred))
                return entry
            return Workflow(self, entry, deferred)

        return decorate if entry is None else decorate(entry)

    @takes_options
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

        Each run starts up to `jitter` after its nominal time, the same for the same time. One that starts at most 60 s
        later than that is on time; `catch_up` says which of the times further back, which passed while no node ran, are
        made up for: none ("skip"), the newest ("one") or all, up to 1,000. A node that is only there for one run
        (`understudy run`, `runs retry`) makes and minds no schedules.
        `overlap` says what happens while a run has not ended: "skip" the new one, "buffer_one" or "buffer" (all) until
        it has, "allow" both, "cancel" or "terminate" the old one. `scheduled_for()` is the nominal time inside a run.

        `id` is the workflow's name unless it is given. Deleted, the schedule is there again when a node starts, and one
        that is no longer in the code stays until it is deleted. Where nodes of a cluster have different code, as while
        a release is brought out or taken back, that of the node counts which started last, of those that have had it.
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

    @overload
    def actor(self, cls: type[A], /) -> type[A]: ...
    @overload
    def actor(self, cls: None = None, /, *, version: int = 1) -> Callable[[type[A]], type[A]]: ...
    @takes_options
    def actor(self, cls: type[A] | None = None, /, *, version: int = 1) -> Any:
        """Make a class derived from `Actor` an actor, addressed as `cls.at(id)`.

        `version`, from 1, is that of the fields: raise it when what is stored would no longer fit them, or would mean
        something else, and give the class a `migrate`. See `Actor.migrate`.
        """

        def decorate(cls: type[A]) -> type[A]:
            require_class("actor", cls)
            name = _checked_name("actor", cls.__name__)
            _require_actor(name, cls)
            make = partial(actor_definition, name, cls, version)
            setattr(cls, ACTOR_MARK, self._add(self._actors, "actor", name, make))
            return cls

        return decorate if cls is None else decorate(cls)

    @overload
    def resource(self, cls: type[Res], /) -> type[Res]: ...
    @overload
    def resource(
        self,
        cls: None = None,
        /,
        *,
        capacity: int = 1,
        idle_timeout: Duration | None = None,
        max_age: Duration | None = None,
        check_every: Duration | None = None,
        unhealthy_after: int = 3,
        create_timeout: Duration = "1h",
        create_retry: RetryPolicy | None = None,
        destroy_timeout: Duration = "1h",
        recreate: Literal["on_demand", "never"] = "on_demand",
        sweep_every: Duration | None = None,
    ) -> Callable[[type[Res]], type[Res]]: ...
    def resource(self, cls: Any = None, /, **options: Any) -> Any:
        """Make a class derived from `Resource` a type of resource, addressed as `cls.at(id, spec)`.

        `capacity` is how many units there are for leases. It is ended when nobody has held it for `idle_timeout`, or
        when it is `max_age` old and free; looked at every `check_every`, and `failed` after so many checks in a row
        that say "unhealthy" or raise (`unhealthy_after`). A creation may take `create_timeout` in all, is repeated by
        `create_retry` (ten times at most, in about four minutes). What an outside system that is away must tell or do
        (`find`, `destroy`) is asked of it again, in growing pauses, until it is back. One that has failed is created
        anew when somebody next wants it, or `recreate="never"`: when an operator says so. With `sweep_every`, what
        `list` knows and nobody uses is ended.
        """

        refuse_unknown("app.resource", options, _RESOURCE_OPTIONS)

        def decorate(cls: Any) -> Any:
            require_class("resource", cls)
            name = _checked_name("resource", cls.__name__)
            _require_resource(name, cls)
            make = partial(resource_definition, name, cls, _resource_options(name, **options))
            setattr(cls, RESOURCE_MARK, self._add(self._resources, "resource", name, make))
            return cls

        return decorate if cls is None else decorate(cls)

    def _add(
        self, known: dict[str, Deferred[T]], kind: str, name: str, make: Callable[[Mapping[str, Any]], T]
    ) -> Deferred[T]:
        if name in known:
            raise BadDefinition(f"app {self.name} has two {kind}s called {name}; give one of them another name")
        known[name] = Deferred(make, names_where_decorated())
        return known[name]

    def __repr__(self) -> str:
        return f"<app {self.name}>"


def _resource_options(
    name: str,
    *,
    capacity: int = 1,
    idle_timeout: Duration | None = None,
    max_age: Duration | None = None,
    check_every: Duration | None = None,
    unhealthy_after: int = 3,
    create_timeout: Duration = "1h",
    create_retry: RetryPolicy | None = None,
    destroy_timeout: Duration = "1h",
    recreate: Literal["on_demand", "never"] = "on_demand",
    sweep_every: Duration | None = None,
) -> ResourceOptions:
    if capacity < 1 or unhealthy_after < 1:
        raise BadDefinition(f"resource {name}: capacity and unhealthy_after are numbers from 1")
    if recreate not in ("on_demand", "never"):
        raise BadDefinition(f'resource {name}: recreate={recreate!r}; write "on_demand" or "never"')
    return ResourceOptions(
        name,
        capacity=capacity,
        idle_timeout_s=_optional_s(idle_timeout),
        max_age_s=_optional_s(max_age),
        check_every_s=_optional_s(check_every),
        unhealthy_after=unhealthy_after,
        create_timeout_s=seconds(create_timeout),
        create_retry=create_retry or PATIENT,
        destroy_timeout_s=seconds(destroy_timeout),
        recreate=recreate,
        sweep_every_s=_optional_s(sweep_every),
    )


_RESOURCE_OPTIONS: Final = frozenset(signature(_resource_options).parameters) - {"name"}


def _optional_s(duration: Duration | None) -> float | None:
    if duration is None:
        return None
    if (value := seconds(duration)) <= 0:
        raise BadDefinition(f"{duration!r}: give a time above 0, or None for never")
    return value


def _require_resource(name: str, cls: type[Any]) -> None:
    if not issubclass(cls, Resource):
        raise BadDefinition(f"resource {name} must derive from understudy.Resource")


def _require_actor(name: str, cls: type[Any]) -> None:
    if not issubclass(cls, Actor):
        raise BadDefinition(f"actor {name} must derive from understudy.Actor")


def _checked_name(kind: str, name: Any) -> str:
    if not isinstance(name, str) or not name or len(name) > MAX_NAME_CHARS or not name.isprintable() or "/" in name:
        raise BadDefinition(f"{name!r} is no name for {kind}: use 1 to {MAX_NAME_CHARS} printable characters, no '/'")
    return name
