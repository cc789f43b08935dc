"""Minding the schedules of a store without a node: one turn of one actor, and nothing else in the store moves.

A node would go on with whatever is open, and needs the code for that. Here the store's write side is taken, the
schedule is loaded, decides, and its turn is committed; what it sends waits in the store's inboxes for the next node.
StoreError if another process has the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

from understudy import errors
from understudy.app import App
from understudy.definitions import WorkflowDefinition
from understudy.errors import BadRequest, Bug, StoreError
from understudy.scheduling import checked_schedule_id
from understudy_runtime.actors import journal, turns, writing
from understudy_runtime.actors.cell import Cell
from understudy_runtime.core.keys import SCHEDULE, schedule_key
from understudy_runtime.core.messages import AnyMessage, Refused, Reply
from understudy_runtime.core.ports import CommitFailed, Store
from understudy_runtime.core.schedule import ScheduleMachine
from understudy_runtime.execution.calendar import ZoneCalendar
from understudy_runtime.execution.programs import AppPrograms
from understudy_runtime.node.clocks import SystemClock
from understudy_runtime.node.schedules import LocalSchedules
from understudy_runtime.storage.urls import MEMORY, open_url


class OfflineSchedules(LocalSchedules):
    """The part of `ScheduleDoor` that concerns one schedule; whoever wants a list reads the store."""

    def __init__(self, store: Store, workflows: Mapping[str, WorkflowDefinition], namespace: str, build: str) -> None:
        self._store = store
        self._workflows = workflows
        self._namespace = namespace
        self._build = build
        self._clock = SystemClock()

    async def _tell(self, schedule_id: str, message: AnyMessage) -> Reply:
        cell = await self._loaded(schedule_key(self._namespace, checked_schedule_id(schedule_id)))
        now = max(self._clock.now(), cell.at)
        decision = turns.take(cell, message, now, AppPrograms((), None))
        write = writing.turn(cell, decision, None, now, self._build)
        if write is not None:
            committed: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
            self._store.commit([write], committed.set_result)
            failure = await committed
            if failure is not None:
                raise StoreError(str(failure)) if isinstance(failure, CommitFailed) else failure
        reply = decision.reply
        if isinstance(reply, Refused):
            raise getattr(errors, reply.error)(reply.message)
        if reply is None:
            raise Bug(f"{cell.key} decided on no reply")
        return reply

    async def _loaded(self, key: str) -> Cell:
        (found,) = await self._store.load([key])
        cell = Cell(key, SCHEDULE, ScheduleMachine(ZoneCalendar()))
        cell.state = cell.machine.initial(key) if found.snapshot is None else cell.machine.decode(found.snapshot)
        cell.seq = cell.snapshot_seq = found.snapshot_seq
        for turn in await journal.decode_all(found.turns, lambda digests: self._store.blobs(key, digests)):
            cell.seq, cell.at = turn.seq, turn.at
            for record in turn.records:
                cell.machine.apply(cell.state, record, turn.at, turn.seq)
        if found.row is not None:
            cell.created_at, cell.parked = found.row.created_at, found.row.parked_until
            cell.at = max(cell.at, found.row.updated_at)
        return cell


@asynccontextmanager
async def open_offline(
    store_url: str, *, namespace: str, apps: Sequence[App] = ()
) -> AsyncGenerator[OfflineSchedules, None]:
    """The schedules of a store that no process has open. `apps` have the workflows of schedules to be made."""
    if store_url == MEMORY:
        raise BadRequest("a store in memory ends with its process; there is nothing to change")
    store = open_url(store_url)
    await store.open("understudy schedules", SystemClock().now())
    try:
        workflows = {name: workflow for app in apps for name, workflow in app.workflows.items()}
        yield OfflineSchedules(store, workflows, namespace, next((app.build for app in apps if app.build), ""))
    finally:
        await store.close()
