import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NodeStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NODE_STATUS_UNSPECIFIED: _ClassVar[NodeStatus]
    NODE_STATUS_ACTIVE: _ClassVar[NodeStatus]
    NODE_STATUS_BLOCKED: _ClassVar[NodeStatus]
    NODE_STATUS_DRAINING: _ClassVar[NodeStatus]
    NODE_STATUS_LOST: _ClassVar[NodeStatus]

class WorkerStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKER_STATUS_UNSPECIFIED: _ClassVar[WorkerStatus]
    WORKER_STATUS_ACTIVE: _ClassVar[WorkerStatus]
    WORKER_STATUS_BLOCKED: _ClassVar[WorkerStatus]
    WORKER_STATUS_AWAY: _ClassVar[WorkerStatus]
    WORKER_STATUS_LEAVING: _ClassVar[WorkerStatus]
    WORKER_STATUS_LOST: _ClassVar[WorkerStatus]

class DefinitionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEFINITION_KIND_UNSPECIFIED: _ClassVar[DefinitionKind]
    DEFINITION_KIND_WORKFLOW: _ClassVar[DefinitionKind]
    DEFINITION_KIND_ACTOR: _ClassVar[DefinitionKind]
    DEFINITION_KIND_TASK: _ClassVar[DefinitionKind]
NODE_STATUS_UNSPECIFIED: NodeStatus
NODE_STATUS_ACTIVE: NodeStatus
NODE_STATUS_BLOCKED: NodeStatus
NODE_STATUS_DRAINING: NodeStatus
NODE_STATUS_LOST: NodeStatus
WORKER_STATUS_UNSPECIFIED: WorkerStatus
WORKER_STATUS_ACTIVE: WorkerStatus
WORKER_STATUS_BLOCKED: WorkerStatus
WORKER_STATUS_AWAY: WorkerStatus
WORKER_STATUS_LEAVING: WorkerStatus
WORKER_STATUS_LOST: WorkerStatus
DEFINITION_KIND_UNSPECIFIED: DefinitionKind
DEFINITION_KIND_WORKFLOW: DefinitionKind
DEFINITION_KIND_ACTOR: DefinitionKind
DEFINITION_KIND_TASK: DefinitionKind

class ListNodesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListNodesResponse(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    def __init__(self, nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("node_id", "address", "status", "started_at", "build", "version", "resident_actors", "open_attempts", "open_calls", "turns", "trouble", "workers", "waiting", "shards")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_ACTORS_FIELD_NUMBER: _ClassVar[int]
    OPEN_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    OPEN_CALLS_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    address: str
    status: NodeStatus
    started_at: _timestamp_pb2.Timestamp
    build: str
    version: str
    resident_actors: int
    open_attempts: int
    open_calls: int
    turns: int
    trouble: str
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    waiting: _containers.RepeatedCompositeFieldContainer[WaitingTasks]
    shards: int
    def __init__(self, node_id: _Optional[str] = ..., address: _Optional[str] = ..., status: _Optional[_Union[NodeStatus, str]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., build: _Optional[str] = ..., version: _Optional[str] = ..., resident_actors: _Optional[int] = ..., open_attempts: _Optional[int] = ..., open_calls: _Optional[int] = ..., turns: _Optional[int] = ..., trouble: _Optional[str] = ..., workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ..., waiting: _Optional[_Iterable[_Union[WaitingTasks, _Mapping]]] = ..., shards: _Optional[int] = ...) -> None: ...

class ListShardsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListShardsResponse(_message.Message):
    __slots__ = ("shards",)
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    shards: _containers.RepeatedCompositeFieldContainer[Shard]
    def __init__(self, shards: _Optional[_Iterable[_Union[Shard, _Mapping]]] = ...) -> None: ...

class Shard(_message.Message):
    __slots__ = ("shard_id", "node_id", "term", "writer", "head")
    SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    shard_id: int
    node_id: str
    term: int
    writer: str
    head: int
    def __init__(self, shard_id: _Optional[int] = ..., node_id: _Optional[str] = ..., term: _Optional[int] = ..., writer: _Optional[str] = ..., head: _Optional[int] = ...) -> None: ...

class Worker(_message.Message):
    __slots__ = ("worker_id", "name", "status", "slots", "used", "queues", "labels", "build", "agent", "joined_at", "blocked_since", "blocked_task", "blocked_at", "trouble")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    JOINED_AT_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_SINCE_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_TASK_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_AT_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    name: str
    status: WorkerStatus
    slots: int
    used: int
    queues: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.RepeatedScalarFieldContainer[str]
    build: str
    agent: str
    joined_at: _timestamp_pb2.Timestamp
    blocked_since: _timestamp_pb2.Timestamp
    blocked_task: str
    blocked_at: str
    trouble: str
    def __init__(self, worker_id: _Optional[str] = ..., name: _Optional[str] = ..., status: _Optional[_Union[WorkerStatus, str]] = ..., slots: _Optional[int] = ..., used: _Optional[int] = ..., queues: _Optional[_Iterable[str]] = ..., labels: _Optional[_Iterable[str]] = ..., build: _Optional[str] = ..., agent: _Optional[str] = ..., joined_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., blocked_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., blocked_task: _Optional[str] = ..., blocked_at: _Optional[str] = ..., trouble: _Optional[str] = ...) -> None: ...

class WaitingTasks(_message.Message):
    __slots__ = ("task", "queue", "namespace", "slots", "labels", "count", "since", "workers")
    TASK_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    task: str
    queue: str
    namespace: str
    slots: int
    labels: _containers.RepeatedScalarFieldContainer[str]
    count: int
    since: _timestamp_pb2.Timestamp
    workers: int
    def __init__(self, task: _Optional[str] = ..., queue: _Optional[str] = ..., namespace: _Optional[str] = ..., slots: _Optional[int] = ..., labels: _Optional[_Iterable[str]] = ..., count: _Optional[int] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., workers: _Optional[int] = ...) -> None: ...

class DrainNodeRequest(_message.Message):
    __slots__ = ("node_id", "grace")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    grace: _duration_pb2.Duration
    def __init__(self, node_id: _Optional[str] = ..., grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DrainNodeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDefinitionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDefinitionsResponse(_message.Message):
    __slots__ = ("definitions",)
    DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    definitions: _containers.RepeatedCompositeFieldContainer[Definition]
    def __init__(self, definitions: _Optional[_Iterable[_Union[Definition, _Mapping]]] = ...) -> None: ...

class Definition(_message.Message):
    __slots__ = ("kind", "name", "app", "signature", "handlers")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    APP_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    HANDLERS_FIELD_NUMBER: _ClassVar[int]
    kind: DefinitionKind
    name: str
    app: str
    signature: str
    handlers: _containers.RepeatedCompositeFieldContainer[Handler]
    def __init__(self, kind: _Optional[_Union[DefinitionKind, str]] = ..., name: _Optional[str] = ..., app: _Optional[str] = ..., signature: _Optional[str] = ..., handlers: _Optional[_Iterable[_Union[Handler, _Mapping]]] = ...) -> None: ...

class Handler(_message.Message):
    __slots__ = ("name", "readonly", "signature")
    NAME_FIELD_NUMBER: _ClassVar[int]
    READONLY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    name: str
    readonly: bool
    signature: str
    def __init__(self, name: _Optional[str] = ..., readonly: _Optional[bool] = ..., signature: _Optional[str] = ...) -> None: ...
