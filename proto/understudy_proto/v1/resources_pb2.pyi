import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from understudy_proto.v1 import runs_pb2 as _runs_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AcquireRequest(_message.Message):
    __slots__ = ("namespace", "address", "holder", "units", "exclusive", "priority", "wait", "ttl", "spec", "capacity", "patience")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    address: str
    holder: str
    units: int
    exclusive: bool
    priority: int
    wait: _duration_pb2.Duration
    ttl: _duration_pb2.Duration
    spec: bytes
    capacity: int
    patience: _duration_pb2.Duration
    def __init__(self, namespace: _Optional[str] = ..., address: _Optional[str] = ..., holder: _Optional[str] = ..., units: _Optional[int] = ..., exclusive: _Optional[bool] = ..., priority: _Optional[int] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., spec: _Optional[bytes] = ..., capacity: _Optional[int] = ..., patience: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class AcquireResponse(_message.Message):
    __slots__ = ("granted", "fence", "units", "handle")
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    granted: bool
    fence: int
    units: int
    handle: bytes
    def __init__(self, granted: _Optional[bool] = ..., fence: _Optional[int] = ..., units: _Optional[int] = ..., handle: _Optional[bytes] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("namespace", "address", "holder", "fence", "ttl")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    address: str
    holder: str
    fence: int
    ttl: _duration_pb2.Duration
    def __init__(self, namespace: _Optional[str] = ..., address: _Optional[str] = ..., holder: _Optional[str] = ..., fence: _Optional[int] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class RenewResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("namespace", "address", "holder", "fence")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    address: str
    holder: str
    fence: int
    def __init__(self, namespace: _Optional[str] = ..., address: _Optional[str] = ..., holder: _Optional[str] = ..., fence: _Optional[int] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetResourceRequest(_message.Message):
    __slots__ = ("namespace", "address")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    address: str
    def __init__(self, namespace: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class GetResourceResponse(_message.Message):
    __slots__ = ("resource",)
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    resource: Resource
    def __init__(self, resource: _Optional[_Union[Resource, _Mapping]] = ...) -> None: ...

class Resource(_message.Message):
    __slots__ = ("key", "type", "state", "description", "since")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    key: str
    type: str
    state: str
    description: bytes
    since: _timestamp_pb2.Timestamp
    def __init__(self, key: _Optional[str] = ..., type: _Optional[str] = ..., state: _Optional[str] = ..., description: _Optional[bytes] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListResourcesRequest(_message.Message):
    __slots__ = ("namespace", "kind", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    kind: str
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., kind: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListResourcesResponse(_message.Message):
    __slots__ = ("resources", "next_page_token")
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    resources: _containers.RepeatedCompositeFieldContainer[Resource]
    next_page_token: str
    def __init__(self, resources: _Optional[_Iterable[_Union[Resource, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListResourceTurnsRequest(_message.Message):
    __slots__ = ("namespace", "address", "after_seq", "page_size")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    address: str
    after_seq: int
    page_size: int
    def __init__(self, namespace: _Optional[str] = ..., address: _Optional[str] = ..., after_seq: _Optional[int] = ..., page_size: _Optional[int] = ...) -> None: ...

class ListResourceTurnsResponse(_message.Message):
    __slots__ = ("turns",)
    TURNS_FIELD_NUMBER: _ClassVar[int]
    turns: _containers.RepeatedCompositeFieldContainer[_runs_pb2.Turn]
    def __init__(self, turns: _Optional[_Iterable[_Union[_runs_pb2.Turn, _Mapping]]] = ...) -> None: ...

class OperateResourceRequest(_message.Message):
    __slots__ = ("namespace", "address", "by", "note", "idempotency_key", "drain", "resume", "destroy", "capacity", "settle")
    class Drain(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Resume(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Destroy(_message.Message):
        __slots__ = ("force",)
        FORCE_FIELD_NUMBER: _ClassVar[int]
        force: bool
        def __init__(self, force: _Optional[bool] = ...) -> None: ...
    class Capacity(_message.Message):
        __slots__ = ("units",)
        UNITS_FIELD_NUMBER: _ClassVar[int]
        units: int
        def __init__(self, units: _Optional[int] = ...) -> None: ...
    class Settle(_message.Message):
        __slots__ = ("outcome", "handle")
        OUTCOME_FIELD_NUMBER: _ClassVar[int]
        HANDLE_FIELD_NUMBER: _ClassVar[int]
        outcome: str
        handle: bytes
        def __init__(self, outcome: _Optional[str] = ..., handle: _Optional[bytes] = ...) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    DESTROY_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    SETTLE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    address: str
    by: str
    note: str
    idempotency_key: str
    drain: OperateResourceRequest.Drain
    resume: OperateResourceRequest.Resume
    destroy: OperateResourceRequest.Destroy
    capacity: OperateResourceRequest.Capacity
    settle: OperateResourceRequest.Settle
    def __init__(self, namespace: _Optional[str] = ..., address: _Optional[str] = ..., by: _Optional[str] = ..., note: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., drain: _Optional[_Union[OperateResourceRequest.Drain, _Mapping]] = ..., resume: _Optional[_Union[OperateResourceRequest.Resume, _Mapping]] = ..., destroy: _Optional[_Union[OperateResourceRequest.Destroy, _Mapping]] = ..., capacity: _Optional[_Union[OperateResourceRequest.Capacity, _Mapping]] = ..., settle: _Optional[_Union[OperateResourceRequest.Settle, _Mapping]] = ...) -> None: ...

class OperateResourceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
