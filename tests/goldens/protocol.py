"""Messages of the protocol, made from their descriptors: distinct values, and values at the limits of their types."""

from __future__ import annotations

from collections.abc import Iterator
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
    FieldDescriptor.TYPE_STRING: ('é"\\\n\u2028😀', "\x00", "x" * 300),
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
    """Instances of this type by the names of their variants: one for each member of a oneof, and of an enum."""
    yield "empty", message_factory.GetMessageClass(kind)()
    yield "filled", filled(kind)
    yield "edge", Edges().message(kind)
    for oneof in kind.oneofs:
        for field in oneof.fields:
            if len(oneof.fields) > 1:
                yield f"{oneof.name}={field.name}", Filling({oneof.full_name: field.name}).message(kind)
    for field in kind.fields:
        if field.enum_type is not None:
            for value in field.enum_type.values:
                yield f"{field.name}={value.name}", _with(kind, field, value.number)


def filled(kind: Descriptor) -> Message:
    return Filling().message(kind)


def _with(kind: Descriptor, field: FieldDescriptor, number: int) -> Message:
    message = message_factory.GetMessageClass(kind)()
    if field.is_repeated:
        getattr(message, field.name).append(number)
    else:
        setattr(message, field.name, number)
    return message


class Filling:
    """Counts on, so that no two numbers or texts are the same. `chosen` are the members of oneofs, else the last."""

    def __init__(self, chosen: dict[str, str] | None = None) -> None:
        self._chosen = chosen or {}
        self._count = 10

    def message(self, kind: Descriptor, depth: int = 0) -> Message:
        message = message_factory.GetMessageClass(kind)()
        for field in kind.fields:
            if self._is_chosen(field) and not (depth >= DEEPEST and field.message_type is not None):
                self._set(message, field, depth)
        return message

    def _is_chosen(self, field: FieldDescriptor) -> bool:
        oneof = field.containing_oneof
        return oneof is None or self._chosen.get(oneof.full_name, oneof.fields[-1].name) == field.name

    def _set(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            entry = kind.fields_by_name
            target = getattr(message, field.name)
            key, value = self.plain(entry["key"]), entry["value"]
            if value.message_type is None:
                target[key] = self.plain(value)
            else:
                target[key].CopyFrom(self.message(value.message_type, depth + 1))
        elif field.is_repeated:
            values = [self._value(field, depth) for _ in range(2)]
            getattr(message, field.name).extend(values)
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(self.message(field.message_type, depth + 1))
        else:
            setattr(message, field.name, self.plain(field))

    def _value(self, field: FieldDescriptor, depth: int) -> Any:
        return self.plain(field) if field.message_type is None else self.message(field.message_type, depth + 1)

    def plain(self, field: FieldDescriptor) -> Any:
        self._count += 1
        match field.type:
            case FieldDescriptor.TYPE_STRING:
                return f"{field.name}-{self._count}"
            case FieldDescriptor.TYPE_BYTES:
                return b'{"%s":%d}' % (field.name.encode(), self._count)
            case FieldDescriptor.TYPE_BOOL:
                return True
            case FieldDescriptor.TYPE_ENUM if field.enum_type is not None:
                return field.enum_type.values[-1].number
            case FieldDescriptor.TYPE_DOUBLE:
                return self._count + 0.5
            case _:
                return self._count


class Edges(Filling):
    """Limits, one after the other, of every field."""

    def plain(self, field: FieldDescriptor) -> Any:
        self._count += 1
        limits = EDGES[field.type]
        value = limits[self._count % len(limits)]
        is_time = field.containing_type is not None and field.containing_type.full_name in TIMES
        return self._count if is_time else value
