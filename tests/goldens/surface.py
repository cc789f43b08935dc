"""What users can name: modules, names, signatures, fields and errors, in text that all versions of Python agree on.

Annotations are those of the sources, as written; defaults are shown where they are plain values.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Final, Literal, get_args, get_origin, get_overloads

import msgspec

import understudy
from understudy import errors, jobs, testing

EMPTY: Final = inspect.Parameter.empty
OWN_USE: Final = ("Definition", "Mark", "Target", "Cron")
"""How names of types end that users do not come across."""
MADE_BY_USERS: Final = ("App",)
"""Classes that users make instances of, besides errors and what has fields."""
SPECIAL: Final = ("__call__", "__await__", "__aenter__", "__aexit__", "__getitem__")
PLAIN: Final = (int, float, str, bytes, bool, type(None))
JOBS: Final = ("Done", "Job", "JobFailed", "Pending", "Status", "done", "failed", "pending")
Row = dict[str, Any]


def public() -> Iterator[tuple[str, str, Any]]:
    """Module, name and value of everything that is documented as public."""
    yield from (("understudy", name, getattr(understudy, name)) for name in understudy.__all__)
    yield from (("understudy.testing", name, getattr(testing, name)) for name in testing.__all__)
    yield from (("understudy.jobs", name, getattr(jobs, name)) for name in JOBS)
    for name, value in sorted(vars(errors).items()):
        if isinstance(value, type) and value.__module__ == errors.__name__:
            yield "understudy.errors", name, value


def found(module: str, name: str) -> Any:
    """None if it has gone."""
    return getattr(import_module(module), name, None)


def row(value: Any) -> Row:
    """All that users can rely on of one public name."""
    if isinstance(value, type):
        return _of_class(value)
    if callable(value) and not _is_alias(value):
        return {"kind": _kind(value), "module": value.__module__, **_called(value)}
    return {"kind": "value", "values": sorted(map(str, get_args(value))) if get_origin(value) is Literal else []}


def structs() -> dict[str, type[Any]]:
    """Every type of the SDK that has fields, by name, wherever it is."""
    kinds = {name: kind for module in _modules() for name, kind in _classes(module) if _has_fields(kind)}
    return dict(sorted(kinds.items()))


def _classes(module: ModuleType) -> list[tuple[str, type[Any]]]:
    own = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]
    named = [(each.__name__, each) for each in own]
    return [(name, each) for name, each in named if not name.startswith("_") and not name.endswith(OWN_USE)]


def _has_fields(kind: type[Any]) -> bool:
    return issubclass(kind, msgspec.Struct) or hasattr(kind, "_fields")


def fields(kind: type[Any]) -> list[list[str]]:
    """Name, annotation and default of each, in order."""
    if not issubclass(kind, msgspec.Struct):
        names, defaults = tuple[str, ...](kind._fields), dict[str, Any](kind._field_defaults)
        return [
            [name, _annotation(kind, name), _default(defaults.get(name, inspect.Parameter.empty))] for name in names
        ]
    return [[each.name, _annotation(kind, each.name), _of_field(each)] for each in msgspec.structs.fields(kind)]


def _modules() -> Iterator[ModuleType]:
    """Not those of the remote door, which load grpc."""
    for each in iter_modules(understudy.__path__):
        if not each.ispkg:
            yield import_module(f"understudy.{each.name}")


def _is_alias(value: Any) -> bool:
    return get_origin(value) is not None


# --- classes


def _of_class(kind: type[Any]) -> Row:
    return {
        "kind": "class",
        "module": kind.__module__,
        "bases": [each.__name__ for each in kind.__mro__ if each.__module__.startswith("understudy")],
        "caught as": [each.__name__ for each in kind.__mro__ if issubclass(each, BaseException)],
        "fields": fields(kind) if _has_fields(kind) else None,
        "attributes": _attributes(kind),
        "members": dict(_members(kind)),
    }


def _attributes(kind: type[Any]) -> list[str]:
    """Those annotated in it and in its bases, and those that are set as one is made."""
    named = [name for each in kind.__mro__ for name in (*_written(each), *_assigned(each))]
    return sorted({name for name in named if not name.startswith("_")})


def _assigned(kind: type[Any]) -> list[str]:
    made: Any = vars(kind).get("__init__")
    ours = kind.__module__.startswith("understudy") and inspect.isfunction(made)
    return re.findall(r"self\.(\w+)(?:: [^=\n]+)? = ", inspect.getsource(made)) if ours else []


def _members(kind: type[Any]) -> Iterator[tuple[str, Row]]:
    """Methods and properties, of it and of its bases in the SDK."""
    named = {name for each in kind.__mro__ if each.__module__.startswith("understudy") for name in vars(each)}
    special = (*SPECIAL, "__init__") if kind.__name__ in MADE_BY_USERS or issubclass(kind, BaseException) else SPECIAL
    for name in sorted(named):
        if name.startswith("_") and name not in special:
            continue
        value: Any = inspect.getattr_static(kind, name)
        match value:
            case property():
                yield name, {"kind": "property", **_called(value.fget)}
            case _ if type(value) in (classmethod, staticmethod):
                yield name, {"kind": type(value).__name__, **_called(value.__func__)}
            case _ if inspect.isfunction(value):
                yield name, {"kind": _kind(value), **_called(value)}
            case _:
                continue


# --- what can be called


def _kind(value: Any) -> str:
    if inspect.iscoroutinefunction(value):
        return "coroutine function"
    return "function" if inspect.isfunction(value) else "object"


def _called(value: Any) -> Row:
    called = value if inspect.isfunction(value) else type(value).__call__
    shown: Row = {"signature": signature(called)}
    if overloads := [signature(each) for each in get_overloads(called)]:
        shown["overloads"] = overloads
    return shown


def signature(function: Callable[..., Any]) -> list[list[str]]:
    """Name, kind, annotation and default of each parameter; the last entry is what it returns."""
    read = inspect.signature(function)
    parameters = [
        [each.name, each.kind.name, _text(each.annotation), _default(each.default)] for each in read.parameters.values()
    ]
    return [*parameters, ["return", "RETURN", _text(read.return_annotation), ""]]


def _text(annotation: Any) -> str:
    if annotation is inspect.Signature.empty:
        return ""
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")


def _default(value: Any) -> str:
    if value is EMPTY:
        return ""
    plain = isinstance(value, PLAIN) or value == ()
    return f"= {value!r}" if plain else f"= a {type(value).__name__}"


def _of_field(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return "= made"
    return "" if field.required else _default(field.default)


def _annotation(kind: type[Any], name: str) -> str:
    return next((text for each in kind.__mro__ if (text := _written(each).get(name)) is not None), "")


def _written(kind: type[Any]) -> dict[str, str]:
    """The class's own annotations, which are text in all of the SDK's modules."""
    if not kind.__module__.startswith("understudy"):
        return {}
    own: dict[str, Any] = vars(kind).get("__annotations__") or getattr(kind, "__annotations__", {})
    return {name: _text_of(text) for name, text in own.items()}


def _text_of(annotation: Any) -> str:
    if isinstance(annotation, typing.ForwardRef):  # a NamedTuple keeps them so
        return annotation.__forward_arg__
    return annotation if isinstance(annotation, str) else ""
