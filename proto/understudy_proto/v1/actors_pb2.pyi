import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from understudy_proto.v1 import values_pb2 as _values_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ActorStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTOR_STATUS_UNSPECIFIED: _ClassVar[ActorStatus]
    ACTOR_STATUS_ACTIVE: _ClassVar[ActorStatus]
    ACTOR_STATUS_HELD: _ClassVar[ActorStatus]
ACTOR_STATUS_UNSPECIFIED: ActorStatus
ACTOR_STATUS_ACTIVE: ActorStatus
ACTOR_STATUS_HELD: ActorStatus

class Address(_message.Message):
    __slots__ = ("kind", "id")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class TellRequest(_message.Message):
    __slots__ = ("namespace", "address", "handler", "arguments", "idempotency_key", "by_name")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HANDLER_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    BY_NAME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    address: Address
    handler: str
    arguments: _values_pb2.Arguments
    idempotency_key: str
    by_name: bool
    def __init__(self, namespace: _Optional[str] = ..., address: _Optional[_Union[Address, _Mapping]] = ..., handler: _Optional[str] = ..., arguments: _Optional[_Union[_values_pb2.Arguments, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., by_name: _Optional[bool] = ...) -> None: ...

class TellResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AskRequest(_message.Message):
    __slots__ = ("namespace", "address", "handler", "arguments", "readonly", "idempotency_key", "by_name")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HANDLER_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    READONLY_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    BY_NAME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    address: Address
    handler: str
    arguments: _values_pb2.Arguments
    readonly: bool
    idempotency_key: str
    by_name: bool
    def __init__(self, namespace: _Optional[str] = ..., address: _Optional[_Union[Address, _Mapping]] = ..., handler: _Optional[str] = ..., arguments: _Optional[_Union[_values_pb2.Arguments, _Mapping]] = ..., readonly: _Optional[bool] = ..., idempotency_key: _Optional[str] = ..., by_name: _Optional[bool] = ...) -> None: ...

class AskResponse(_message.Message):
    __slots__ = ("result", "failure")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    result: bytes
    failure: _values_pb2.Failure
    def __init__(self, result: _Optional[bytes] = ..., failure: _Optional[_Union[_values_pb2.Failure, _Mapping]] = ...) -> None: ...

class GetActorRequest(_message.Message):
    __slots__ = ("namespace", "address")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    address: Address
    def __init__(self, namespace: _Optional[str] = ..., address: _Optional[_Union[Address, _Mapping]] = ...) -> None: ...

class GetActorResponse(_message.Message):
    __slots__ = ("actor",)
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    actor: Actor
    def __init__(self, actor: _Optional[_Union[Actor, _Mapping]] = ...) -> None: ...

class Actor(_message.Message):
    __slots__ = ("address", "status", "created_at", "updated_at", "turns", "state", "version", "queued", "running", "warnings", "held_why", "held_detail", "reminders")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    HELD_WHY_FIELD_NUMBER: _ClassVar[int]
    HELD_DETAIL_FIELD_NUMBER: _ClassVar[int]
    REMINDERS_FIELD_NUMBER: _ClassVar[int]
    address: Address
    status: ActorStatus
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    turns: int
    state: bytes
    version: int
    queued: int
    running: int
    warnings: int
    held_why: str
    held_detail: str
    reminders: _containers.RepeatedCompositeFieldContainer[Reminder]
    def __init__(self, address: _Optional[_Union[Address, _Mapping]] = ..., status: _Optional[_Union[ActorStatus, str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., turns: _Optional[int] = ..., state: _Optional[bytes] = ..., version: _Optional[int] = ..., queued: _Optional[int] = ..., running: _Optional[int] = ..., warnings: _Optional[int] = ..., held_why: _Optional[str] = ..., held_detail: _Optional[str] = ..., reminders: _Optional[_Iterable[_Union[Reminder, _Mapping]]] = ...) -> None: ...

class Reminder(_message.Message):
    __slots__ = ("id", "at")
    ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListActorsRequest(_message.Message):
    __slots__ = ("namespace", "kind", "status", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    kind: str
    status: ActorStatus
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., kind: _Optional[str] = ..., status: _Optional[_Union[ActorStatus, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListActorsResponse(_message.Message):
    __slots__ = ("actors", "next_page_token")
    ACTORS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    actors: _containers.RepeatedCompositeFieldContainer[Actor]
    next_page_token: str
    def __init__(self, actors: _Optional[_Iterable[_Union[Actor, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
