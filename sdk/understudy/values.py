"""Values of user code as JSON, and back: the one way in which a value leaves or enters user code.

Encoding refuses what JSON would change silently: NaN and infinities (which would become null) and subclasses of
plain types (a `Counter` would come back as a `dict`). Decoding is typed by the annotation, and what is encoded for an
annotation is refused unless it arrives as it was (`understudy.exactness`). A string may hold
surrogates, as file names do: they travel as U+FDD0 and four hex digits, because JSON that leaves Python must be
valid Unicode for every reader; a U+FDD0 that was there before travels in the same way.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from math import isfinite
from operator import attrgetter
from pathlib import PurePath
from types import NoneType
from typing import Any, Final, Protocol, cast
from uuid import UUID

import msgspec
import xxhash
from msgspec import Raw

from understudy.errors import BadDefinition, BadInput
from understudy.exactness import MAX_DEPTH, Difference, difference, names_of_fields, proof_of

MAX_VALUE_BYTES: Final = 16 * 1024 * 1024
"""The bound of one encoded value (all arguments of one call together). Larger data belongs in a file or a store."""

_ESCAPE: Final = "\ufdd0"
_ESCAPE_UTF8: Final = _ESCAPE.encode()
_TO_ESCAPE: Final = re.compile("[\ufdd0\ud800-\udfff]")
_ESCAPED: Final = re.compile("\ufdd0([0-9a-f]{4})")

_LEAVES: Final = (str, int, bytes, bytearray, memoryview, datetime, date, time, timedelta, UUID, Decimal)
_PLAIN: Final = frozenset({*_LEAVES, bool, NoneType, Raw, msgspec.UnsetType})
_class_of: Callable[[Any], Any] = type
_LOSSY: Final = (float, list, tuple, dict, set, frozenset, *_LEAVES)


class Unresolved(BadDefinition):
    """An annotation names something that is not defined yet; the definition may be tried again later."""


class _Unfit(Exception):
    """A value that would not come back as it was; `path` is collected from the inside out."""

    def __init__(self, reason: str, located: bool = True) -> None:
        self.reason = reason
        self.located = located
        self.path: list[str] = []

    def __str__(self) -> str:
        where = "".join(reversed(self.path)).lstrip(".") if self.located else "".join(self.path[-1:])
        return f"{where}: {self.reason}" if where else self.reason


# --- encoding


def encode(value: Any, label: str) -> bytes:
    """`value` as JSON; BadInput, beginning with `label` and naming the field, if it would not survive."""
    return encode_parts((value,), ("",), value, label)[0]


def encode_parts(parts: Sequence[Any], names: Sequence[str], whole: Any, label: str) -> tuple[bytes, bool]:
    """`whole` as JSON, made of `parts` called `names`; and whether it holds anything without an order of its own."""
    try:
        unordered = _check_all(parts, names, MAX_DEPTH)
    except (_Unfit, AttributeError) as error:
        raise BadInput(f"{label}: {error}") from None
    try:
        return encode_exact(whole, label), unordered
    except BadInput:
        for name, part in zip(names, parts, strict=False):
            if name:
                encode_exact(part, f"{label}: {name.lstrip('.')}")
        raise


def encode_exact(whole: Any, label: str) -> bytes:
    """`whole` as JSON, of which it is known that it does not change."""
    try:
        data = _encoded(whole)
    except (_Unfit, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise BadInput(f"{label}: {error}") from None
    if len(data) > MAX_VALUE_BYTES:
        raise BadInput(
            f"{label}: {len(data)} bytes are more than a value may have ({MAX_VALUE_BYTES}); "
            "put the data in a file or a store and pass its name"
        )
    return data


def refuse_changes(sent: Any, arrived: Any, label: str) -> None:
    """BadInput, beginning with `label` and naming the place, unless what arrived is what was sent."""
    try:
        found = difference(sent, arrived)
    except RecursionError:
        found = Difference("", f"the value contains itself, or is nested more than {MAX_DEPTH} deep")
    except Exception as error:  # user code: a property, an `__eq__` or an `__hash__`
        found = Difference("", f"it cannot be compared with what would arrive: {type(error).__name__}: {error}")
    if found is not None:
        raise BadInput(f"{label}{found.path}: {found.reason}")


def digest(data: bytes, value: Any, unordered: bool) -> str:
    """The hexadecimal xxhash64 of `value`, whose encoding is `data`; equal values have equal digests."""
    if unordered:
        data = _in_order(value)
    return xxhash.xxh64_hexdigest(data)


def _encoded(value: Any) -> bytes:
    try:
        data = _encoder.encode(value)
    except UnicodeEncodeError:
        data = _ESCAPE_UTF8
    if _ESCAPE_UTF8 in data:
        data = _encoder.encode(_escape(msgspec.to_builtins(value, str_keys=True, enc_hook=_enc_hook)))
    return data


def _in_order(value: Any) -> bytes:
    try:
        data = _ordered_encoder.encode(value)
        if _ESCAPE_UTF8 not in data:
            return data
    except (TypeError, UnicodeEncodeError):
        pass  # a set whose elements have no order among themselves, or surrogates
    return _encoder.encode(_ordered(value))


def _ordered(value: Any) -> Any:
    kind = _class_of(value)
    if issubclass(kind, str):
        return _escape(value)
    if issubclass(kind, (set, frozenset)):
        return [Raw(item) for item in sorted(_encoder.encode(_ordered(item)) for item in value)]
    if kind is list or kind is tuple:
        return [_ordered(item) for item in value]
    if issubclass(kind, dict):
        plain = {_plain_key(key): _ordered(item) for key, item in value.items()}
        return dict(sorted(plain.items()))
    names = names_of_fields(kind)
    if names is not None:
        return {name: _ordered(getattr(value, name)) for name in names}
    return _escape(msgspec.to_builtins(value, str_keys=True, enc_hook=_enc_hook, order="deterministic"))


def _plain_key(key: Any) -> str:
    plain = msgspec.to_builtins({key: None}, str_keys=True, enc_hook=_enc_hook)
    return str(_escape(next(iter(plain))))


def _enc_hook(value: Any) -> Any:
    kind = _class_of(value)
    if issubclass(kind, PurePath):
        return str(value)
    if is_pydantic(kind):
        try:
            dumped = value.model_dump(mode="json", round_trip=True)
        except (ValueError, TypeError) as error:
            reason = str(error).partition("\n")[0]
            raise _Unfit(
                f"a {kind.__qualname__} does not give all of itself to JSON: {reason}", located=False
            ) from None
        try:
            _check_all((dumped,), ("",), MAX_DEPTH)
        except _Unfit as unfit:
            unfit.path.append(kind.__name__)
            raise
        return dumped
    raise TypeError(_unsupported(kind))


_encoder: Final = msgspec.json.Encoder(enc_hook=_enc_hook)
_ordered_encoder: Final = msgspec.json.Encoder(enc_hook=_enc_hook, order="deterministic")


# --- what would not come back as it was


def _check_all(values: Iterable[Any], names: Sequence[str] | None, depth: int) -> bool:
    """Whether any value holds something without an order of its own (a dict, a set); _Unfit if one would change.

    `depth` is how many levels of nesting are left.
    """
    if depth < 0:
        raise _Unfit(f"the value contains itself, or is nested more than {MAX_DEPTH} deep", located=False)
    kinds = set(map(type, values))
    if kinds <= _PLAIN:
        return False
    unordered = False
    for index, value in enumerate(values):
        kind = _class_of(value)
        if kind in _PLAIN:
            continue
        try:
            if _checker(kind)(value, depth - 1):
                unordered = True
        except _Unfit as unfit:
            unfit.path.append(f"[{index}]" if names is None else names[index])
            raise
    return unordered


@lru_cache(maxsize=4096)
def _checker(kind: Any) -> Callable[[Any, int], bool]:
    """How values of this class are looked at."""
    if kind is float:
        return _check_float
    if kind is list or kind is tuple:
        return _check_list
    if kind is set or kind is frozenset:
        return _check_set
    if kind is dict:
        return _check_dict
    names = names_of_fields(kind)
    if names is not None:
        return _field_checker(names)
    if issubclass(kind, Enum) or issubclass(kind, PurePath):
        return _is_ordered
    if is_pydantic(kind):
        return _is_unordered
    reason = _unsupported(kind)

    def refuse(value: Any, depth: int) -> bool:
        raise _Unfit(reason)

    return refuse


def _field_checker(names: tuple[str, ...]) -> Callable[[Any, int], bool]:
    labels = tuple(f".{name}" for name in names)
    if not names:
        return _is_ordered
    get = attrgetter(*names)
    if len(names) == 1:
        return lambda value, depth: _check_all((get(value),), labels, depth)
    return lambda value, depth: _check_all(get(value), labels, depth)


def _check_float(value: float, depth: int) -> bool:
    if not isfinite(value):
        raise _Unfit(f"{value} is a float that JSON cannot hold")
    return False


def _check_list(value: list[Any] | tuple[Any, ...], depth: int) -> bool:
    return _check_all(value, None, depth)


def _check_set(value: set[Any] | frozenset[Any], depth: int) -> bool:
    _check_all(value, None, depth)
    return True


def _check_dict(value: dict[Any, Any], depth: int) -> bool:
    labels = _Labels(value)
    _check_all(value, labels, depth)
    _check_all(value.values(), labels, depth)
    return True


class _Labels(Sequence[str]):
    """The labels of a dict's entries, made only when one is needed."""

    def __init__(self, entries: dict[Any, Any]) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: Any) -> Any:
        return f"[{list(self._entries)[index]!r}]"


def _is_ordered(value: Any, depth: int) -> bool:
    return False


def _is_unordered(value: Any, depth: int) -> bool:
    return True


def _unsupported(kind: type[Any]) -> str:
    if kind in _PLAIN or kind in _LOSSY:  # which have a JSON form, but for one place
        return f"a {kind.__qualname__} cannot be a key in JSON; pass a list of pairs"
    for base in _LOSSY:
        if issubclass(kind, base):
            return f"a {kind.__qualname__} would come back as a plain {base.__name__}; pass {base.__name__}(...) of it"
    return f"a {kind.__qualname__} has no JSON form; use plain types, a dataclass, a msgspec.Struct or a pydantic model"


# --- decoding


def unresolved(label: str, error: NameError | AttributeError) -> Unresolved:
    reason = str(error).partition("\n")[0]  # pydantic adds a link
    return Unresolved(
        f"{label}: an annotation cannot be resolved: {reason}; annotations are read while the program runs, "
        "so what they name must be imported without `if TYPE_CHECKING:` and be defined at the top of its module"
    )


class Decoder:
    """Decodes values of one annotation; refuses, when made, an annotation it could not serve."""

    __slots__ = ("_annotation", "_decode", "any", "proof")

    def __init__(self, annotation: Any, label: str) -> None:
        self._annotation = annotation
        self.any = annotation is Any or annotation is object
        try:
            info = msgspec.inspect.type_info(annotation)
            _refuse_unsupported(info)
            self.proof: Final = proof_of(info)
            self._decode = msgspec.json.Decoder(annotation, dec_hook=_dec_hook).decode
        except (NameError, AttributeError) as error:
            raise unresolved(label, error) from None
        except TypeError as error:
            raise BadDefinition(f"{label}: {error}") from None
        except RecursionError:
            raise BadDefinition(
                f"{label}: an alias (`type X = ...`) refers to itself; use Any there, "
                "or a dataclass that refers to itself"
            ) from None

    def encode(self, value: Any, label: str) -> bytes:
        """`value` as JSON; BadInput, beginning with `label`, if it would not arrive as it is."""
        if self.proof.holds(value):
            return encode_exact(value, label)
        data = encode(value, label)
        self.refuse_changes(value, data, label)
        return data

    def refuse_changes(self, value: Any, data: bytes | Raw, label: str) -> None:
        """BadInput, beginning with `label`, if `value` does not come back from `data`, its encoding."""
        refuse_changes(value, self.decode(data, label), label)

    def decode(self, data: bytes | Raw, label: str) -> Any:
        """The value of this JSON; BadInput, beginning with `label`, if it does not fit the annotation."""
        return self.decode_part(data, label, has_escapes(data))

    def decode_part(self, data: bytes | Raw, label: str, escaped: bool) -> Any:
        """`decode`, where the caller has looked for escapes in a larger piece."""
        try:
            if not escaped:
                return self._decode(data)
            plain = _unescape(msgspec.json.decode(data))
            return msgspec.convert(plain, self._annotation, str_keys=True, dec_hook=_dec_hook)
        except msgspec.MsgspecError as error:
            raise BadInput(f"{label}: {error}") from None
        except RecursionError:
            raise BadInput(f"{label}: the value is nested too deeply") from None


def has_escapes(data: bytes | Raw) -> bool:
    """Whether any string in this JSON stands for another one."""
    return _ESCAPE_UTF8 in bytes(data)


def _dec_hook(kind: type[Any], value: Any) -> Any:
    if kind is object:
        return value
    if issubclass(kind, PurePath):
        if isinstance(value, str):
            return kind(value)
        raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
    return _validate(kind, value)


def _validate(model: type[Any], value: Any) -> Any:
    try:
        # JSON mode: a strict model takes a datetime from text only there.
        return model.model_validate_json(msgspec.json.encode(value), by_name=True, by_alias=True)
    except UnicodeEncodeError:
        return model.model_validate(value, by_name=True, by_alias=True)
    except ValueError as error:
        errors = getattr(error, "errors", None)
        if errors is None:
            raise
        first = errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from None


class _HasBaseModel(Protocol):
    BaseModel: type[Any]


def is_pydantic(kind: type[Any]) -> bool:
    """Whether `kind` is a pydantic model; asks only a pydantic that somebody else has imported."""
    pydantic = cast("_HasBaseModel | None", sys.modules.get("pydantic"))
    return pydantic is not None and issubclass(kind, pydantic.BaseModel)


def _refuse_unsupported(info: msgspec.inspect.Type) -> None:
    """TypeError if the type, or one inside it, is a class of which nothing is known."""
    todo: list[Any] = [info]
    seen: set[int] = set()
    while todo:
        part = todo.pop()
        kind = _class_of(part)
        if id(part) in seen:
            continue
        seen.add(id(part))
        if kind is msgspec.inspect.CustomType and not _is_known(part.cls):
            raise TypeError(
                f"{part.cls.__qualname__} has no JSON form; "
                "use plain types, a dataclass, a TypedDict, a msgspec.Struct or a pydantic model"
            )
        if issubclass(kind, (msgspec.inspect.Type, msgspec.inspect.Field)):
            todo.extend(getattr(part, name) for name in kind.__struct_fields__)
        elif kind is tuple:
            todo.extend(part)


def _is_known(kind: type[Any]) -> bool:
    return kind is object or issubclass(kind, PurePath) or (is_pydantic(kind) and _is_complete(kind))


def _is_complete(model: Any) -> bool:
    """True; NameError if a field of the pydantic model names something that is not defined yet."""
    return bool(getattr(model, "__pydantic_complete__", True) or model.model_rebuild() is not False)


# --- surrogates


def _escape(value: Any) -> Any:
    return _map_strings(value, lambda text: _TO_ESCAPE.sub(lambda found: f"{_ESCAPE}{ord(found[0]):04x}", text))


def _unescape(value: Any) -> Any:
    return _map_strings(value, lambda text: _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text))


def _map_strings(value: Any, change: Callable[[str], str]) -> Any:
    kind = _class_of(value)
    if kind is str:
        return change(value)
    if kind is list or kind is tuple:
        return [_map_strings(item, change) for item in value]
    if kind is dict:
        return {_map_strings(key, change): _map_strings(item, change) for key, item in value.items()}
    return value
