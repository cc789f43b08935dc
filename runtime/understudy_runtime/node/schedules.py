"""Schedules at the node: those that the code declares, and the part of `LocalDoor` that minds them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from understudy import errors
from understudy.app import App
from understudy.definitions import WorkflowDefinition
from understudy.errors import BadDefinition, Misplaced, UnknownName
from understudy.failures import clean_text
from understudy.schedules import IfScheduleExists
from understudy.scheduling import (
    RangeOverlap,
    ScheduleDescription,
    ScheduleSpec,
    checked,
    checked_moment,
    checked_schedule_id,
)
from understudy_runtime.actors.engine import Engine
from understudy_runtime.core.keys import SCHEDULE, id_of, schedule_key
from understudy_runtime.core.messages import (
    AnyMessage,
    BackfillBegun,
    BackfillSchedule,
    Declared,
    DeleteSchedule,
    Describe,
    PauseSchedule,
    Refused,
    Reply,
    ResumeSchedule,
    SetSchedule,
    Triggered,
    TriggerSchedule,
)
from understudy_runtime.core.ports import ActorRow, Store
from understudy_runtime.node.bridge import Bridge

MAX_LISTED: Final = 1_000
STATUSES: Final = ("active", "paused")
"""Of schedules that there are; deleted ones keep their rows."""

Place = tuple[float, str]
"""Of a schedule in the list: when it was first made, and its id."""


async def declare(
    engine: Engine,
    namespace: str,
    apps: Sequence[App],
    here: Callable[[str], bool] = lambda key: True,
    declared: Declared | None = None,
) -> None:
    """Make the schedules of the code whose actors are `here`, or make them what the code says now. Durable when it
    returns, unless such an actor has moved on meanwhile.

    A node of a cluster says who it is (`declared`), because others may have other code; see `SetSchedule`.
    """
    told: list[asyncio.Future[Reply | BaseException]] = []
    for schedule_id, spec in _declared(apps).items():
        key = schedule_key(namespace, schedule_id)
        if here(key):
            future: asyncio.Future[Reply | BaseException] = asyncio.get_running_loop().create_future()
            engine.deliver(key, SetSchedule(spec, "update", declared=declared), future.set_result)
            told.append(future)
    for reply in await asyncio.gather(*told):
        if isinstance(reply, Refused):
            raise getattr(errors, reply.error)(reply.message)
        if isinstance(reply, BaseException) and not isinstance(reply, Misplaced):
            raise reply


def _declared(apps: Sequence[App]) -> dict[str, ScheduleSpec]:
    specs: dict[str, ScheduleSpec] = {}
    for app in apps:
        for schedule_id, spec in app.schedules.items():
            if schedule_id in specs:
                raise BadDefinition(f"two apps declare the schedule {schedule_id}; give one of them another id")
            specs[schedule_id] = msgspec.structs.replace(spec, build=app.build)
    return specs


class LocalSchedules:
    """Implements `ScheduleDoor`; its methods are awaited on the caller's loop."""

    _bridge: Bridge
    _store: Store
    _workflows: Mapping[str, WorkflowDefinition]
    _namespace: str
    _build: str

    async def set_schedule(
        self,
        schedule_id: str,
        spec: ScheduleSpec,
        *,
        if_exists: IfScheduleExists,
        paused: bool = False,
        note: str = "",
        idempotency_key: str = "",
    ) -> None:
        definition = self._workflows.get(spec.workflow)
        if definition is None:
            known = ", ".join(sorted(self._workflows)) or "none"
            raise UnknownName(f"this node has no workflow named {spec.workflow}; it has: {known}")
        definition.call.decode(spec.input)  # a change of the code may have made it one that no run could begin with
        spec = msgspec.structs.replace(checked(spec), build=self._build, deadline_s=definition.deadline_s)
        await self._tell(schedule_id, SetSchedule(spec, if_exists, paused, clean_text(note), idempotency_key))

    async def describe_schedule(self, schedule_id: str) -> ScheduleDescription:
        reply = await self._tell(schedule_id, Describe())
        assert isinstance(reply, ScheduleDescription)
        return reply

    async def list_schedules(self, *, limit: int) -> list[ScheduleDescription]:
        found: list[ScheduleDescription] = []
        last: Place | None = None
        while len(found) < limit:
            places, last = await self.schedule_places(limit=limit - len(found), before=last)
            described = await asyncio.gather(*(self._describe_if_there(schedule_id) for _, schedule_id in places))
            found += [each for each in described if each is not None]
            if last is None:
                break
        return found

    async def schedule_places(self, *, limit: int, before: Place | None = None) -> tuple[list[Place], Place | None]:
        """At most `limit` of those that come after the place `before` in the list, newest first; and the last of them,
        if there are more.
        """
        limit = min(limit, MAX_LISTED)
        cursor = None if before is None else (before[0], schedule_key(self._namespace, checked_schedule_id(before[1])))
        found = [row for status in STATUSES for row in await self._rows(status, limit + 1, cursor)]
        newest = sorted(found, key=lambda row: (row.created_at, row.key), reverse=True)
        places = [(row.created_at, id_of(row.key)) for row in newest[:limit]]
        return places, places[-1] if len(newest) > limit else None

    async def pause_schedule(self, schedule_id: str, note: str, *, idempotency_key: str = "") -> None:
        await self._tell(schedule_id, PauseSchedule(clean_text(note), idempotency_key))

    async def resume_schedule(self, schedule_id: str, note: str, *, idempotency_key: str = "") -> None:
        await self._tell(schedule_id, ResumeSchedule(clean_text(note), idempotency_key))

    async def trigger_schedule(self, schedule_id: str, *, idempotency_key: str = "") -> str:
        reply = await self._tell(schedule_id, TriggerSchedule(idempotency_key))
        assert isinstance(reply, Triggered)
        return reply.run_id

    async def backfill_schedule(
        self, schedule_id: str, since: float, until: float, overlap: RangeOverlap, *, idempotency_key: str = ""
    ) -> int:
        first, last = checked_moment(since), checked_moment(until)
        reply = await self._tell(schedule_id, BackfillSchedule(first, last, overlap, idempotency_key))
        assert isinstance(reply, BackfillBegun)
        return reply.count

    async def delete_schedule(self, schedule_id: str, *, idempotency_key: str = "") -> None:
        await self._tell(schedule_id, DeleteSchedule(idempotency_key))

    async def _rows(self, status: str, limit: int, before: tuple[float, str] | None) -> list[ActorRow]:
        return await self._bridge.run(
            lambda _: self._store.rows(
                namespace=self._namespace, kind=SCHEDULE, status=status, limit=limit, before=before
            )
        )

    async def _describe_if_there(self, schedule_id: str) -> ScheduleDescription | None:
        try:
            return await self.describe_schedule(schedule_id)
        except UnknownName:  # it was deleted meanwhile
            return None

    async def _tell(self, schedule_id: str, message: AnyMessage) -> Reply:
        key = schedule_key(self._namespace, checked_schedule_id(schedule_id))
        reply: Reply = await self._bridge.ask(lambda engine, reply: engine.deliver(key, message, reply))
        return reply
