import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from understudy_proto.v1 import values_pb2 as _values_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorkRequest(_message.Message):
    __slots__ = ("hello", "credits", "results", "given_back", "progress", "health", "leaving")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    GIVEN_BACK_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    credits: int
    results: _containers.RepeatedCompositeFieldContainer[AttemptResult]
    given_back: _containers.RepeatedCompositeFieldContainer[GivenBack]
    progress: _containers.RepeatedCompositeFieldContainer[AttemptProgress]
    health: WorkerHealth
    leaving: bool
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., credits: _Optional[int] = ..., results: _Optional[_Iterable[_Union[AttemptResult, _Mapping]]] = ..., given_back: _Optional[_Iterable[_Union[GivenBack, _Mapping]]] = ..., progress: _Optional[_Iterable[_Union[AttemptProgress, _Mapping]]] = ..., health: _Optional[_Union[WorkerHealth, _Mapping]] = ..., leaving: _Optional[bool] = ...) -> None: ...

class WorkResponse(_message.Message):
    __slots__ = ("welcome", "dispatches", "cancels", "settled", "drain")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    DISPATCHES_FIELD_NUMBER: _ClassVar[int]
    CANCELS_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    dispatches: _containers.RepeatedCompositeFieldContainer[Dispatch]
    cancels: _containers.RepeatedCompositeFieldContainer[CancelAttempt]
    settled: _containers.RepeatedCompositeFieldContainer[Settled]
    drain: Drain
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., dispatches: _Optional[_Iterable[_Union[Dispatch, _Mapping]]] = ..., cancels: _Optional[_Iterable[_Union[CancelAttempt, _Mapping]]] = ..., settled: _Optional[_Iterable[_Union[Settled, _Mapping]]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("worker_id", "name", "protocol_min", "protocol_max", "namespace", "queues", "tasks", "slots", "labels", "build", "agent", "holds")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MIN_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MAX_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    name: str
    protocol_min: int
    protocol_max: int
    namespace: str
    queues: _containers.RepeatedScalarFieldContainer[str]
    tasks: _containers.RepeatedScalarFieldContainer[str]
    slots: int
    labels: _containers.ScalarMap[str, str]
    build: str
    agent: str
    holds: _containers.RepeatedCompositeFieldContainer[AttemptToken]
    def __init__(self, worker_id: _Optional[str] = ..., name: _Optional[str] = ..., protocol_min: _Optional[int] = ..., protocol_max: _Optional[int] = ..., namespace: _Optional[str] = ..., queues: _Optional[_Iterable[str]] = ..., tasks: _Optional[_Iterable[str]] = ..., slots: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., build: _Optional[str] = ..., agent: _Optional[str] = ..., holds: _Optional[_Iterable[_Union[AttemptToken, _Mapping]]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("node_id", "protocol", "heartbeat", "session_timeout", "max_request_bytes", "stale")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    SESSION_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    protocol: int
    heartbeat: _duration_pb2.Duration
    session_timeout: _duration_pb2.Duration
    max_request_bytes: int
    stale: _containers.RepeatedCompositeFieldContainer[AttemptToken]
    def __init__(self, node_id: _Optional[str] = ..., protocol: _Optional[int] = ..., heartbeat: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., session_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_request_bytes: _Optional[int] = ..., stale: _Optional[_Iterable[_Union[AttemptToken, _Mapping]]] = ...) -> None: ...

class AttemptToken(_message.Message):
    __slots__ = ("key", "execution", "call", "attempt", "dispatch")
    KEY_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_FIELD_NUMBER: _ClassVar[int]
    key: str
    execution: int
    call: int
    attempt: int
    dispatch: int
    def __init__(self, key: _Optional[str] = ..., execution: _Optional[int] = ..., call: _Optional[int] = ..., attempt: _Optional[int] = ..., dispatch: _Optional[int] = ...) -> None: ...

class Dispatch(_message.Message):
    __slots__ = ("token", "task", "arguments", "idempotency_key", "timeout", "heartbeat_timeout", "progress", "slots", "final_errors", "own_process", "memory_limit_bytes", "build")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    FINAL_ERRORS_FIELD_NUMBER: _ClassVar[int]
    OWN_PROCESS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    token: AttemptToken
    task: str
    arguments: bytes
    idempotency_key: str
    timeout: _duration_pb2.Duration
    heartbeat_timeout: _duration_pb2.Duration
    progress: bytes
    slots: int
    final_errors: _containers.RepeatedScalarFieldContainer[str]
    own_process: bool
    memory_limit_bytes: int
    build: str
    def __init__(self, token: _Optional[_Union[AttemptToken, _Mapping]] = ..., task: _Optional[str] = ..., arguments: _Optional[bytes] = ..., idempotency_key: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., heartbeat_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., progress: _Optional[bytes] = ..., slots: _Optional[int] = ..., final_errors: _Optional[_Iterable[str]] = ..., own_process: _Optional[bool] = ..., memory_limit_bytes: _Optional[int] = ..., build: _Optional[str] = ...) -> None: ...

class AttemptResult(_message.Message):
    __slots__ = ("token", "result", "failure", "started_at", "ended_at")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    token: AttemptToken
    result: bytes
    failure: _values_pb2.Failure
    started_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    def __init__(self, token: _Optional[_Union[AttemptToken, _Mapping]] = ..., result: _Optional[bytes] = ..., failure: _Optional[_Union[_values_pb2.Failure, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GivenBack(_message.Message):
    __slots__ = ("token", "reason")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    token: AttemptToken
    reason: str
    def __init__(self, token: _Optional[_Union[AttemptToken, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class AttemptProgress(_message.Message):
    __slots__ = ("token", "progress")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    token: AttemptToken
    progress: bytes
    def __init__(self, token: _Optional[_Union[AttemptToken, _Mapping]] = ..., progress: _Optional[bytes] = ...) -> None: ...

class WorkerHealth(_message.Message):
    __slots__ = ("blocked_for", "blocked_by", "blocked_at")
    BLOCKED_FOR_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_BY_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_AT_FIELD_NUMBER: _ClassVar[int]
    blocked_for: _duration_pb2.Duration
    blocked_by: AttemptToken
    blocked_at: str
    def __init__(self, blocked_for: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., blocked_by: _Optional[_Union[AttemptToken, _Mapping]] = ..., blocked_at: _Optional[str] = ...) -> None: ...

class CancelAttempt(_message.Message):
    __slots__ = ("token", "reason")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    token: AttemptToken
    reason: str
    def __init__(self, token: _Optional[_Union[AttemptToken, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class Settled(_message.Message):
    __slots__ = ("token", "stale")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    token: AttemptToken
    stale: bool
    def __init__(self, token: _Optional[_Union[AttemptToken, _Mapping]] = ..., stale: _Optional[bool] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("grace", "addresses")
    GRACE_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    grace: _duration_pb2.Duration
    addresses: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., addresses: _Optional[_Iterable[str]] = ...) -> None: ...
