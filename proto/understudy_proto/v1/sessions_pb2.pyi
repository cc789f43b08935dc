import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from understudy_proto.v1 import actors_pb2 as _actors_pb2
from understudy_proto.v1 import jobs_pb2 as _jobs_pb2
from understudy_proto.v1 import resources_pb2 as _resources_pb2
from understudy_proto.v1 import runs_pb2 as _runs_pb2
from understudy_proto.v1 import schedules_pb2 as _schedules_pb2
from understudy_proto.v1 import values_pb2 as _values_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CallsRequest(_message.Message):
    __slots__ = ("calls", "abandoned")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    ABANDONED_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[Call]
    abandoned: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, calls: _Optional[_Iterable[_Union[Call, _Mapping]]] = ..., abandoned: _Optional[_Iterable[int]] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("number", "start_run", "wait_run", "tell", "ask", "get_run", "cancel_run", "terminate_run", "release_run", "retry_run", "start_and_wait", "set_schedule", "get_schedule", "pause_schedule", "resume_schedule", "trigger_schedule", "backfill_schedule", "delete_schedule", "complete_job", "settle_job", "acquire", "renew", "release", "get_resource", "operate_resource")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    START_RUN_FIELD_NUMBER: _ClassVar[int]
    WAIT_RUN_FIELD_NUMBER: _ClassVar[int]
    TELL_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    GET_RUN_FIELD_NUMBER: _ClassVar[int]
    CANCEL_RUN_FIELD_NUMBER: _ClassVar[int]
    TERMINATE_RUN_FIELD_NUMBER: _ClassVar[int]
    RELEASE_RUN_FIELD_NUMBER: _ClassVar[int]
    RETRY_RUN_FIELD_NUMBER: _ClassVar[int]
    START_AND_WAIT_FIELD_NUMBER: _ClassVar[int]
    SET_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    GET_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    PAUSE_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    RESUME_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    DELETE_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_JOB_FIELD_NUMBER: _ClassVar[int]
    SETTLE_JOB_FIELD_NUMBER: _ClassVar[int]
    ACQUIRE_FIELD_NUMBER: _ClassVar[int]
    RENEW_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    GET_RESOURCE_FIELD_NUMBER: _ClassVar[int]
    OPERATE_RESOURCE_FIELD_NUMBER: _ClassVar[int]
    number: int
    start_run: _runs_pb2.StartRunRequest
    wait_run: _runs_pb2.WaitRunRequest
    tell: _actors_pb2.TellRequest
    ask: _actors_pb2.AskRequest
    get_run: _runs_pb2.GetRunRequest
    cancel_run: _runs_pb2.CancelRunRequest
    terminate_run: _runs_pb2.TerminateRunRequest
    release_run: _runs_pb2.ReleaseRunRequest
    retry_run: _runs_pb2.RetryRunRequest
    start_and_wait: _runs_pb2.StartAndWaitRequest
    set_schedule: _schedules_pb2.SetScheduleRequest
    get_schedule: _schedules_pb2.GetScheduleRequest
    pause_schedule: _schedules_pb2.PauseScheduleRequest
    resume_schedule: _schedules_pb2.ResumeScheduleRequest
    trigger_schedule: _schedules_pb2.TriggerScheduleRequest
    backfill_schedule: _schedules_pb2.BackfillScheduleRequest
    delete_schedule: _schedules_pb2.DeleteScheduleRequest
    complete_job: _jobs_pb2.CompleteJobRequest
    settle_job: _jobs_pb2.SettleJobRequest
    acquire: _resources_pb2.AcquireRequest
    renew: _resources_pb2.RenewRequest
    release: _resources_pb2.ReleaseRequest
    get_resource: _resources_pb2.GetResourceRequest
    operate_resource: _resources_pb2.OperateResourceRequest
    def __init__(self, number: _Optional[int] = ..., start_run: _Optional[_Union[_runs_pb2.StartRunRequest, _Mapping]] = ..., wait_run: _Optional[_Union[_runs_pb2.WaitRunRequest, _Mapping]] = ..., tell: _Optional[_Union[_actors_pb2.TellRequest, _Mapping]] = ..., ask: _Optional[_Union[_actors_pb2.AskRequest, _Mapping]] = ..., get_run: _Optional[_Union[_runs_pb2.GetRunRequest, _Mapping]] = ..., cancel_run: _Optional[_Union[_runs_pb2.CancelRunRequest, _Mapping]] = ..., terminate_run: _Optional[_Union[_runs_pb2.TerminateRunRequest, _Mapping]] = ..., release_run: _Optional[_Union[_runs_pb2.ReleaseRunRequest, _Mapping]] = ..., retry_run: _Optional[_Union[_runs_pb2.RetryRunRequest, _Mapping]] = ..., start_and_wait: _Optional[_Union[_runs_pb2.StartAndWaitRequest, _Mapping]] = ..., set_schedule: _Optional[_Union[_schedules_pb2.SetScheduleRequest, _Mapping]] = ..., get_schedule: _Optional[_Union[_schedules_pb2.GetScheduleRequest, _Mapping]] = ..., pause_schedule: _Optional[_Union[_schedules_pb2.PauseScheduleRequest, _Mapping]] = ..., resume_schedule: _Optional[_Union[_schedules_pb2.ResumeScheduleRequest, _Mapping]] = ..., trigger_schedule: _Optional[_Union[_schedules_pb2.TriggerScheduleRequest, _Mapping]] = ..., backfill_schedule: _Optional[_Union[_schedules_pb2.BackfillScheduleRequest, _Mapping]] = ..., delete_schedule: _Optional[_Union[_schedules_pb2.DeleteScheduleRequest, _Mapping]] = ..., complete_job: _Optional[_Union[_jobs_pb2.CompleteJobRequest, _Mapping]] = ..., settle_job: _Optional[_Union[_jobs_pb2.SettleJobRequest, _Mapping]] = ..., acquire: _Optional[_Union[_resources_pb2.AcquireRequest, _Mapping]] = ..., renew: _Optional[_Union[_resources_pb2.RenewRequest, _Mapping]] = ..., release: _Optional[_Union[_resources_pb2.ReleaseRequest, _Mapping]] = ..., get_resource: _Optional[_Union[_resources_pb2.GetResourceRequest, _Mapping]] = ..., operate_resource: _Optional[_Union[_resources_pb2.OperateResourceRequest, _Mapping]] = ...) -> None: ...

class CallsResponse(_message.Message):
    __slots__ = ("results", "limits")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[CallResult]
    limits: SessionLimits
    def __init__(self, results: _Optional[_Iterable[_Union[CallResult, _Mapping]]] = ..., limits: _Optional[_Union[SessionLimits, _Mapping]] = ...) -> None: ...

class CallResult(_message.Message):
    __slots__ = ("number", "error", "start_run", "wait_run", "tell", "ask", "get_run", "cancel_run", "terminate_run", "release_run", "retry_run", "start_and_wait", "set_schedule", "get_schedule", "pause_schedule", "resume_schedule", "trigger_schedule", "backfill_schedule", "delete_schedule", "complete_job", "settle_job", "acquire", "renew", "release", "get_resource", "operate_resource")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    START_RUN_FIELD_NUMBER: _ClassVar[int]
    WAIT_RUN_FIELD_NUMBER: _ClassVar[int]
    TELL_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    GET_RUN_FIELD_NUMBER: _ClassVar[int]
    CANCEL_RUN_FIELD_NUMBER: _ClassVar[int]
    TERMINATE_RUN_FIELD_NUMBER: _ClassVar[int]
    RELEASE_RUN_FIELD_NUMBER: _ClassVar[int]
    RETRY_RUN_FIELD_NUMBER: _ClassVar[int]
    START_AND_WAIT_FIELD_NUMBER: _ClassVar[int]
    SET_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    GET_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    PAUSE_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    RESUME_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    DELETE_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_JOB_FIELD_NUMBER: _ClassVar[int]
    SETTLE_JOB_FIELD_NUMBER: _ClassVar[int]
    ACQUIRE_FIELD_NUMBER: _ClassVar[int]
    RENEW_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    GET_RESOURCE_FIELD_NUMBER: _ClassVar[int]
    OPERATE_RESOURCE_FIELD_NUMBER: _ClassVar[int]
    number: int
    error: _values_pb2.Error
    start_run: _runs_pb2.StartRunResponse
    wait_run: _runs_pb2.WaitRunResponse
    tell: _actors_pb2.TellResponse
    ask: _actors_pb2.AskResponse
    get_run: _runs_pb2.GetRunResponse
    cancel_run: _runs_pb2.CancelRunResponse
    terminate_run: _runs_pb2.TerminateRunResponse
    release_run: _runs_pb2.ReleaseRunResponse
    retry_run: _runs_pb2.RetryRunResponse
    start_and_wait: _runs_pb2.StartAndWaitResponse
    set_schedule: _schedules_pb2.SetScheduleResponse
    get_schedule: _schedules_pb2.GetScheduleResponse
    pause_schedule: _schedules_pb2.PauseScheduleResponse
    resume_schedule: _schedules_pb2.ResumeScheduleResponse
    trigger_schedule: _schedules_pb2.TriggerScheduleResponse
    backfill_schedule: _schedules_pb2.BackfillScheduleResponse
    delete_schedule: _schedules_pb2.DeleteScheduleResponse
    complete_job: _jobs_pb2.CompleteJobResponse
    settle_job: _jobs_pb2.SettleJobResponse
    acquire: _resources_pb2.AcquireResponse
    renew: _resources_pb2.RenewResponse
    release: _resources_pb2.ReleaseResponse
    get_resource: _resources_pb2.GetResourceResponse
    operate_resource: _resources_pb2.OperateResourceResponse
    def __init__(self, number: _Optional[int] = ..., error: _Optional[_Union[_values_pb2.Error, _Mapping]] = ..., start_run: _Optional[_Union[_runs_pb2.StartRunResponse, _Mapping]] = ..., wait_run: _Optional[_Union[_runs_pb2.WaitRunResponse, _Mapping]] = ..., tell: _Optional[_Union[_actors_pb2.TellResponse, _Mapping]] = ..., ask: _Optional[_Union[_actors_pb2.AskResponse, _Mapping]] = ..., get_run: _Optional[_Union[_runs_pb2.GetRunResponse, _Mapping]] = ..., cancel_run: _Optional[_Union[_runs_pb2.CancelRunResponse, _Mapping]] = ..., terminate_run: _Optional[_Union[_runs_pb2.TerminateRunResponse, _Mapping]] = ..., release_run: _Optional[_Union[_runs_pb2.ReleaseRunResponse, _Mapping]] = ..., retry_run: _Optional[_Union[_runs_pb2.RetryRunResponse, _Mapping]] = ..., start_and_wait: _Optional[_Union[_runs_pb2.StartAndWaitResponse, _Mapping]] = ..., set_schedule: _Optional[_Union[_schedules_pb2.SetScheduleResponse, _Mapping]] = ..., get_schedule: _Optional[_Union[_schedules_pb2.GetScheduleResponse, _Mapping]] = ..., pause_schedule: _Optional[_Union[_schedules_pb2.PauseScheduleResponse, _Mapping]] = ..., resume_schedule: _Optional[_Union[_schedules_pb2.ResumeScheduleResponse, _Mapping]] = ..., trigger_schedule: _Optional[_Union[_schedules_pb2.TriggerScheduleResponse, _Mapping]] = ..., backfill_schedule: _Optional[_Union[_schedules_pb2.BackfillScheduleResponse, _Mapping]] = ..., delete_schedule: _Optional[_Union[_schedules_pb2.DeleteScheduleResponse, _Mapping]] = ..., complete_job: _Optional[_Union[_jobs_pb2.CompleteJobResponse, _Mapping]] = ..., settle_job: _Optional[_Union[_jobs_pb2.SettleJobResponse, _Mapping]] = ..., acquire: _Optional[_Union[_resources_pb2.AcquireResponse, _Mapping]] = ..., renew: _Optional[_Union[_resources_pb2.RenewResponse, _Mapping]] = ..., release: _Optional[_Union[_resources_pb2.ReleaseResponse, _Mapping]] = ..., get_resource: _Optional[_Union[_resources_pb2.GetResourceResponse, _Mapping]] = ..., operate_resource: _Optional[_Union[_resources_pb2.OperateResourceResponse, _Mapping]] = ...) -> None: ...

class SessionLimits(_message.Message):
    __slots__ = ("max_open_calls", "max_request_bytes", "keepalive")
    MAX_OPEN_CALLS_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    KEEPALIVE_FIELD_NUMBER: _ClassVar[int]
    max_open_calls: int
    max_request_bytes: int
    keepalive: _duration_pb2.Duration
    def __init__(self, max_open_calls: _Optional[int] = ..., max_request_bytes: _Optional[int] = ..., keepalive: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
