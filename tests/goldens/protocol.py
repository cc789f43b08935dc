"""Messages of the protocol, made from their descriptors: distinct values, and values at the limits of their types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor, MethodDescriptor
from google.protobuf.message import Message

from understudy_proto.v1 import (
    actors_pb2,
    jobs_pb2,
    nodes_pb2,
    peers_pb2,
    resources_pb2,
    runs_pb2,
    schedules_pb2,
    sessions_pb2,
    values_pb2,
    workers_pb2,
)

FILES: Final[tuple[FileDescriptor, ...]] = tuple(
    module.DESCRIPTOR
    for module in (
        actors_pb2,
        jobs_pb2,
        nodes_pb2,
        peers_pb2,
        resources_pb2,
        runs_pb2,
        schedules_pb2,
        sessions_pb2,
        values_pb2,
        workers_pb2,
    )
)
DEEPEST: Final = 4
UNKNOWN: Final = b"\xfa\x3f\x03new"
"""Field 1023, a text, which no message has: as one that a later release has added."""
TIMES: Final = ("google.protobuf.Timestamp", "google.protobuf.Duration")
EDGES: Final[dict[int, tuple[Any, ...]]] = {
    FieldDescriptor.TYPE_STRING: ('é"\\\n\u2028😀', "\x00", "x" * 20),
    FieldDescriptor.TYPE_BYTES: (b"\xff\x00", b"", b'{"args":[1],"kwargs":{}}'),
    FieldDescriptor.TYPE_INT64: (2**63 - 1, -(2**63)),
    FieldDescriptor.TYPE_INT32: (2**31 - 1, -(2**31)),
    FieldDescriptor.TYPE_UINT64: (2**64 - 1,),
    FieldDescriptor.TYPE_UINT32: (2**32 - 1,),
    FieldDescriptor.TYPE_DOUBLE: (5e-324, -0.0, float("inf")),
    FieldDescriptor.TYPE_BOOL: (True,),
    FieldDescriptor.TYPE_ENUM: (77, -1),
}


def methods() -> Iterator[MethodDescriptor]:
    for file in FILES:
        for service in file.services_by_name.values():
            yield from service.methods


def path_of(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def messages() -> list[Descriptor]:
    found = [each for file in FILES for each in _with_nested(file.message_types_by_name.values())]
    return sorted(found, key=lambda each: each.full_name)


def _with_nested(kinds: Any) -> Iterator[Descriptor]:
    for kind in kinds:
        if not kind.GetOptions().map_entry:
            yield kind
            yield from _with_nested(kind.nested_types)


def enums() -> list[EnumDescriptor]:
    found = [each for file in FILES for each in file.enum_types_by_name.values()]
    found += [each for kind in messages() for each in kind.enum_types]
    return sorted(found, key=lambda each: each.full_name)


def variants(kind: Descriptor) -> Iterator[tuple[str, Message]]:
    """Instances of this type by the names of their variants: as many as it takes to choose once all there is in it.

    What is in the messages inside of it is chosen where these are made for themselves.
    """
    yield "empty", message_factory.GetMessageClass(kind)()
    yield "edge", Edges().message(kind)
    for choice in range(max([1, *_choices_of(kind)])):
        yield str(choice), Filling(choice).message(kind)


def filled(kind: Descriptor, choice: int = -1) -> Message:
    return Filling(choice).message(kind)


def choices(kind: Descriptor, seen: frozenset[str] = frozenset()) -> int:
    """The most values of an enum, or members of a oneof, that there are to choose from in it, at any depth."""
    if kind.full_name in seen:
        return 1
    inner = [each.message_type for each in kind.fields if each.message_type is not None]
    return max([1, *_choices_of(kind), *(choices(each, seen | {kind.full_name}) for each in inner)])


def _choices_of(kind: Descriptor) -> list[int]:
    enums_in_it = [each.enum_type for each in kind.fields if each.enum_type is not None]
    return [len(each.fields) for each in kind.oneofs] + [len(each.values) for each in enums_in_it]


class Filling:
    """Counts on, so that no two numbers or texts are the same. Of each enum and oneof it takes the `choice`-th.

    `given` has values for some fields, by name.
    """

    def __init__(self, choice: int = -1, given: Mapping[str, Any] | None = None) -> None:
        self._choice = choice
        self._given = given or {}
        self._count = 10

    def message(self, kind: Descriptor, depth: int = 0) -> Message:
        message = message_factory.GetMessageClass(kind)()
        for field in kind.fields:
            if self._is_chosen(field) and not (depth >= DEEPEST and field.message_type is not None):
                self._set(message, field, depth)
        return message

    def _is_chosen(self, field: FieldDescriptor) -> bool:
        oneof = field.containing_oneof
        return oneof is None or oneof.fields[self._choice % len(oneof.fields)].name == field.name

    def _set(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            entry = kind.fields_by_name
            getattr(message, field.name)[self.plain(entry["key"])] = self.plain(entry["value"])
        elif field.is_repeated:
            values = [self._value(field, depth) for _ in range(2)]
            getattr(message, field.name).extend(values)
        elif kind is not None:
            getattr(message, field.name).CopyFrom(self.message(kind, depth + 1))
        else:
            setattr(message, field.name, self.plain(field))

    def _value(self, field: FieldDescriptor, depth: int) -> Any:
        return self.plain(field) if field.message_type is None else self.message(field.message_type, depth + 1)

    def plain(self, field: FieldDescriptor) -> Any:
        self._count += 1
        given = self._given.get(field.name)
        if type(given) is {FieldDescriptor.TYPE_STRING: str, FieldDescriptor.TYPE_BYTES: bytes}.get(field.type):
            return given
        match field.type:
            case FieldDescriptor.TYPE_STRING:
                return f"{field.name}-{self._count}"
            case FieldDescriptor.TYPE_BYTES:
                return b'{"%s":%d}' % (field.name.encode(), self._count)
            case FieldDescriptor.TYPE_BOOL:
                return True
            case FieldDescriptor.TYPE_ENUM if field.enum_type is not None:
                return field.enum_type.values[self._choice % len(field.enum_type.values)].number
            case FieldDescriptor.TYPE_DOUBLE:
                return self._count + 0.5
            case _:
                return self._count * 12_345_678 % 10**9 if field.name == "nanos" else self._count


class Edges(Filling):
    """Limits, one after the other, of every field."""

    def plain(self, field: FieldDescriptor) -> Any:
        self._count += 1
        limits = EDGES[field.type]
        is_time = field.containing_type is not None and field.containing_type.full_name in TIMES
        return super().plain(field) if is_time else limits[self._count % len(limits)]


# --- descriptors


def described() -> Iterator[tuple[str, str, Any]]:
    """Kind, full name, and what is declared, of every message, enum and service."""
    for kind in messages():
        yield "message", kind.full_name, {each.name: _declared(each) for each in kind.fields}
    for enum in enums():
        yield "enum", enum.full_name, {each.name: each.number for each in enum.values}
    for method in methods():
        streams = [method.client_streaming, method.server_streaming]
        yield "method", path_of(method), [method.input_type.full_name, method.output_type.full_name, *streams]


def _declared(field: FieldDescriptor) -> list[Any]:
    """Number, type, of what, whether repeated, whether it can be absent, and the oneof that it is in."""
    kind = field.message_type or field.enum_type
    oneof = "" if field.containing_oneof is None else field.containing_oneof.name
    named = "" if kind is None else kind.full_name
    return [field.number, field.type, named, field.is_repeated, field.has_presence, oneof]
