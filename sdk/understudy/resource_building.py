"""Makes the definition of a resource type, and refuses what could not be served.

A driver's methods are called with positional arguments and, where the method has a use for it, `fence` by name. So the
definitions of operations come twice: as the driver has them, and as callers see them, without handle and fence.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec

from understudy import values
from understudy.building import task_definition
from understudy.codec import CallCodec, ResultCodec, signature_of
from understudy.definitions import OperationDefinition, ResourceDefinition, TaskDefinition
from understudy.errors import BadDefinition
from understudy.options import TaskOptions
from understudy.resources import Operation, Resource
from understudy.resourcing import ResourceOptions

_DRIVER: Final = {
    "create": ("spec", "fence"),
    "find": ("spec", "fence"),
    "check": ("handle",),
    "destroy": ("handle", "fence"),
    "list": ("spec",),
    "scale": ("handle", "units"),
}
"""The methods there may be, and what they are called with."""
_NOT_FOR_STATIC: Final = ("find", "destroy", "list", "scale")
FENCE: Final = "fence"


def resource_definition(
    name: str, cls: type[Any], options: ResourceOptions, names_in_scope: Mapping[str, Any]
) -> ResourceDefinition:
    """`options` as the user gave them; the names of methods and operations are filled in."""
    methods = {method: fn for method in _DRIVER if inspect.isfunction(fn := getattr(cls, method, None))}
    attributes: dict[str, Any] = {key: inspect.getattr_static(cls, key) for key in dir(cls)}
    operations: dict[str, Operation[..., Any]] = {
        key: each for key, each in attributes.items() if isinstance(each, Operation)
    }
    _check(name, cls, methods, options)
    spec, handle = _parameters(cls)
    if "create" not in methods and spec != handle:
        raise BadDefinition(f"resource {name} has no create, so its spec is its handle: give both the same type")
    driver = {method: _method(name, method, fn, names_in_scope) for method, fn in methods.items()}
    for key, each in operations.items():
        driver[key] = _operation_of_driver(name, key, each, names_in_scope)
    return ResourceDefinition(
        name=name,
        cls=cls,
        options=msgspec.structs.replace(
            options,
            name=name,
            driver=frozenset(methods),
            operations={key: each.options for key, each in operations.items()},
        ),
        driver=driver,
        operations={key: _operation_of_callers(name, key, each, names_in_scope) for key, each in operations.items()},
        spec=values.Decoder(spec, f"the spec of {name}"),
        handle=values.Decoder(handle, f"the handle of {name}"),
    )


def _check(name: str, cls: type[Any], methods: Mapping[str, Any], options: ResourceOptions) -> None:
    required = [
        parameter.name
        for parameter in list(signature_of(cls.__init__).parameters.values())[1:]
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    if required:
        raise BadDefinition(f"resource {name}: __init__ must take no arguments; each node makes its own instance")
    if "create" in methods and "destroy" not in methods:
        raise BadDefinition(f"resource {name} has create and no destroy: nobody could end what it makes")
    idle = [method for method in _NOT_FOR_STATIC if method in methods and "create" not in methods]
    if idle:
        raise BadDefinition(f"resource {name} has {idle[0]} and no create; what exists already is not created or ended")
    if options.check_every_s is not None and "check" not in methods:
        raise BadDefinition(f"resource {name} has check_every and no check")
    if options.sweep_every_s is not None and "list" not in methods:
        raise BadDefinition(f"resource {name} has sweep_every and no list")
    lasting = options.idle_timeout_s is not None or options.max_age_s is not None
    if lasting and "create" not in methods:
        raise BadDefinition(f"resource {name} exists already (it has no create), so that no timeout or age ends it")


def _parameters(cls: type[Any]) -> tuple[Any, Any]:
    """What `Resource[Spec, Handle]` was given; anything where it was left open."""
    for base in inspect.getmro(cls):
        for generic in vars(base).get("__orig_bases__", ()):
            if get_origin(generic) is Resource:
                spec, handle = (Any if isinstance(given, TypeVar) else given for given in get_args(generic))
                return spec, handle
    return Any, Any


def _method(name: str, method: str, fn: Callable[..., Any], names: Mapping[str, Any]) -> TaskDefinition:
    wanted = _DRIVER[method]
    try:
        given = [object()] * len([each for each in wanted if each != FENCE])
        named = {FENCE: 0} if FENCE in wanted else {}
        signature_of(fn).bind(object(), *given, **named)
    except TypeError as error:
        shown = ", ".join(("self", *wanted))
        raise BadDefinition(f"{name}.{method} is called as {method}({shown}): {error}") from None
    return task_definition(f"{name}.{method}", fn, TaskOptions(), (), names, skip_self=True)


def _operation_of_driver(
    name: str, key: str, operation: Operation[..., Any], names: Mapping[str, Any]
) -> TaskDefinition:
    parameters = list(signature_of(operation.fn).parameters)
    if len(parameters) < 2 or parameters[1] == FENCE or FENCE not in parameters:
        raise BadDefinition(f"operation {name}.{key} must be {key}(self, handle, ..., fence: int = 0)")
    return task_definition(f"{name}.{key}", operation.fn, TaskOptions(), operation.raises, names, skip_self=True)


def _operation_of_callers(
    name: str, key: str, operation: Operation[..., Any], names: Mapping[str, Any]
) -> OperationDefinition:
    seen = _as_called(operation.fn)
    return OperationDefinition(
        key,
        CallCodec(seen, name=f"{name}.{key}", names_in_scope=names),
        ResultCodec(operation.fn, name=f"{name}.{key}", names_in_scope=names),
        operation.raises,
    )


def _as_called(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the same annotations, without the parameters that callers leave out."""

    @wraps(fn)
    def called(*args: Any, **kwargs: Any) -> None: ...

    signature = signature_of(fn)
    left = [each for each in list(signature.parameters.values())[2:] if each.name != FENCE]
    called.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]  # what `inspect` looks for
    return called
