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
    __slots__ = ("cluster", "node", "incarnation", "to_node", "to_incarnation", "proto_min", "proto_max", "memory", "of_memory", "resume_after", "credit", "lends")
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
    LENDS_FIELD_NUMBER: _ClassVar[int]
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
    lends: bool
    def __init__(self, cluster: _Optional[str] = ..., node: _Optional[str] = ..., incarnation: _Optional[str] = ..., to_node: _Optional[str] = ..., to_incarnation: _Optional[str] = ..., proto_min: _Optional[int] = ..., proto_max: _Optional[int] = ..., memory: _Optional[int] = ..., of_memory: _Optional[int] = ..., resume_after: _Optional[int] = ..., credit: _Optional[int] = ..., lends: _Optional[bool] = ...) -> None: ...

class PeerEnvelope(_message.Message):
    __slots__ = ("wake", "report", "keeping", "noted", "adopt", "unknown", "stop", "taken", "offers", "lend", "decline", "recall")
    WAKE_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    KEEPING_FIELD_NUMBER: _ClassVar[int]
    NOTED_FIELD_NUMBER: _ClassVar[int]
    ADOPT_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    OFFERS_FIELD_NUMBER: _ClassVar[int]
    LEND_FIELD_NUMBER: _ClassVar[int]
    DECLINE_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    wake: PeerWake
    report: PeerReport
    keeping: PeerKeeping
    noted: PeerNoted
    adopt: PeerAdopt
    unknown: PeerUnknown
    stop: PeerStop
    taken: PeerTaken
    offers: PeerOffers
    lend: PeerLend
    decline: PeerDecline
    recall: PeerRecall
    def __init__(self, wake: _Optional[_Union[PeerWake, _Mapping]] = ..., report: _Optional[_Union[PeerReport, _Mapping]] = ..., keeping: _Optional[_Union[PeerKeeping, _Mapping]] = ..., noted: _Optional[_Union[PeerNoted, _Mapping]] = ..., adopt: _Optional[_Union[PeerAdopt, _Mapping]] = ..., unknown: _Optional[_Union[PeerUnknown, _Mapping]] = ..., stop: _Optional[_Union[PeerStop, _Mapping]] = ..., taken: _Optional[_Union[PeerTaken, _Mapping]] = ..., offers: _Optional[_Union[PeerOffers, _Mapping]] = ..., lend: _Optional[_Union[PeerLend, _Mapping]] = ..., decline: _Optional[_Union[PeerDecline, _Mapping]] = ..., recall: _Optional[_Union[PeerRecall, _Mapping]] = ...) -> None: ...

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

class PeerTaken(_message.Message):
    __slots__ = ("attempts",)
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    attempts: _containers.RepeatedCompositeFieldContainer[_workers_pb2.AttemptToken]
    def __init__(self, attempts: _Optional[_Iterable[_Union[_workers_pb2.AttemptToken, _Mapping]]] = ...) -> None: ...

class PeerOffers(_message.Message):
    __slots__ = ("after", "standings")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    STANDINGS_FIELD_NUMBER: _ClassVar[int]
    after: int
    standings: _containers.RepeatedCompositeFieldContainer[PeerStanding]
    def __init__(self, after: _Optional[int] = ..., standings: _Optional[_Iterable[_Union[PeerStanding, _Mapping]]] = ...) -> None: ...

class PeerStanding(_message.Message):
    __slots__ = ("number", "offer", "workers", "slots", "used", "room")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    number: int
    offer: PeerWorkerOffer
    workers: int
    slots: int
    used: int
    room: int
    def __init__(self, number: _Optional[int] = ..., offer: _Optional[_Union[PeerWorkerOffer, _Mapping]] = ..., workers: _Optional[int] = ..., slots: _Optional[int] = ..., used: _Optional[int] = ..., room: _Optional[int] = ...) -> None: ...

class PeerWorkerOffer(_message.Message):
    __slots__ = ("tasks", "slots", "labels", "queues", "namespace")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedScalarFieldContainer[str]
    slots: int
    labels: _containers.RepeatedScalarFieldContainer[str]
    queues: _containers.RepeatedScalarFieldContainer[str]
    namespace: str
    def __init__(self, tasks: _Optional[_Iterable[str]] = ..., slots: _Optional[int] = ..., labels: _Optional[_Iterable[str]] = ..., queues: _Optional[_Iterable[str]] = ..., namespace: _Optional[str] = ...) -> None: ...

class PeerLend(_message.Message):
    __slots__ = ("number", "loans")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    LOANS_FIELD_NUMBER: _ClassVar[int]
    number: int
    loans: _containers.RepeatedCompositeFieldContainer[PeerLoan]
    def __init__(self, number: _Optional[int] = ..., loans: _Optional[_Iterable[_Union[PeerLoan, _Mapping]]] = ...) -> None: ...

class PeerLoan(_message.Message):
    __slots__ = ("dispatch", "since", "waits")
    DISPATCH_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    dispatch: bytes
    since: float
    waits: bool
    def __init__(self, dispatch: _Optional[bytes] = ..., since: _Optional[float] = ..., waits: _Optional[bool] = ...) -> None: ...

class PeerDecline(_message.Message):
    __slots__ = ("attempts",)
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    attempts: _containers.RepeatedCompositeFieldContainer[_workers_pb2.AttemptToken]
    def __init__(self, attempts: _Optional[_Iterable[_Union[_workers_pb2.AttemptToken, _Mapping]]] = ...) -> None: ...

class PeerRecall(_message.Message):
    __slots__ = ("attempts",)
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    attempts: _containers.RepeatedCompositeFieldContainer[_workers_pb2.AttemptToken]
    def __init__(self, attempts: _Optional[_Iterable[_Union[_workers_pb2.AttemptToken, _Mapping]]] = ...) -> None: ...
