"""What each call of ScheduleService does: a part of `Calls`."""

from __future__ import annotations

import asyncio

from understudy.errors import UnknownName
from understudy_proto.v1 import schedules_pb2
from understudy_runtime.rpc import schedule_wire, wire
from understudy_runtime.rpc.limits import PAGE_BYTES
from understudy_runtime.rpc.ports import Behave, Definitions, ServedDoor


class ScheduleCalls:
    """Named after the methods of the service; the errors they raise are for `errors.refusal`."""

    _definitions: Definitions
    anywhere: Behave

    def _door(self, namespace: str) -> ServedDoor:
        raise NotImplementedError

    def _let_in(self) -> None:
        """NodeClosing if this is no time for new work."""
        raise NotImplementedError

    async def set_schedule(self, request: schedules_pb2.SetScheduleRequest) -> schedules_pb2.SetScheduleResponse:
        codec = self._definitions.workflow(request.spec.workflow)
        await self._door(request.namespace).set_schedule(
            request.schedule_id,
            schedule_wire.spec(request.spec, codec),
            if_exists="update" if request.update else "error",
            paused=request.paused,
            note=request.note,
            idempotency_key=wire.key(request.idempotency_key),
        )
        return schedules_pb2.SetScheduleResponse()

    async def get_schedule(self, request: schedules_pb2.GetScheduleRequest) -> schedules_pb2.GetScheduleResponse:
        described = await self._door(request.namespace).describe_schedule(request.schedule_id)
        return schedules_pb2.GetScheduleResponse(schedule=schedule_wire.schedule(described))

    async def list_schedules(self, request: schedules_pb2.ListSchedulesRequest) -> schedules_pb2.ListSchedulesResponse:
        places, goes_on_at = await self._door(request.namespace).schedule_places(
            limit=wire.page_size(request.page_size), before=schedule_wire.place(request.page_token)
        )
        found = await asyncio.gather(*(self._looked_at(request.namespace, name) for _, name in places))
        page: list[schedules_pb2.Schedule] = []
        size = 0
        for place, schedule in zip(places, found, strict=True):
            if schedule is None:
                continue
            page.append(schedule)
            size += schedule.ByteSize()
            if size > PAGE_BYTES and place != places[-1]:
                goes_on_at = place
                break
        token = "" if goes_on_at is None else wire.token(goes_on_at)
        return schedules_pb2.ListSchedulesResponse(schedules=page, next_page_token=token)

    async def _looked_at(self, namespace: str, schedule_id: str) -> schedules_pb2.Schedule | None:
        """None if it was deleted meanwhile."""
        request = schedules_pb2.GetScheduleRequest(namespace=namespace, schedule_id=schedule_id)
        try:
            found: schedules_pb2.GetScheduleResponse = await self.anywhere("get_schedule")(request)
        except UnknownName:
            return None
        return found.schedule

    async def pause_schedule(self, request: schedules_pb2.PauseScheduleRequest) -> schedules_pb2.PauseScheduleResponse:
        door, key = self._door(request.namespace), wire.key(request.idempotency_key)
        await door.pause_schedule(request.schedule_id, request.note, idempotency_key=key)
        return schedules_pb2.PauseScheduleResponse()

    async def resume_schedule(
        self, request: schedules_pb2.ResumeScheduleRequest
    ) -> schedules_pb2.ResumeScheduleResponse:
        door, key = self._door(request.namespace), wire.key(request.idempotency_key)
        await door.resume_schedule(request.schedule_id, request.note, idempotency_key=key)
        return schedules_pb2.ResumeScheduleResponse()

    async def trigger_schedule(
        self, request: schedules_pb2.TriggerScheduleRequest
    ) -> schedules_pb2.TriggerScheduleResponse:
        self._let_in()
        door, key = self._door(request.namespace), wire.key(request.idempotency_key)
        run_id = await door.trigger_schedule(request.schedule_id, idempotency_key=key)
        return schedules_pb2.TriggerScheduleResponse(run_id=run_id)

    async def backfill_schedule(
        self, request: schedules_pb2.BackfillScheduleRequest
    ) -> schedules_pb2.BackfillScheduleResponse:
        self._let_in()
        door, key = self._door(request.namespace), wire.key(request.idempotency_key)
        since, until, overlap = schedule_wire.backfill_range(request)
        count = await door.backfill_schedule(request.schedule_id, since, until, overlap, idempotency_key=key)
        return schedules_pb2.BackfillScheduleResponse(count=count)

    async def delete_schedule(
        self, request: schedules_pb2.DeleteScheduleRequest
    ) -> schedules_pb2.DeleteScheduleResponse:
        door, key = self._door(request.namespace), wire.key(request.idempotency_key)
        await door.delete_schedule(request.schedule_id, idempotency_key=key)
        return schedules_pb2.DeleteScheduleResponse()
