"""Values for any Struct, made from its annotations: the same on each run, and different from the defaults.

least    only what is required
filled   every field, with a value that no other field of the instance has
edge     every field, with values at the limits of what JSON carries
NAME=X   as `least`, with one field set to one of its alternatives (each literal, each member of a union)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any, Final

import msgspec
from msgspec import NODEFAULT, Raw, inspect

TEXTS: Final = ('é"\\\n\t\x00', "\u2028😀/", " ", "x" * 40)
INTEGERS: Final = (2**53 + 1, -1, 2**63 - 1, 0)
COUNTS: Final = (2**31 - 1, 0, 1)
"""Limits of what is counted, also in 32 bits."""
FLOATS: Final = (0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, 1e21)
RAWS: Final = (b'{"n": [1, 2.50, 1e3] , "text":"\\u00e9"}', b"null", b"9007199254740993")
MOST_MEMBERS: Final = 4
"""Of a union, members that one collection holds."""
MOST_ALTERNATIVES: Final = 16


def variants(kind: type[msgspec.Struct], integers: Sequence[int] = INTEGERS) -> Iterator[tuple[str, msgspec.Struct]]:
    """Instances of this type by the names of their variants; `integers` are the limits of those."""
    yield "least", Filling().struct(kind, required_only=True)
    yield "filled", Filling().struct(kind)
    yield "edge", Edges(integers).struct(kind)
    for field in _fields(kind):
        for name, value in _alternatives(field):
            given = {each.name: Filling().value(each.type, each.name) for each in _fields(kind) if each.required}
            yield f"{field.name}={name}", kind(**{**given, field.name: value})


class Filling:
    """Counts on, so that no two numbers or texts are the same."""

    def __init__(self) -> None:
        self._count = 10

    def struct(self, kind: type[msgspec.Struct], *, required_only: bool = False) -> msgspec.Struct:
        fields = [field for field in _fields(kind) if field.required or not required_only]
        return kind(**{field.name: self.field(field) for field in fields})

    def field(self, field: inspect.Field) -> Any:
        value = self.value(field.type, field.name)
        if value != field.default:
            return value
        return next((other for _, other in _alternatives(field) if other != value), value)

    def value(self, kind: inspect.Type, name: str) -> Any:
        match kind:
            case inspect.StructType():
                return self.struct(kind.cls)
            case inspect.LiteralType():
                return kind.values[-1]
            case inspect.UnionType():
                return self.value(_members(kind)[0], name)
            case inspect.ListType() | inspect.VarTupleType() | inspect.FrozenSetType() | inspect.SetType():
                return _collection(kind)(self.items(kind.item_type, name))
            case inspect.CollectionType():
                return tuple(self.items(kind.item_type, name))
            case inspect.TupleType():
                return tuple(self.value(each, name) for each in kind.item_types)
            case inspect.DictType():
                return {self.value(kind.key_type, name): value for value in self.items(kind.value_type, name)}
            case inspect.NoneType():
                return None
            case _:
                return self.plain(kind, name)

    def items(self, kind: inspect.Type, name: str) -> list[Any]:
        """One of each member of a union; sets have one item, because they have no order."""
        members = _members(kind) if type(kind) is inspect.UnionType else [kind]
        return [self.value(member, name) for member in members[:MOST_MEMBERS]]

    def plain(self, kind: inspect.Type, name: str) -> Any:
        self._count += 1
        match kind:
            case inspect.BoolType():
                return True
            case inspect.IntType():
                return self._count
            case inspect.FloatType():
                return self._count + 0.5
            case inspect.StrType():
                return f"{name}-{self._count}"
            case inspect.BytesType():
                return f'"{name}-{self._count}"'.encode()
            case inspect.RawType() | inspect.AnyType():
                return Raw(b'{"%s":%d}' % (name.encode(), self._count))
            case _:
                raise TypeError(f"{name}: nothing is known of {kind}")


class Edges(Filling):
    """Limits, one after the other."""

    def __init__(self, integers: Sequence[int] = INTEGERS) -> None:
        super().__init__()
        self._texts, self._integers = cycle(TEXTS), cycle(integers)
        self._floats, self._raws = cycle(FLOATS), cycle(RAWS)

    def plain(self, kind: inspect.Type, name: str) -> Any:
        match kind:
            case inspect.IntType():
                return next(self._integers)
            case inspect.FloatType():
                return next(self._floats)
            case inspect.StrType():
                return next(self._texts)
            case inspect.RawType():
                return Raw(next(self._raws))
            case _:
                return super().plain(kind, name)


def expanded(value: Any) -> Any:
    """Every field, those at their defaults too, in plain JSON."""
    match value:
        case msgspec.Struct():
            tag = value.__struct_config__.tag
            own = {} if tag is None else {str(value.__struct_config__.tag_field): tag}
            return own | {name: expanded(getattr(value, name)) for name in value.__struct_fields__}
        case Raw():
            return {"raw": bytes(value).decode()}
        case bytes():
            return {"bytes": value.decode("latin-1")}
        case dict():
            return {str(key): expanded(each) for key, each in _items(value)}
        case frozenset() | set():
            return sorted(map(expanded, _each(value)), key=msgspec.json.encode)
        case list() | tuple():
            return [expanded(each) for each in _each(value)]
        case _:
            return value


def _items(value: Any) -> Sequence[tuple[Any, Any]]:
    return list(value.items())


def _each(value: Any) -> Sequence[Any]:
    return list(value)


def _fields(kind: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return info.fields


def _members(kind: inspect.UnionType) -> list[inspect.Type]:
    return [each for each in kind.types if type(each) is not inspect.NoneType]


def _collection(kind: inspect.Type) -> Callable[[list[Any]], Any]:
    made: dict[type, Callable[[list[Any]], Any]] = {
        inspect.ListType: list,
        inspect.VarTupleType: tuple,
        inspect.FrozenSetType: frozenset,
        inspect.SetType: set,
    }
    return made[type(kind)]


def _alternatives(field: inspect.Field) -> Iterator[tuple[str, Any]]:
    """Each value that one field may have instead of another; not of fields that are alike whatever they hold."""
    kinds = _members(field.type) if type(field.type) is inspect.UnionType else [field.type]
    for kind in kinds:
        if isinstance(kind, inspect.LiteralType):
            yield from ((str(value) or "empty", value) for value in kind.values)
        elif isinstance(kind, inspect.StructType) and 1 < len(kinds) <= MOST_ALTERNATIVES:
            yield str(kind.tag or kind.cls.__name__), Filling().struct(kind.cls)
        elif isinstance(kind, inspect.BoolType) and field.default in (NODEFAULT, True):
            yield "false", False
