"""Workflows as user code holds them, and children: workflows called or started from a workflow.

A function workflow is called like any function. A class workflow stays the class that the user wrote, so that
its methods can name handlers; `call` and `start` run either kind.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Protocol, TypeVar, TypeVarTuple, cast, overload

import msgspec

from understudy.actors import checked_id
from understudy.building import Deferred
from understudy.context import current_run
from understudy.definitions import WorkflowDefinition
from understudy.errors import BadDefinition, BadRequest

if TYPE_CHECKING:
    from understudy.app import App

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Ts = TypeVarTuple("Ts")

CLASS_MARK: Final = "__understudy_workflow__"


class HasRun(Protocol[P, R_co]):
    """A class whose `run` is a workflow."""

    @property
    def run(self) -> Callable[P, Coroutine[Any, Any, R_co]]: ...


class HasRunOf(Protocol[R_co, *Ts]):
    """`HasRun`, for calls that name the run."""

    @property
    def run(self) -> Callable[[*Ts], Coroutine[Any, Any, R_co]]: ...


class Workflow(Generic[P, R]):
    """A decorated coroutine function. `fn` is the function itself.

    Called in a workflow it runs as a child, whose result is awaited; called elsewhere it is the plain
    function.
    """

    def __init__(
        self, app: App, fn: Callable[P, Coroutine[Any, Any, R]], definition: Deferred[WorkflowDefinition]
    ) -> None:
        self.app = app
        self.fn = fn
        self._definition = definition
        self.__name__ = fn.__name__
        self.__doc__ = fn.__doc__

    @property
    def definition(self) -> WorkflowDefinition:
        return self._definition.get()

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        run = current_run.get()
        if run is None:
            return await self.fn(*args, **kwargs)
        return cast("R", await run.call_workflow(self.definition, args, kwargs, None))

    def start(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Start a child that may outlive this run, without waiting; its run id. Only in a workflow."""
        return _start_child(self.definition, args, kwargs, None)

    def __repr__(self) -> str:
        return f"<workflow {self.__name__}>"


class ClassMark(msgspec.Struct, frozen=True):
    """What `@app.workflow` leaves on a class."""

    app: Any
    definition: Deferred[WorkflowDefinition]


def is_workflow(workflow: object) -> bool:
    return isinstance(workflow, Workflow) or (isinstance(workflow, type) and CLASS_MARK in vars(workflow))


def workflow_of(workflow: Any) -> tuple[App, WorkflowDefinition]:
    """The app and the definition of a decorated function or class; BadDefinition if it is neither."""
    if isinstance(workflow, Workflow):
        return workflow.app, cast("Workflow[..., Any]", workflow).definition
    mark = vars(workflow).get(CLASS_MARK) if isinstance(workflow, type) else None
    if mark is None:
        raise BadDefinition(f"{getattr(workflow, '__qualname__', repr(workflow))} is not decorated with @app.workflow")
    return mark.app, mark.definition.get()


@overload
async def call(workflow: Workflow[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
@overload
async def call(workflow: Callable[[*Ts], Coroutine[Any, Any, R]], *args: *Ts, id: str | None = None) -> R: ...
@overload
async def call(workflow: type[HasRun[P, R]], *args: P.args, **kwargs: P.kwargs) -> R: ...
@overload
async def call(workflow: type[HasRunOf[R, *Ts]], *args: *Ts, id: str | None = None) -> R: ...
async def call(workflow: Any, *args: object, **kwargs: Any) -> Any:
    """Run `workflow` as a child and await its result; outside a workflow, the plain call.

    `id` names the child's run; without it the child is named after its parent. A parameter that is itself
    called `id` is given by position.
    """
    run_id = _id_in(kwargs)
    _, definition = workflow_of(workflow)
    run = current_run.get()
    if run is not None:
        return await run.call_workflow(definition, args, kwargs, run_id)
    return await (definition.entry().run if definition.is_class else definition.entry)(*args, **kwargs)


@overload
def start(workflow: Workflow[P, R], *args: P.args, **kwargs: P.kwargs) -> str: ...
@overload
def start(workflow: Callable[[*Ts], Coroutine[Any, Any, R]], *args: *Ts, id: str | None = None) -> str: ...
@overload
def start(workflow: type[HasRun[P, R]], *args: P.args, **kwargs: P.kwargs) -> str: ...
@overload
def start(workflow: type[HasRunOf[R, *Ts]], *args: *Ts, id: str | None = None) -> str: ...
def start(workflow: Any, *args: object, **kwargs: Any) -> str:
    """Start `workflow` as a child that may outlive this run, without waiting; its run id. Only in a workflow.

    `id` names the child's run, as for `call`.
    """
    run_id = _id_in(kwargs)
    return _start_child(workflow_of(workflow)[1], args, kwargs, run_id)


def _id_in(kwargs: dict[str, Any]) -> str | None:
    run_id = kwargs.pop("id", None)
    return None if run_id is None else checked_id(run_id)


def _start_child(
    definition: WorkflowDefinition, args: tuple[Any, ...], kwargs: dict[str, Any], run_id: str | None
) -> str:
    run = current_run.get()
    if run is None:
        raise BadRequest(f"{definition.name} can be started without a client only inside a workflow; use client.start")
    return run.start_workflow(definition, args, kwargs, run_id)
