"""Schedules at a remote node: the part of `RemoteDoor` that implements `ScheduleDoor`."""

from __future__ import annotations

from typing import Any, Final

from understudy.failures import clean_text
from understudy.remote import schedule_wire, wire
from understudy.remote.session import Session
from understudy.remote.wire import AsWritten
from understudy.schedules import IfScheduleExists
from understudy.scheduling import RangeOverlap, ScheduleDescription, ScheduleSpec, checked_schedule_id
from understudy_proto.v1 import schedules_pb2

MAX_PAGE: Final = 1_000


class RemoteSchedules:
    _session: Session
    _namespace: str

    async def set_schedule(
        self,
        schedule_id: str,
        spec: ScheduleSpec,
        *,
        if_exists: IfScheduleExists,
        paused: bool = False,
        note: str = "",
        as_written: AsWritten | None = None,
    ) -> None:
        """`as_written`: the input as a person has put it, in place of that of `spec`."""
        request = schedules_pb2.SetScheduleRequest(
            namespace=self._namespace,
            schedule_id=checked_schedule_id(schedule_id),
            spec=schedule_wire.spec(spec),
            update=if_exists == "update",
            paused=paused,
            note=clean_text(note),
            idempotency_key=self._session.key(),
        )
        if as_written is not None:
            request.spec.input.CopyFrom(wire.arguments(as_written))
        await self._session.call("set_schedule", request)

    async def describe_schedule(self, schedule_id: str) -> ScheduleDescription:
        request = schedules_pb2.GetScheduleRequest(
            namespace=self._namespace, schedule_id=checked_schedule_id(schedule_id)
        )
        return schedule_wire.description((await self._session.call("get_schedule", request)).schedule)

    async def list_schedules(self, *, limit: int) -> list[ScheduleDescription]:
        found: list[ScheduleDescription] = []
        request = schedules_pb2.ListSchedulesRequest(namespace=self._namespace)
        while len(found) < limit:
            request.page_size = min(limit - len(found), MAX_PAGE)
            page = await self._unary("ScheduleService/ListSchedules", request, schedules_pb2.ListSchedulesResponse)
            found += [schedule_wire.description(each) for each in page.schedules]
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        return found

    async def pause_schedule(self, schedule_id: str, note: str) -> None:
        request = schedules_pb2.PauseScheduleRequest(
            namespace=self._namespace,
            schedule_id=checked_schedule_id(schedule_id),
            note=clean_text(note),
            idempotency_key=self._session.key(),
        )
        await self._session.call("pause_schedule", request)

    async def resume_schedule(self, schedule_id: str, note: str) -> None:
        request = schedules_pb2.ResumeScheduleRequest(
            namespace=self._namespace,
            schedule_id=checked_schedule_id(schedule_id),
            note=clean_text(note),
            idempotency_key=self._session.key(),
        )
        await self._session.call("resume_schedule", request)

    async def trigger_schedule(self, schedule_id: str) -> str:
        request = schedules_pb2.TriggerScheduleRequest(
            namespace=self._namespace, schedule_id=checked_schedule_id(schedule_id), idempotency_key=self._session.key()
        )
        run_id: str = (await self._session.call("trigger_schedule", request)).run_id
        return run_id

    async def backfill_schedule(self, schedule_id: str, since: float, until: float, overlap: RangeOverlap) -> int:
        request = schedules_pb2.BackfillScheduleRequest(
            namespace=self._namespace,
            schedule_id=checked_schedule_id(schedule_id),
            since=schedule_wire.timestamp(since),
            until=schedule_wire.timestamp(until),
            overlap=schedule_wire.overlap(overlap),
            idempotency_key=self._session.key(),
        )
        count: int = (await self._session.call("backfill_schedule", request)).count
        return count

    async def delete_schedule(self, schedule_id: str) -> None:
        request = schedules_pb2.DeleteScheduleRequest(
            namespace=self._namespace, schedule_id=checked_schedule_id(schedule_id), idempotency_key=self._session.key()
        )
        await self._session.call("delete_schedule", request)

    async def _unary(self, method: str, request: Any, response: Any) -> Any:
        raise NotImplementedError
