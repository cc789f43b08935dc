"""What each call of JobService does: a part of `Calls`; and what it says on the wire."""

from __future__ import annotations

from typing import Final, cast

import msgspec
from msgspec import Raw

from understudy.door import JobStatus, JobSummary
from understudy.errors import BadInput, BadRequest
from understudy.failures import FailureFields
from understudy_proto.v1 import actors_pb2, jobs_pb2, values_pb2
from understudy_runtime.rpc import wire
from understudy_runtime.rpc.limits import MAX_NAME_CHARS, MAX_TEXT_CHARS, PAGE_BYTES
from understudy_runtime.rpc.ports import JobPlace, ServedDoor


class JobCalls:
    """Named after the methods of the service; the errors they raise are for `errors.refusal`."""

    def _door(self, namespace: str) -> ServedDoor:
        raise NotImplementedError

    async def complete_job(self, request: jobs_pb2.CompleteJobRequest) -> jobs_pb2.CompleteJobResponse:
        door, key = self._door(request.namespace), wire.key(request.idempotency_key)
        result, failure = None, None
        match request.WhichOneof("outcome"):
            case "result":
                result = wire.value(request.result or b"null", "the result")
            case "failure":
                failure = _failure(request.failure)
            case _:
                raise BadRequest("an outcome is needed: the result, or the failure")
        await door.complete_job(request.token, result, failure, idempotency_key=key)
        return jobs_pb2.CompleteJobResponse()

    async def settle_job(self, request: jobs_pb2.SettleJobRequest) -> jobs_pb2.SettleJobResponse:
        door, key = self._door(request.namespace), wire.key(request.idempotency_key)
        handle: bytes | None = None
        match request.WhichOneof("outcome"):
            case "handle":
                handle = wire.value(request.handle, "the handle")
                if msgspec.json.decode(handle) is None:
                    raise BadRequest("null is no handle; say `absent` if there is no such job")
            case "absent":
                pass
            case _:
                raise BadRequest("an outcome is needed: the job's handle, or absent")
        await door.settle_job(wire.address(request.address), request.call, handle, idempotency_key=key)
        return jobs_pb2.SettleJobResponse()

    async def list_jobs(self, request: jobs_pb2.ListJobsRequest) -> jobs_pb2.ListJobsResponse:
        found, goes_on_at = await self._door(request.namespace).job_page(
            wire.address(request.address) if request.HasField("address") else "",
            status=_status(request.status),
            limit=wire.page_size(request.page_size),
            after=_place(request.page_token),
        )
        page: list[jobs_pb2.Job] = []
        size = 0
        for place, summary in found:
            page.append(_job(summary))
            size += page[-1].ByteSize()
            if size > PAGE_BYTES and len(page) < len(found):
                goes_on_at = place
                break
        token = "" if goes_on_at is None else wire.token(goes_on_at)
        return jobs_pb2.ListJobsResponse(jobs=page, next_page_token=token)


def _failure(said: values_pb2.Failure) -> FailureFields:
    arguments = Raw(wire.value(said.arguments, "the failure's arguments")) if said.arguments else None
    return FailureFields(
        said.type[:MAX_NAME_CHARS] or "Error",
        said.message[:MAX_TEXT_CHARS],
        said.traceback[-MAX_TEXT_CHARS:],
        arguments,
        "timeout" if said.kind == values_pb2.FAILURE_KIND_TIMEOUT else "error",
        said.final,
    )


def _job(summary: JobSummary) -> jobs_pb2.Job:
    kind, _, name = summary.address.partition("/")
    return jobs_pb2.Job(
        address=actors_pb2.Address(kind=kind, id=name),
        execution=summary.execution,
        call=summary.call,
        attempt=summary.attempt,
        task=summary.task,
        status=_CODES[summary.status],
        since=wire.timestamp(summary.since),
        build=summary.build,
        handle=b"" if summary.handle is None else msgspec.json.encode(summary.handle),
        completion_token=summary.token,
    )


def _status(value: jobs_pb2.JobStatus) -> str:
    if value == jobs_pb2.JOB_STATUS_UNSPECIFIED:
        return ""
    if value not in _STATUSES:
        raise BadInput(f"{value} is not a status of jobs")
    return _STATUSES[value]


def _place(token: str) -> JobPlace | None:
    return None if not token else wire.from_token(token, JobPlace)


_STATUSES: Final[dict[jobs_pb2.JobStatus, JobStatus]] = {
    cast("jobs_pb2.JobStatus", value): cast("JobStatus", name.removeprefix("JOB_STATUS_").lower())
    for name, value in jobs_pb2.JobStatus.items()
    if value != jobs_pb2.JOB_STATUS_UNSPECIFIED
}
_CODES: Final[dict[JobStatus, jobs_pb2.JobStatus]] = {status: code for code, status in _STATUSES.items()}
