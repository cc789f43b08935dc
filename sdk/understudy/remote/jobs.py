"""Jobs at a remote node: the part of `RemoteDoor` that lists, completes and settles them."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from understudy.door import JOB_STATUSES, JobStatus, JobSummary
from understudy.errors import BadInput
from understudy.failures import FailureFields
from understudy.remote import wire
from understudy.remote.session import Session
from understudy_proto.v1 import jobs_pb2

MAX_PAGE: Final = 1_000


class RemoteJobs:
    _session: Session
    _namespace: str

    async def complete_job(self, token: str, result: bytes | None, failure: FailureFields | None) -> None:
        request = jobs_pb2.CompleteJobRequest(
            namespace=self._namespace, token=_text(token), idempotency_key=self._session.key()
        )
        if failure is None:
            request.result = result or b"null"
        else:
            request.failure.CopyFrom(wire.to_failure(failure))
        await self._session.call("complete_job", request)

    async def settle_job(self, address: str, call: int, handle: bytes | None) -> None:
        request = jobs_pb2.SettleJobRequest(
            namespace=self._namespace, address=wire.address(address), call=call, idempotency_key=self._session.key()
        )
        if handle is None:
            request.absent.SetInParent()
        else:
            request.handle = handle
        await self._session.call("settle_job", request)

    async def list_jobs(self, address: str, *, status: str, limit: int) -> list[JobSummary]:
        found: list[JobSummary] = []
        request = jobs_pb2.ListJobsRequest(
            namespace=self._namespace, address=wire.address(address) if address else None, status=_filter(status)
        )
        while len(found) < limit:
            request.page_size = min(limit - len(found), MAX_PAGE)
            page = await self._unary("JobService/ListJobs", request, jobs_pb2.ListJobsResponse)
            found += [_summary(job) for job in page.jobs]
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        return found

    async def _unary(self, method: str, request: Any, response: Any) -> Any:
        raise NotImplementedError


def _summary(job: jobs_pb2.Job) -> JobSummary:
    return JobSummary(
        f"{job.address.kind}/{job.address.id}",
        job.execution,
        job.call,
        job.attempt,
        job.task,
        _STATUSES.get(job.status, "open"),
        wire.seconds(job.since),
        job.build,
        msgspec.json.decode(job.handle) if job.handle else None,
        job.completion_token,
    )


def _text(token: str) -> str:
    """Tokens are ASCII; what is not, protobuf might not even take."""
    if not token.isascii():
        raise BadInput("this is no completion token; it is `task_info().completion_token` in a job's submit")
    return token


def _filter(status: str) -> jobs_pb2.JobStatus:
    """BadInput if there is no such status; empty is all."""
    if status and status not in JOB_STATUSES:
        raise BadInput(f"{status[:40]!r} is not a status of jobs; those are: {', '.join(JOB_STATUSES)}")
    return _NUMBERS[status] if status else jobs_pb2.JOB_STATUS_UNSPECIFIED


_STATUSES: Final[dict[jobs_pb2.JobStatus, JobStatus]] = {
    cast("jobs_pb2.JobStatus", value): cast("JobStatus", name.removeprefix("JOB_STATUS_").lower())
    for name, value in jobs_pb2.JobStatus.items()
    if value != jobs_pb2.JOB_STATUS_UNSPECIFIED
}
_NUMBERS: Final[dict[str, jobs_pb2.JobStatus]] = {name: value for value, name in _STATUSES.items()}
