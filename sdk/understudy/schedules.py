"""`client.schedules`: making schedules and minding them, from outside.

    await client.schedules.create("nightly", report, "sales", cron="0 3 * * *", tz="Europe/Berlin", overlap="buffer")

A schedule that belongs to the code is declared with it instead: `@app.schedule(...)`.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from understudy.options import Duration
from understudy.scheduling import (
    CatchUp,
    Overlap,
    RangeOverlap,
    ScheduleDescription,
    ScheduleSpec,
    checked,
    checked_schedule_id,
    moment,
    starting,
    timing,
)
from understudy.workflows import HasRun, Workflow, workflow_of

IfScheduleExists = Literal["error", "update"]


class ScheduleDoor(Protocol):
    """What `Schedules` needs of a `Door`. All that changes something is durable when it returns.

    UnknownName if there is no schedule of that id. Times are seconds since 1970.
    """

    async def set_schedule(
        self, schedule_id: str, spec: ScheduleSpec, *, if_exists: IfScheduleExists, paused: bool, note: str
    ) -> None:
        """Make it, or with "update" make it this one, paused or not as it is; AlreadyExists if it is another one."""
        ...

    async def describe_schedule(self, schedule_id: str) -> ScheduleDescription: ...

    async def list_schedules(self, *, limit: int) -> list[ScheduleDescription]:
        """Newest first."""
        ...

    async def pause_schedule(self, schedule_id: str, note: str) -> None: ...
    async def resume_schedule(self, schedule_id: str, note: str) -> None: ...

    async def trigger_schedule(self, schedule_id: str) -> str:
        """The id of the run that was started."""
        ...

    async def backfill_schedule(self, schedule_id: str, since: float, until: float, overlap: RangeOverlap) -> int:
        """How many nominal times there are."""
        ...

    async def delete_schedule(self, schedule_id: str) -> None: ...


class Schedules:
    """The schedules of a namespace. Changes are durable when the call returns; UnknownName if there is no such one."""

    def __init__(self, door: ScheduleDoor) -> None:
        self._door = door

    async def create(
        self,
        schedule_id: str,
        workflow: Workflow[..., Any] | type[HasRun[..., Any]],
        *args: object,
        cron: str | Sequence[str] = (),
        tz: str = "UTC",
        every: Duration | None = None,
        starts: datetime | None = None,
        ends: datetime | None = None,
        jitter: Duration = 0,
        catch_up: CatchUp = "one",
        overlap: Overlap = "skip",
        paused: bool = False,
        note: str = "",
        if_exists: IfScheduleExists = "error",
    ) -> None:
        """Start a run of `workflow` with these arguments at every nominal time.

        See `App.schedule` for the options. AlreadyExists if there is another one of this id, unless it is to be
        updated; BadInput or BadDefinition if arguments or options do not fit.
        """
        spec = timing(
            cron=cron, tz=tz, every=every, starts=starts, ends=ends, jitter=jitter, catch_up=catch_up, overlap=overlap
        )
        await self._door.set_schedule(
            checked_schedule_id(schedule_id),
            starting(spec, workflow_of(workflow)[1], args, {}),
            if_exists=if_exists,
            paused=paused,
            note=note,
        )

    async def update(
        self,
        schedule_id: str,
        *,
        cron: str | Sequence[str] | None = None,
        tz: str | None = None,
        every: Duration | None = None,
        jitter: Duration | None = None,
        catch_up: CatchUp | None = None,
        overlap: Overlap | None = None,
    ) -> None:
        """Change what is given; the rest stays. `cron` and `every` take each other's place.

        A schedule declared in code is as the code says again when a node starts; in a cluster, when one that has
        started since comes to run it.
        """
        spec = (await self.get(schedule_id)).spec
        if cron is not None or every is not None:
            given = timing(cron=cron or (), every=every)
            spec = msgspec.structs.replace(spec, cron=given.cron, every_s=given.every_s)
        changes = {"tz": tz, "catch_up": catch_up, "overlap": overlap}
        spec = msgspec.structs.replace(spec, **{name: value for name, value in changes.items() if value is not None})
        if jitter is not None:
            spec = msgspec.structs.replace(spec, jitter_s=timing(every=1, jitter=jitter).jitter_s)
        await self._door.set_schedule(schedule_id, checked(spec), if_exists="update", paused=False, note="")

    async def get(self, schedule_id: str) -> ScheduleDescription:
        """How the schedule stands now."""
        return await self._door.describe_schedule(checked_schedule_id(schedule_id))

    async def list(self, limit: int = 100) -> builtins.list[ScheduleDescription]:
        """Newest first, at most `limit`."""
        return await self._door.list_schedules(limit=max(limit, 0))

    async def pause(self, schedule_id: str, note: str = "") -> None:
        """Start nothing by itself until `resume`: what was buffered, and backfills under way, are given up.

        Nominal times that pass meanwhile stay without a run; `backfill` makes up for them. `trigger` and `backfill`
        work on a paused schedule too.
        """
        await self._door.pause_schedule(checked_schedule_id(schedule_id), note)

    async def resume(self, schedule_id: str, note: str = "") -> None:
        """Go on with the next nominal time."""
        await self._door.resume_schedule(checked_schedule_id(schedule_id), note)

    async def trigger(self, schedule_id: str) -> str:
        """Start a run now, whatever else runs; its id."""
        return await self._door.trigger_schedule(checked_schedule_id(schedule_id))

    async def backfill(
        self, schedule_id: str, since: datetime, until: datetime, *, overlap: RangeOverlap = "buffer"
    ) -> int:
        """Start a run for each nominal time from `since` to `until`, both included, that has none yet.

        Returns how many nominal times there are, at most 1,000, or BadRequest. Runs go one after the other with
        "buffer", side by side with "allow". When the schedule itself starts or ends does not matter.
        """
        return await self._door.backfill_schedule(
            checked_schedule_id(schedule_id), moment(since), moment(until), overlap
        )

    async def delete(self, schedule_id: str) -> None:
        """Start no more runs; those under way go on. One declared in code is there again when a node starts."""
        await self._door.delete_schedule(checked_schedule_id(schedule_id))
