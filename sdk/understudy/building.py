"""Makes definitions of what users decorate, and refuses there what could not be served.

Annotations are resolved when the function is decorated. One that names something defined further down makes
the definition wait (`Deferred`) until it is first needed, which is when the app is started at the latest.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    MethodDescriptorType,
    MethodWrapperType,
    WrapperDescriptorType,
)
from typing import Any, Final, Generic, TypeVar

from understudy.codec import CallCodec, ResultCodec, StateCodec, signature_of
from understudy.definitions import ActorDefinition, HandlerDefinition, TaskDefinition, TaskKind, WorkflowDefinition
from understudy.errors import BadDefinition
from understudy.options import TaskOptions
from understudy.values import Unresolved

T = TypeVar("T")

FILE_MODULE_PREFIX: Final = "understudy_file_"
"""Modules that were loaded from a file by its path; see `understudy.target`."""

_HANDLER: Final = "__understudy_handler__"
_BUILT_IN: Final = (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    MethodDescriptorType,
    MethodWrapperType,
    WrapperDescriptorType,
)


class Deferred(Generic[T]):
    """A value made at once if that is possible, else when it is first asked for."""

    __slots__ = ("_make", "_names_in_scope", "_value")

    def __init__(self, make: Callable[[Mapping[str, Any]], T], names_in_scope: Mapping[str, Any]) -> None:
        self._make = make
        self._names_in_scope: Mapping[str, Any] = names_in_scope
        self._value: T | None = None
        with suppress(Unresolved):
            self.get()

    def get(self) -> T:
        if self._value is None:
            self._value = self._make(self._names_in_scope)
            self._names_in_scope = {}
        return self._value


def names_where_decorated() -> Mapping[str, Any]:
    """The local names of the function whose body is decorating something; none at the top of a module."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage] - inspect.currentframe, without the Optional
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("understudy."):
        frame = frame.f_back
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)


def require_function(kind: str, fn: Any) -> None:
    """BadDefinition, saying what it is and what to do, unless `fn` is something like a function."""
    if isinstance(fn, staticmethod):
        what = f"a staticmethod: write @staticmethod above @app.{kind}"
    elif isinstance(fn, classmethod):
        what = "a classmethod, but no class goes with a call: write a `def` outside of the class"
    elif isinstance(fn, partial):
        what = "a functools.partial, which has no name and no annotations of its own: write a `def` that calls it"
    elif isinstance(fn, (type, *_BUILT_IN)):
        what = f"{fn!r:.60}, which tells Python too little about its arguments: write a `def` that calls it"
    elif not callable(fn):
        what = f"{fn!r:.60}, which is no function"
    elif not isinstance(getattr(fn, "__name__", None), str) or not hasattr(fn, "__qualname__"):
        what = f"an object of {type(fn).__qualname__}, which has no name: write a `def` that calls it"
    else:
        return
    raise BadDefinition(f"@app.{kind} was given {what}")


def require_class(kind: str, cls: object) -> None:
    if not isinstance(cls, type):
        raise BadDefinition(f"@app.{kind} was given {cls!r:.60}; it goes above a class")


def is_coroutine_function(fn: Any) -> bool:
    """Whether calling `fn` gives a coroutine: it is an `async def`, says that it is like one, or wraps one."""
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(inspect.unwrap(fn))


def task_definition(
    name: str,
    fn: Callable[..., Any],
    options: TaskOptions,
    raises: Sequence[type[Exception]],
    names_in_scope: Mapping[str, Any],
    *,
    skip_self: bool = False,
) -> TaskDefinition:
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise BadDefinition(f"task {name} is a generator; return a list instead")
    if options.memory_mb is not None and options.isolate != "process":
        raise BadDefinition(f'task {name} has a memory limit, which needs isolate="process"')
    target = (_location(fn), name)
    if options.isolate == "process" and not target[0]:
        raise BadDefinition(f'task {name} has isolate="process" and must be defined in a file')
    return TaskDefinition(
        name=name,
        fn=fn,
        kind=_task_kind(fn, options),
        options=options,
        call=CallCodec(fn, name=name, skip_self=skip_self, names_in_scope=names_in_scope),
        result=ResultCodec(fn, name=name, names_in_scope=names_in_scope),
        raises=checked_raises(name, raises),
        target=target,
    )


def workflow_definition(
    name: str,
    entry: Callable[..., Any],
    deadline_s: float | None,
    raises: Sequence[type[Exception]],
    names_in_scope: Mapping[str, Any],
) -> WorkflowDefinition:
    cls = entry if isinstance(entry, type) else None
    run = entry if cls is None else _run_method(name, cls)
    if not is_coroutine_function(run):
        raise BadDefinition(f"workflow {name} must be an `async def` function")
    return WorkflowDefinition(
        name=name,
        entry=entry,
        is_class=cls is not None,
        call=CallCodec(run, name=name, skip_self=cls is not None, names_in_scope=names_in_scope),
        result=ResultCodec(run, name=name, names_in_scope=names_in_scope),
        handlers={} if cls is None else _handlers(cls, names_in_scope),
        deadline_s=deadline_s,
        raises=checked_raises(name, raises),
    )


def actor_definition(name: str, cls: type[Any], version: int, names_in_scope: Mapping[str, Any]) -> ActorDefinition:
    if version < 1:
        raise BadDefinition(f"actor {name} has version={version}; versions count from 1")
    if cls.__init__ is not object.__init__:
        raise BadDefinition(f"actor {name} has an __init__; declare its state as annotated attributes with defaults")
    handlers = _handlers(cls, names_in_scope)
    if not handlers:
        raise BadDefinition(f"actor {name} has no @handler and no @readonly method, so nobody could talk to it")
    state = StateCodec(cls, names_in_scope=names_in_scope)
    return ActorDefinition(name, cls, handlers, state, version, getattr(cls, "migrate", None))


# --- handlers


class HandlerMark:
    """Left on a method by `@handler` and `@readonly`; makes its definition when that is first needed."""

    def __init__(self, fn: Callable[..., Any], readonly: bool) -> None:
        self._fn = fn
        self._readonly = readonly
        self._definition: HandlerDefinition | None = None

    def definition(self, names_in_scope: Mapping[str, Any]) -> HandlerDefinition:
        if self._definition is None:
            fn = self._fn
            self._definition = HandlerDefinition(
                name=fn.__name__,
                fn=fn,
                readonly=self._readonly,
                call=CallCodec(fn, skip_self=True, names_in_scope=names_in_scope),
                result=ResultCodec(fn, names_in_scope=names_in_scope),
            )
        return self._definition


def mark_handler(fn: Callable[..., Any], readonly: bool) -> None:
    if not inspect.isfunction(fn):
        raise BadDefinition(f"{fn!r} is not a method; @handler and @readonly go next to `def`")
    if readonly and is_coroutine_function(fn):
        raise BadDefinition(f"{fn.__qualname__} is @readonly and must be a plain `def`: it may not wait for anything")
    setattr(fn, _HANDLER, HandlerMark(fn, readonly))


def handler_definition(fn: Callable[..., Any]) -> HandlerDefinition:
    """The definition of a method given as `Class.method`; BadDefinition if it is not a handler."""
    mark = getattr(fn, _HANDLER, None)
    if not isinstance(mark, HandlerMark):
        raise BadDefinition(f"{getattr(fn, '__qualname__', repr(fn))} is not a @handler or @readonly method")
    return mark.definition({})


def _handlers(cls: type[Any], names_in_scope: Mapping[str, Any]) -> dict[str, HandlerDefinition]:
    marks = {name: getattr(getattr(cls, name), _HANDLER, None) for name in dir(cls) if not name.startswith("__")}
    return {name: mark.definition(names_in_scope) for name, mark in marks.items() if isinstance(mark, HandlerMark)}


# --- parts


def _run_method(name: str, cls: type[Any]) -> Callable[..., Any]:
    run: Callable[..., Any] | None = getattr(cls, "run", None)
    if run is None:
        raise BadDefinition(f"workflow {name} has no `async def run(self, ...)`")
    required = [
        parameter.name
        for parameter in list(signature_of(cls.__init__).parameters.values())[1:]
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    if required:
        raise BadDefinition(f"workflow {name}: __init__ must take no arguments; `run` takes the input")
    return run


def _task_kind(fn: Callable[..., Any], options: TaskOptions) -> TaskKind:
    if options.isolate == "process":
        return "process"
    # What only wraps a coroutine function may block, as one that calls asyncio.run does: it begins in a thread.
    return "async" if inspect.iscoroutinefunction(fn) else "thread"


def checked_raises(name: str, raises: Any) -> tuple[type[Exception], ...]:
    if isinstance(raises, type):
        raise BadDefinition(f"{name}: raises= is a list of classes; write raises=[{raises.__name__}]")
    for kind in raises:
        if not inspect.isclass(kind) or not issubclass(kind, Exception):
            raise BadDefinition(f"{name}: raises={kind!r} is not a class of exceptions")
    names = [kind.__qualname__ for kind in raises]
    if len(set(names)) < len(names):
        raise BadDefinition(f"{name}: two classes in raises= have the same name, so errors could not be told apart")
    return tuple(raises)


def _location(fn: Callable[..., Any]) -> str:
    """Where another process finds the module of `fn`: its file if it was run as one, else its name; or nowhere."""
    module = sys.modules.get(fn.__module__)
    spec = getattr(module, "__spec__", None)
    if fn.__module__ == "__main__" and spec is not None:
        return str(spec.name)
    if fn.__module__ != "__main__" and not fn.__module__.startswith(FILE_MODULE_PREFIX):
        return fn.__module__
    file = getattr(module, "__file__", None)
    # What is typed or piped into the interpreter has no file, or one called "<stdin>".
    return str(Path(file).absolute()) if file and Path(file).is_file() else ""
