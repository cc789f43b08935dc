from understudy_proto.v1 import workers_pb2 as _workers_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PeerFrame(_message.Message):
    __slots__ = ("hello", "first", "envelopes", "acknowledged", "credit")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    ENVELOPES_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    hello: PeerHello
    first: int
    envelopes: _containers.RepeatedCompositeFieldContainer[PeerEnvelope]
    acknowledged: int
    credit: int
    def __init__(self, hello: _Optional[_Union[PeerHello, _Mapping]] = ..., first: _Optional[int] = ..., envelopes: _Optional[_Iterable[_Union[PeerEnvelope, _Mapping]]] = ..., acknowledged: _Optional[int] = ..., credit: _Optional[int] = ...) -> None: ...

class PeerHello(_message.Message):
    __slots__ = ("cluster", "node", "incarnation", "to_node", "to_incarnation", "proto_min", "proto_max", "memory", "of_memory", "resume_after", "credit")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    TO_NODE_FIELD_NUMBER: _ClassVar[int]
    TO_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    PROTO_MIN_FIELD_NUMBER: _ClassVar[int]
    PROTO_MAX_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    OF_MEMORY_FIELD_NUMBER: _ClassVar[int]
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    node: str
    incarnation: str
    to_node: str
    to_incarnation: str
    proto_min: int
    proto_max: int
    memory: int
    of_memory: int
    resume_after: int
    credit: int
    def __init__(self, cluster: _Optional[str] = ..., node: _Optional[str] = ..., incarnation: _Optional[str] = ..., to_node: _Optional[str] = ..., to_incarnation: _Optional[str] = ..., proto_min: _Optional[int] = ..., proto_max: _Optional[int] = ..., memory: _Optional[int] = ..., of_memory: _Optional[int] = ..., resume_after: _Optional[int] = ..., credit: _Optional[int] = ...) -> None: ...

class PeerEnvelope(_message.Message):
    __slots__ = ("wake", "report", "keeping", "noted", "adopt", "unknown", "stop")
    WAKE_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    KEEPING_FIELD_NUMBER: _ClassVar[int]
    NOTED_FIELD_NUMBER: _ClassVar[int]
    ADOPT_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    wake: PeerWake
    report: PeerReport
    keeping: PeerKeeping
    noted: PeerNoted
    adopt: PeerAdopt
    unknown: PeerUnknown
    stop: PeerStop
    def __init__(self, wake: _Optional[_Union[PeerWake, _Mapping]] = ..., report: _Optional[_Union[PeerReport, _Mapping]] = ..., keeping: _Optional[_Union[PeerKeeping, _Mapping]] = ..., noted: _Optional[_Union[PeerNoted, _Mapping]] = ..., adopt: _Optional[_Union[PeerAdopt, _Mapping]] = ..., unknown: _Optional[_Union[PeerUnknown, _Mapping]] = ..., stop: _Optional[_Union[PeerStop, _Mapping]] = ...) -> None: ...

class PeerWake(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, keys: _Optional[_Iterable[str]] = ...) -> None: ...

class PeerReport(_message.Message):
    __slots__ = ("body",)
    BODY_FIELD_NUMBER: _ClassVar[int]
    body: bytes
    def __init__(self, body: _Optional[bytes] = ...) -> None: ...

class PeerKeeping(_message.Message):
    __slots__ = ("number", "node", "incarnation", "attempts")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    number: int
    node: str
    incarnation: str
    attempts: _containers.RepeatedCompositeFieldContainer[_workers_pb2.AttemptToken]
    def __init__(self, number: _Optional[int] = ..., node: _Optional[str] = ..., incarnation: _Optional[str] = ..., attempts: _Optional[_Iterable[_Union[_workers_pb2.AttemptToken, _Mapping]]] = ...) -> None: ...

class PeerNoted(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class PeerAdopt(_message.Message):
    __slots__ = ("attempts",)
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    attempts: _containers.RepeatedCompositeFieldContainer[_workers_pb2.AttemptToken]
    def __init__(self, attempts: _Optional[_Iterable[_Union[_workers_pb2.AttemptToken, _Mapping]]] = ...) -> None: ...

class PeerUnknown(_message.Message):
    __slots__ = ("attempts",)
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    attempts: _containers.RepeatedCompositeFieldContainer[_workers_pb2.AttemptToken]
    def __init__(self, attempts: _Optional[_Iterable[_Union[_workers_pb2.AttemptToken, _Mapping]]] = ...) -> None: ...

class PeerStop(_message.Message):
    __slots__ = ("attempts",)
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    attempts: _containers.RepeatedCompositeFieldContainer[_workers_pb2.AttemptToken]
    def __init__(self, attempts: _Optional[_Iterable[_Union[_workers_pb2.AttemptToken, _Mapping]]] = ...) -> None: ...
