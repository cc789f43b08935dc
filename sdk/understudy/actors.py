"""Actors and messages: `@handler`, `@readonly`, `Actor`, and asking and telling from inside the runtime.

A run is an actor too: the target of `ask` and `tell` is a run id, or an actor's `ActorRef`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar, overload

import msgspec

from understudy.building import handler_definition, mark_handler
from understudy.context import RunContext, current_run
from understudy.definitions import HandlerDefinition
from understudy.errors import BadDefinition, BadInput, BadRequest
from understudy.options import Duration, seconds

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
F = TypeVar("F", bound=Callable[..., Any])

ACTOR_MARK: Final = "__understudy_actor__"
MAX_ID_CHARS: Final = 512
MIN_INTERVAL_S: Final = 1.0


def handler(method: F, /) -> F:
    """Lets outsiders tell or ask this method, `def` or `async def`. On an actor, one at a time."""
    mark_handler(method, readonly=False)
    return method


def readonly(method: F, /) -> F:
    """Lets outsiders ask this method, which must be a plain `def` and change nothing."""
    mark_handler(method, readonly=True)
    return method


class ActorRef(msgspec.Struct, Generic[A], frozen=True):
    """The address of an actor. A plain value: it may be an argument or a result."""

    kind: str
    id: str

    @overload
    async def ask(
        self, handler: Callable[Concatenate[A, P], Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def ask(self, handler: Callable[Concatenate[A, P], R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def ask(self, handler: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What the handler returns; AskFailed if it raises. Only inside a workflow or actor."""
        return await _ask(self, handler, args, kwargs)

    def tell(self, handler: Callable[Concatenate[A, P], Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Send without waiting; delivered exactly once. Only inside a workflow or actor."""
        _tell(self, handler, args, kwargs)


class Actor:
    """The base of user-defined actors, whose annotated attributes with defaults are their durable state."""

    @classmethod
    def at(cls: type[A], id: str) -> ActorRef[A]:
        """The actor of this class known as `id`. It needs no creating: state begins as the class says."""
        if ACTOR_MARK not in vars(cls):
            raise BadDefinition(f"{cls.__qualname__} is not decorated with @app.actor")
        return ActorRef(cls.__name__, checked_id(id))

    @classmethod
    def migrate(cls, state: dict[str, Any], version: int) -> dict[str, Any]:
        """The fields, as of this version of the class, of an actor whose stored `state` is of an earlier `version`.

        Both are plain JSON types. To be overridden as the class's `version` is raised (see `App.actor`); this leaves
        things as they are, so that a new field takes its default and a field that is gone is dropped. It is called
        whenever such an actor comes into memory until a handler of it has ended, so it must always give the same. An
        actor whose state it cannot migrate (it raises, or what it gives does not fit) is held until code that can is
        deployed.
        """
        return state


class _Named(Protocol):
    """Anything that knows the id of a run, such as the client's handle."""

    @property
    def run_id(self) -> str: ...


Target = str | ActorRef[Any] | _Named
"""Who is asked or told: a run id, a run's handle, or an actor."""


@overload
async def ask(
    target: Target, handler: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
) -> R: ...
@overload
async def ask(target: Target, handler: Callable[Concatenate[Any, P], R], *args: P.args, **kwargs: P.kwargs) -> R: ...
async def ask(target: Target, handler: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What the handler returns; AskFailed if it raises. Only inside a workflow or actor."""
    return await _ask(target, handler, args, kwargs)


def tell(target: Target, handler: Callable[Concatenate[Any, P], Any], *args: P.args, **kwargs: P.kwargs) -> None:
    """Send without waiting; delivered exactly once. Only inside a workflow or actor."""
    _tell(target, handler, args, kwargs)


def remind(
    id: str, after: Duration, handler: Callable[Concatenate[Any, P], Any], /, *args: P.args, **kwargs: P.kwargs
) -> None:
    """Have this actor told `handler` once, `after` so long. Only inside a handler of the same actor.

        remind("close", "10m", Account.close, "nobody came")

    Durable: it comes once, whether the actor is in memory or not, and as soon as there is a node again if its time
    passed while there was none. `id` is unique in the actor; a reminder that has it already is replaced. Reminders
    belong to the actor's state: they are set and forgotten when the handler has ended, and if it fails they are as they
    were. At most 100 at a time.
    """
    _remind(id, after, handler, args, kwargs, every=False)


def remind_every(
    id: str, interval: Duration, handler: Callable[Concatenate[Any, P], Any], /, *args: P.args, **kwargs: P.kwargs
) -> None:
    """Have this actor told `handler` every `interval` (a second or more) from now, until `forget(id)`. See `remind`.

    It keeps to its times however late it comes: after however many that passed while no node ran, or while another
    handler did, it comes once for all of them, and then at the next.
    """
    if seconds(interval) < MIN_INTERVAL_S:
        raise BadRequest(f"{interval!r} is too short: reminders come every {MIN_INTERVAL_S:g} second at the most")
    _remind(id, interval, handler, args, kwargs, every=True)


def forget(id: str) -> None:
    """Take the reminder `id` of this actor back; nothing if there is none. Only inside a handler."""
    _run("forget").forget(checked_id(id))


def address_of(target: Target) -> str:
    """`kind/id` within the namespace."""
    if isinstance(target, ActorRef):
        return f"actor.{target.kind}/{checked_id(target.id)}"
    named: Any = target
    return f"run/{checked_id(getattr(named, 'run_id', named))}"


def checked_id(id: Any) -> str:
    """`id`, if it may name a run or an actor; else BadInput."""
    if not isinstance(id, str):
        raise BadInput(f"{id!r:.40} is not an id: ids are `str`, and this is of the class {type(id).__name__}")
    if not 0 < len(id) <= MAX_ID_CHARS or not id.isprintable():
        raise BadInput(f"{id[:40]!a} is not an id: give 1 to {MAX_ID_CHARS} printable characters")
    return str.__str__(id)  # of a member of an enum, what it is and not what it is called


def tellable(handler: Callable[..., Any]) -> HandlerDefinition:
    """The handler's definition; BadRequest if telling it would have no effect."""
    definition = handler_definition(handler)
    if definition.readonly:
        raise BadRequest(f"{definition.call.name} is @readonly: telling it has no effect; ask it")
    return definition


def _ask(target: Target, handler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Awaitable[Any]:
    definition = handler_definition(handler)
    return _run("ask").ask(address_of(target), definition, args, kwargs)


def _tell(target: Target, handler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    definition = tellable(handler)
    _run("tell").tell(address_of(target), definition, args, kwargs)


def _remind(
    id: str, after: Duration, handler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, every: bool
) -> None:
    definition = tellable(handler)
    run = current_run.get()
    if run is None:
        raise BadRequest("reminders are set only inside a handler of an actor")
    run.remind(checked_id(id), seconds(after), definition, args, kwargs, every=every)


def _run(verb: str) -> RunContext:
    run = current_run.get()
    if run is None:
        raise BadRequest(f"{verb} works only inside a workflow or an actor; from outside use client.{verb}")
    return run
