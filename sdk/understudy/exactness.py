"""Whether a value arrives as it was sent.

Most values need no proof by experiment: of a `str` for an `int | str`, or a list of plain dataclasses for a list of
these, it is known that JSON changes nothing. A `Proof` is made of an annotation when a function is decorated, and
tells such values by their classes. Every other value is encoded, decoded and compared (`difference`) before it is
sent. The comparison goes by classes and fields, and asks no `__eq__` of the user's about classes that it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from math import isfinite
from operator import attrgetter
from pathlib import Path, PurePath
from types import NoneType
from typing import Any, Final, NamedTuple, get_origin
from uuid import UUID

import msgspec
from msgspec import inspect as about

MAX_DEPTH: Final = 200
"""How deep lists, dicts and objects may be nested; counted here, because interpreters do not all notice in time."""

Look = Callable[[Any, int], bool]
"""Whether this value is known to arrive as it is; the number is how many levels of nesting are left."""

_class_of: Callable[[Any], Any] = type
_JSON_LEAVES: Final[frozenset[type]] = frozenset({str, int, bool, NoneType})


# --- what is known beforehand


class Proof:
    """Which values of one annotation are known to arrive as they are.

    Those of a class in `kinds`, and those that `look` says so of. `unordered` tells whether such values may hold a
    dict or a set, which have no order of their own in a digest.
    """

    __slots__ = ("kinds", "look", "unordered")

    def __init__(self, kinds: frozenset[type] = frozenset(), look: Look | None = None, unordered: bool = False) -> None:
        self.kinds = kinds
        self.look = look
        self.unordered = unordered

    def holds(self, value: Any, depth: int = MAX_DEPTH) -> bool:
        return type(value) in self.kinds or (self.look is not None and self.look(value, depth))

    def holds_for_all(self, values: Any, depth: int) -> bool:
        if self.kinds.issuperset(map(type, values)):
            return True
        if self.look is None:
            return False
        # A loop, as everywhere here: a generator would be one more frame for each level of nesting.
        for value in values:
            if type(value) in self.kinds:
                continue
            if not self.look(value, depth):
                return False
        return True


NOTHING_KNOWN: Final = Proof()


def proof_of(info: about.Type) -> Proof:
    """The proof for a type as msgspec describes it."""
    return _Proofs().of(info)


class _Proofs:
    """Makes the proofs of one type and of those inside it, which may refer to one another."""

    def __init__(self) -> None:
        self._made: dict[int, Proof] = {}

    def of(self, info: Any) -> Proof:
        known = self._made.get(id(info))
        if known is None:
            known = self._made[id(info)] = Proof()
            made = self._make(info)
            known.kinds, known.look, known.unordered = made.kinds, made.look, made.unordered
        return known

    def _make(self, info: Any) -> Proof:
        if _is_bounded(info):
            return NOTHING_KNOWN
        leaf = _LEAVES.get(_class_of(info))
        if leaf is not None:
            return leaf
        match info:
            case about.UnionType(types=types):
                return self._union(types)
            case about.TypedDictType(fields=fields):
                return self._typed_dict(fields)
            case about.StructType() | about.DataclassType() | about.NamedTupleType():
                return self._object(info)
            case about.EnumType(cls=cls):
                return Proof(frozenset({cls})) if _is_plain_enum(cls) else NOTHING_KNOWN
            case about.LiteralType(values=values):
                return Proof(look=_literal(values))
            case about.CustomType(cls=cls):
                return _JSON if cls is object else _PATHS.get(cls, NOTHING_KNOWN)
            case _:
                return self._collection(info)

    def _collection(self, info: Any) -> Proof:
        match info:
            case about.DictType(key_type=key, value_type=item):
                return _dict(_STR if isinstance(key, about.AnyType) else self.of(key).kinds, self.of(item))
            case about.TupleType(item_types=items):
                return _tuple([self.of(item) for item in items])
            case about.ListType() | about.VarTupleType() | about.SetType() | about.FrozenSetType():
                return _items(_COLLECTIONS[_class_of(info)], self.of(info.item_type))
            case _:
                return NOTHING_KNOWN

    def _union(self, types: Sequence[Any]) -> Proof:
        """msgspec allows only unions whose members it can tell apart in JSON, so one proof is enough."""
        proofs = [self.of(member) for member in types]

        def look(value: Any, depth: int) -> bool:
            for proof in proofs:  # noqa: SIM110 - no generator
                if proof.holds(value, depth):
                    return True
            return False

        kinds = frozenset[type]().union(*(proof.kinds for proof in proofs))
        return Proof(kinds, look, any(proof.unordered for proof in proofs))

    def _typed_dict(self, fields: Sequence[about.Field]) -> Proof:
        proofs = {field.name: self.of(field.type) for field in fields}
        required = {field.name for field in fields if field.required}

        def look(value: Any, depth: int) -> bool:
            if _class_of(value) is not dict or depth <= 0 or not required <= value.keys() <= proofs.keys():
                return False
            for name, item in value.items():  # noqa: SIM110 - no generator
                if not proofs[name].holds(item, depth - 1):
                    return False
            return True

        return Proof(look=look, unordered=True)

    def _object(self, info: Any) -> Proof:
        kind = get_origin(info.cls) or info.cls
        names = tuple(field.name for field in info.fields)
        if not names or not _is_transparent(kind, names):
            return NOTHING_KNOWN
        proofs = [self.of(field.type) for field in info.fields]
        get = _only(names[0]) if len(names) == 1 else attrgetter(*names)

        def look(value: Any, depth: int) -> bool:
            if _class_of(value) is not kind or depth <= 0:
                return False
            try:
                items = get(value)
            except Exception:  # a field was deleted
                return False
            for proof, item in zip(proofs, items, strict=True):
                if type(item) not in proof.kinds and not proof.holds(item, depth - 1):
                    return False
            return True

        return Proof(look=look, unordered=any(proof.unordered for proof in proofs))


def _is_bounded(info: Any) -> bool:
    """Whether there are bounds of length or value, which decoding looks after."""
    return any(
        getattr(info, name, None) is not None
        for name in ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern", "tz")
    )


def _is_transparent(kind: Any, names: tuple[str, ...]) -> bool:
    """Whether objects of this class are their fields and nothing else, and nothing happens when one is made."""
    if hasattr(kind, "__post_init__"):
        return False
    if issubclass(kind, msgspec.Struct):
        return bool(kind.__struct_fields__ == names)
    if is_dataclass(kind):
        return tuple(field.name for field in dataclass_fields(kind)) == names
    return bool(getattr(kind, "_fields", None) == names and kind.__bases__ == (tuple,))


def _is_plain_enum(kind: Any) -> bool:
    members = {_class_of(member.value) for member in kind.__members__.values()}
    return not issubclass(kind, Flag) and (members == {str} or members == {int})


def _only(name: str) -> Callable[[Any], tuple[Any]]:
    get = attrgetter(name)
    return lambda value: (get(value),)


def _items(kind: type, item: Proof) -> Proof:
    return Proof(
        look=lambda value, depth: _class_of(value) is kind and depth > 0 and item.holds_for_all(value, depth - 1),
        unordered=kind in (set, frozenset) or item.unordered,
    )


def _tuple(items: Sequence[Proof]) -> Proof:
    def look(value: Any, depth: int) -> bool:
        if _class_of(value) is not tuple or depth <= 0 or len(value) != len(items):
            return False
        for proof, item in zip(items, value, strict=True):  # noqa: SIM110 - no generator
            if not proof.holds(item, depth - 1):
                return False
        return True

    return Proof(look=look, unordered=any(proof.unordered for proof in items))


def _dict(keys: frozenset[type], item: Proof) -> Proof:
    """Keys are text in JSON: they come back if all of them are of one known class."""
    if keys not in (_STR, _INT):
        return NOTHING_KNOWN

    def look(value: Any, depth: int) -> bool:
        return (
            _class_of(value) is dict
            and depth > 0
            and keys.issuperset(map(type, value))
            and item.holds_for_all(value.values(), depth - 1)
        )

    return Proof(look=look, unordered=True)


def _literal(values: Sequence[Any]) -> Look:
    known = {(_class_of(value), value) for value in values}
    return lambda value, depth: type(value) in _JSON_LEAVES and (_class_of(value), value) in known


def _is_float(value: Any, depth: int) -> bool:
    return _class_of(value) is float and isfinite(value)


def _is_utc_or_naive(value: Any, depth: int) -> bool:
    """JSON has offsets of whole minutes, and nothing for the second of two equal times when clocks are put back."""
    return _class_of(value) is datetime and not value.fold and (value.tzinfo is None or value.tzinfo is UTC)


def _is_json(value: Any, depth: int) -> bool:
    """Whether this is made of plain JSON types only."""
    kind = _class_of(value)
    if kind in _JSON_LEAVES:
        return True
    if kind is float:
        return isfinite(value)
    if depth <= 0:
        return False
    if kind is list:
        return _are_json(value, depth - 1)
    if kind is dict:
        return _STR.issuperset(map(type, value)) and _are_json(value.values(), depth - 1)
    return False


def _are_json(values: Any, depth: int) -> bool:
    if _JSON_LEAVES.issuperset(map(type, values)):
        return True
    for value in values:  # noqa: SIM110 - no generator
        if not _is_json(value, depth):
            return False
    return True


_STR: Final = frozenset({str})
_INT: Final = frozenset({int})
_JSON: Final = Proof(_JSON_LEAVES, _is_json, unordered=True)
_PATHS: Final[Mapping[Any, Proof]] = {kind: Proof(frozenset({_class_of(kind())})) for kind in (Path, PurePath)}
_COLLECTIONS: Final[Mapping[Any, type]] = {
    about.ListType: list,
    about.VarTupleType: tuple,
    about.SetType: set,
    about.FrozenSetType: frozenset,
}
_LEAVES: Final[Mapping[type, Proof]] = {
    about.AnyType: _JSON,
    about.NoneType: Proof(frozenset({NoneType})),
    about.BoolType: Proof(frozenset({bool})),
    about.IntType: Proof(_INT),
    about.FloatType: Proof(look=_is_float),
    about.StrType: Proof(_STR),
    about.BytesType: Proof(frozenset({bytes})),
    about.UUIDType: Proof(frozenset({UUID})),
    about.DateType: Proof(frozenset({date})),
    about.DateTimeType: Proof(look=_is_utc_or_naive),
    about.TimeDeltaType: Proof(frozenset({timedelta})),
}


# --- what a round trip has changed


class Difference(NamedTuple):
    """Where a value and what arrived of it differ, and how; and what its sender may do."""

    path: str
    reason: str

    def inside(self, step: str) -> Difference:
        return Difference(step + self.path, self.reason)


def difference(sent: Any, arrived: Any) -> Difference | None:
    """The first place where these differ; None if they are equal."""
    kind = _class_of(sent)
    if issubclass(kind, Enum):
        return None if _is_same_member(sent, arrived) else _changed(sent, arrived)
    if kind is not _class_of(arrived):
        return None if _is_same_number_or_path(sent, arrived) else _changed(sent, arrived)
    compare = _COMPARISONS.get(kind)
    if compare is not None:
        return compare(sent, arrived)
    fields = fields_of(sent)
    if fields is None:
        return None if _are_equal(sent, arrived) else _changed(sent, arrived)
    return _in_fields(fields, fields_of(arrived) or {})


def fields_of(value: Any) -> dict[str, Any] | None:
    """What an object is made of, by path; None if its class does not say."""
    kind = _class_of(value)
    if hasattr(kind, "__pydantic_fields__") and hasattr(value, "__pydantic_private__"):
        own = value.__dict__
        declared: dict[str, Any] = {name: own[name] for name in kind.__pydantic_fields__ if name in own}
        return {**declared, **(value.__pydantic_extra__ or {}), **(value.__pydantic_private__ or {})}
    names = names_of_fields(kind)
    return None if names is None else {name: getattr(value, name) for name in names if hasattr(value, name)}


def names_of_fields(kind: Any) -> tuple[str, ...] | None:
    if issubclass(kind, msgspec.Struct):
        return tuple(kind.__struct_fields__)
    if is_dataclass(kind):
        return tuple(field.name for field in dataclass_fields(kind))
    if hasattr(kind, "__attrs_attrs__"):
        return tuple(attribute.name for attribute in kind.__attrs_attrs__)
    return getattr(kind, "_fields", None) if tuple in kind.__mro__ else None


def _in_fields(sent: Mapping[str, Any], arrived: Mapping[str, Any]) -> Difference | None:
    for name, item in sent.items():
        if name not in arrived:
            return Difference(f".{name}", f"it would be lost; {_ADVICE}")
        found = difference(item, arrived[name])
        if found is not None:
            return found.inside(f".{name}")
    return None


def _in_sequence(sent: Sequence[Any], arrived: Sequence[Any]) -> Difference | None:
    if len(sent) != len(arrived):
        return Difference("", f"{len(sent)} items would arrive as {len(arrived)}; {_ADVICE}")
    for index, (item, other) in enumerate(zip(sent, arrived, strict=True)):
        found = difference(item, other)
        if found is not None:
            return found.inside(f"[{index}]")
    return None


def _in_dict(sent: dict[Any, Any], arrived: dict[Any, Any]) -> Difference | None:
    for key, other in zip(sent, arrived, strict=False):
        if _class_of(key) is not _class_of(other) and difference(key, other) is not None:
            return Difference(
                f"[{_shown_key(key)}]",
                f"the key {_shown_key(key)} would arrive as {_shown_key(other)}, because keys are text in JSON; "
                "give all keys one class and annotate it (`dict[int, ...]`), or pass a list of pairs",
            )
    for key, other in zip(sent, arrived, strict=False):
        if difference(key, other) is not None:
            return Difference(f"[{_shown_key(key)}]", f"it would be lost, or come in another place; {_ADVICE}")
    if len(sent) > len(arrived):
        return Difference(f"[{_shown_key(list(sent)[len(arrived)])}]", f"it would be lost; {_ADVICE}")
    if len(sent) < len(arrived):
        return Difference(
            f"[{_shown_key(list(arrived)[len(sent)])}]", f"it would arrive though nobody sent it; {_ADVICE}"
        )
    for key, item, other in zip(sent, sent.values(), arrived.values(), strict=True):
        found = difference(item, other)
        if found is not None:
            return found.inside(f"[{_shown_key(key)}]")
    return None


def _in_set(sent: Any, arrived: Any) -> Difference | None:
    known = {item: item for item in arrived}
    if len(sent) != len(known):
        return Difference("", f"{len(sent)} items would arrive as {len(known)}; {_ADVICE}")
    for item in sent:
        if item not in known:
            return Difference(f"[{_shown_key(item)}]", f"it would arrive changed; {_ADVICE}")
        found = difference(item, known[item])
        if found is not None:
            return found.inside(f"[{_shown_key(item)}]")
    return None


def _by(same: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Difference | None]:
    return lambda sent, arrived: None if same(sent, arrived) else _changed(sent, arrived)


def _in_moment(sent: Any, arrived: Any) -> Difference | None:
    utc = "pass it in UTC, as `.astimezone(datetime.UTC)` does"
    if (sent.tzinfo is None) != (arrived.tzinfo is None):
        return Difference(
            "", f"{_shown(sent)} would arrive without its time zone; pass the zone by its name, beside it"
        )
    if sent.utcoffset() != arrived.utcoffset():
        return Difference("", f"{_shown(sent)} would arrive as {_shown(arrived)}; {utc}")
    if sent.tzinfo is None and sent.fold != arrived.fold:
        return Difference("", f"{_shown(sent)} would arrive without its fold=1; {utc}")
    if sent.isoformat() != arrived.isoformat():
        return _changed(sent, arrived)
    if sent != arrived:
        # Python holds a time that comes twice, or never, in its zone for different from all times of other zones.
        return Difference("", f"{_shown(sent)} is a time that its zone has twice or not at all; {utc}")
    return None


_by_value: Final = _by(lambda sent, arrived: bool(sent == arrived))
_COMPARISONS: Final[Mapping[Any, Callable[[Any, Any], Difference | None]]] = {
    **dict.fromkeys((str, int, bool, NoneType, bytes, bytearray, memoryview, UUID, date, timedelta), _by_value),
    float: _by(lambda sent, arrived: repr(sent) == repr(arrived)),
    Decimal: _by(lambda sent, arrived: str(sent) == str(arrived)),
    datetime: _in_moment,
    time: _in_moment,
    list: _in_sequence,
    tuple: _in_sequence,
    dict: _in_dict,
    set: _in_set,
    frozenset: _in_set,
}


def _is_same_member(sent: Any, arrived: Any) -> bool:
    """Whether it is the same member of an enum, or the plain `str` or `int` that the member is as well."""
    kind, own = _class_of(arrived), _class_of(sent)
    if kind is own:
        return sent is arrived or difference(sent.value, arrived.value) is None
    return kind in (str, int) and issubclass(own, kind) and difference(sent.value, arrived) is None


def _is_same_number_or_path(sent: Any, arrived: Any) -> bool:
    """An `int` for a `float` arrives as one, a path for any path as that of the annotation; both are equal."""
    kinds = {_class_of(sent), _class_of(arrived)}
    if kinds == {int, float} or all(issubclass(kind, PurePath) for kind in kinds):
        return bool(sent == arrived)
    return False


def _are_equal(sent: Any, arrived: Any) -> bool:
    """Two objects of one class that does not say what it is made of: as it says, or by their attributes."""
    kind = _class_of(sent)
    if kind.__eq__ is not object.__eq__:
        try:
            return bool(sent == arrived)
        except Exception:
            if not hasattr(sent, "__dict__"):
                return False
    return difference(getattr(sent, "__dict__", None), getattr(arrived, "__dict__", None)) is None


# --- in words


_ADVICE: Final = "what holds it does not give all of itself to JSON: pass plain values, or another class"
_MAX_SHOWN_CHARS: Final = 60
_SHOWN: Final = (int, float, bool, NoneType, date, datetime, time, timedelta, Decimal, UUID)


def _changed(sent: Any, arrived: Any) -> Difference:
    kind, other = _class_of(sent), _class_of(arrived)
    if hasattr(kind, "get_secret_value"):
        return Difference(
            "",
            f"{_described(sent)} would arrive masked, and a secret does not belong in a store; "
            "let the task read it itself, or pass its name",
        )
    if kind is other:
        return Difference("", f"{_shown(sent)} would arrive as {_shown(arrived)}; {_ADVICE}")
    return Difference(
        "",
        f"{_shown(sent)} would arrive as {_shown(arrived)}; "
        f"annotate it as {kind.__qualname__}, or make {_described(arrived)} of it yourself",
    )


def _described(value: Any) -> str:
    name = _class_of(value).__qualname__
    if value is None:
        return "None"
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def _shown(value: Any) -> str:
    """Of a number or a time, what it is; of others only the class, because errors are read by many."""
    if isinstance(value, (date, time)):
        return value.isoformat()
    return str(value)[:_MAX_SHOWN_CHARS] if _class_of(value) in _SHOWN else _described(value)


def _shown_key(key: Any) -> str:
    return repr(key)[:_MAX_SHOWN_CHARS] if _class_of(key) in (str, *_SHOWN) else _described(key)
