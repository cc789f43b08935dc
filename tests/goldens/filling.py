"""Values for any Struct, made from its annotations: the same on each run, and different from the defaults.

least    only what is required
filled   every field, with a value that no other field of the instance has
edge     every field, with values at the limits of what JSON carries
NAME=X   as `least`, with one field set to one of its alternatives (each literal, each member of a union)
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    """Counts on, so that no two numbers or texts are the same.

    Of literals it takes the last, or the `choice`-th; with an odd `choice`, what may be absent is. `stand_ins` are made
    in place of types that say only what is needed.
    """

    def __init__(self, choice: int | None = None, stand_ins: Mapping[Any, type[Any]] | None = None) -> None:
        self._choice = choice
        self._stand_ins = stand_ins or {}
        self._count = 10

    def of(self, kind: Any, name: str = "value") -> Any:
        """Of any type that msgspec knows."""
        return self.value(inspect.type_info(kind), name)

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
                return kind.values[-1 if self._choice is None else self._choice % len(kind.values)]
            case inspect.UnionType():
                members = _members(kind)
                absent = self._choice is not None and self._choice % 2 and len(members) < len(kind.types)
                return None if absent else self.value(members[0], name)
            case inspect.CustomType():
                return self.of(self._stand_ins[kind.cls])
            case inspect.NamedTupleType():
                return kind.cls(**{field.name: self.field(field) for field in kind.fields})
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


def plain(value: Any) -> Any:
    """The value as JSON, without what tells its types."""
    return msgspec.json.decode(msgspec.json.encode(value))


def rebuilt(kind: inspect.Type, value: Any, stand_ins: Mapping[Any, type[Any]]) -> Any:
    """What `plain` was made of. msgspec decodes all but values in JSON that may be absent, and what stands in."""
    match kind:
        case inspect.StructType() | inspect.NamedTupleType():
            known = _known(kind, value)
            return kind.cls(
                **{
                    each.name: rebuilt(each.type, known[each.name], stand_ins)
                    for each in kind.fields
                    if each.name in known
                }
            )
        case inspect.CustomType():
            return rebuilt(inspect.type_info(stand_ins[kind.cls]), value, stand_ins)
        case inspect.UnionType():
            return None if value is None else rebuilt(_members(kind)[0], value, stand_ins)
        case inspect.RawType() | inspect.AnyType():
            return Raw(msgspec.json.encode(value))
        case inspect.TupleType():
            parts = zip(kind.item_types, value, strict=True)
            return tuple(rebuilt(each, part, stand_ins) for each, part in parts)
        case inspect.ListType() | inspect.VarTupleType() | inspect.FrozenSetType():
            return _collection(kind)([rebuilt(kind.item_type, each, stand_ins) for each in value])
        case inspect.BytesType():
            return b64decode(value)
        case _:
            return value


def _known(kind: inspect.StructType | inspect.NamedTupleType, value: Any) -> dict[str, Any]:
    """The fields by name; those of a tuple, which JSON has without names, in their order."""
    if isinstance(kind, inspect.StructType):
        return dict(value)
    return dict(zip((each.name for each in kind.fields), value, strict=False))


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
        case tuple() if names := _names(value):
            return {name: expanded(each) for name, each in zip(names, _each(value), strict=True)}
        case list() | tuple():
            return [expanded(each) for each in _each(value)]
        case _:
            return value


def _names(value: Any) -> tuple[str, ...]:
    """The fields of a named tuple."""
    return getattr(value, "_fields", ())


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
