import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from understudy_proto.v1 import actors_pb2 as _actors_pb2
from understudy_proto.v1 import values_pb2 as _values_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATUS_UNSPECIFIED: _ClassVar[JobStatus]
    JOB_STATUS_SUBMITTING: _ClassVar[JobStatus]
    JOB_STATUS_FINDING: _ClassVar[JobStatus]
    JOB_STATUS_OPEN: _ClassVar[JobStatus]
    JOB_STATUS_UNCERTAIN: _ClassVar[JobStatus]
    JOB_STATUS_STOPPING: _ClassVar[JobStatus]
JOB_STATUS_UNSPECIFIED: JobStatus
JOB_STATUS_SUBMITTING: JobStatus
JOB_STATUS_FINDING: JobStatus
JOB_STATUS_OPEN: JobStatus
JOB_STATUS_UNCERTAIN: JobStatus
JOB_STATUS_STOPPING: JobStatus

class CompleteJobRequest(_message.Message):
    __slots__ = ("namespace", "token", "result", "failure", "idempotency_key")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    token: str
    result: bytes
    failure: _values_pb2.Failure
    idempotency_key: str
    def __init__(self, namespace: _Optional[str] = ..., token: _Optional[str] = ..., result: _Optional[bytes] = ..., failure: _Optional[_Union[_values_pb2.Failure, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CompleteJobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SettleJobRequest(_message.Message):
    __slots__ = ("namespace", "address", "call", "handle", "absent", "idempotency_key")
    class Absent(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    address: _actors_pb2.Address
    call: int
    handle: bytes
    absent: SettleJobRequest.Absent
    idempotency_key: str
    def __init__(self, namespace: _Optional[str] = ..., address: _Optional[_Union[_actors_pb2.Address, _Mapping]] = ..., call: _Optional[int] = ..., handle: _Optional[bytes] = ..., absent: _Optional[_Union[SettleJobRequest.Absent, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class SettleJobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("namespace", "address", "status", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    address: _actors_pb2.Address
    status: JobStatus
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., address: _Optional[_Union[_actors_pb2.Address, _Mapping]] = ..., status: _Optional[_Union[JobStatus, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("address", "execution", "call", "attempt", "task", "status", "since", "build", "handle", "completion_token")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    address: _actors_pb2.Address
    execution: int
    call: int
    attempt: int
    task: str
    status: JobStatus
    since: _timestamp_pb2.Timestamp
    build: str
    handle: bytes
    completion_token: str
    def __init__(self, address: _Optional[_Union[_actors_pb2.Address, _Mapping]] = ..., execution: _Optional[int] = ..., call: _Optional[int] = ..., attempt: _Optional[int] = ..., task: _Optional[str] = ..., status: _Optional[_Union[JobStatus, str]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., build: _Optional[str] = ..., handle: _Optional[bytes] = ..., completion_token: _Optional[str] = ...) -> None: ...
