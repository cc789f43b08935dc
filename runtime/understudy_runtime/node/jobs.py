"""Jobs, as callers list, complete and settle them: the part of `LocalDoor` for them.

Which actors have jobs, their rows do not say. So a list of all goes through the rows of runs and actors, the newest
first, and looks at those that may have some. Who has something under way is in memory and is asked. Who waits (for
somebody to complete its job, say) may be parked; what is stored of it is read as it is, so that looking brings nobody
into memory. Who has ended with nothing under way has no jobs. A page ends after so many rows, however few jobs it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from understudy.door import JobSummary
from understudy.errors import BadInput, BadRequest, Misplaced, UnknownName
from understudy.failures import FailureFields
from understudy_runtime.actors import journal
from understudy_runtime.actors.engine import Engine
from understudy_runtime.core.completion import completed_attempt
from understudy_runtime.core.keys import ACTOR_PREFIX, RUN, id_of, namespace_of
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import (
    CompleteJob,
    JobInfo,
    ListJobs,
    OpenJobs,
    SettleJob,
)
from understudy_runtime.core.ports import ActorRow, Loaded, Programs, Store
from understudy_runtime.node.bridge import Bridge
from understudy_runtime.node.stored_jobs import checked_status, may_have_jobs, number_of, stored_jobs, summary
from understudy_runtime.rpc.ports import JobPlace

MAX_LISTED: Final = 1_000
"""Jobs of one page."""
MAX_ROWS: Final = 10_000
"""Rows of runs and actors that one page goes through."""
MAX_LOOKED_AT: Final = 1_000
"""Runs and actors that one page looks at: each is a question to it, or a read of what is stored of it."""
ROWS_AT_ONCE: Final = 1_000
LOOKS_AT_ONCE: Final = 50
"""So few that the engine's loop is not kept for long by taking in what was read."""

Listed = tuple[list[tuple[JobPlace, JobSummary]], JobPlace | None]


class LocalJobs:
    """An address is `run/<id>` or `actor.<class>/<id>`."""

    _bridge: Bridge
    _store: Store
    _programs: Programs
    _namespace: str

    async def _deliver(self, address: str, message: Any) -> Any:
        raise NotImplementedError

    async def complete_job(
        self, token: str, result: bytes | None, failure: FailureFields | None, *, idempotency_key: str = ""
    ) -> None:
        """BadRequest if the token is none of this namespace, or its job does not wait for this (any more)."""
        attempt = completed_attempt(token)
        if namespace_of(attempt.key) != self._namespace:
            raise BadRequest(f"this completion token is of another namespace, not of {self._namespace}")
        message = CompleteJob(
            attempt.execution,
            attempt.call,
            attempt.attempt,
            None if result is None else Raw(result),
            None if failure is None else Failure(*failure),
            idempotency_key,
        )
        await self._deliver(attempt.key.partition("/")[2], message)

    async def settle_job(self, address: str, call: int, handle: bytes | None, *, idempotency_key: str = "") -> None:
        message = SettleJob(call, None if handle is None else Raw(handle), idempotency_key)
        await self._deliver(_checked(address), message)

    async def list_jobs(self, address: str, *, status: str, limit: int) -> list[JobSummary]:
        found: list[JobSummary] = []
        place: JobPlace | None = None
        while len(found) < limit:
            page, place = await self.job_page(address, status=status, limit=limit - len(found), after=place)
            found += [summary for _, summary in page]
            if place is None:
                break
        return found

    async def job_page(self, address: str, *, status: str, limit: int, after: JobPlace | None = None) -> Listed:
        """At most `limit` of those that come after `after`, each with its place; and where the list goes on, if so."""
        looking = _Looking(self._store, self._namespace, checked_status(status), min(limit, MAX_LISTED))
        if not address:
            kinds = [RUN, *sorted(ACTOR_PREFIX + name for name in self._actor_classes())]
            return await self._bridge.run(lambda engine: looking.through(engine, kinds, after))
        jobs = await self._jobs_at(_checked(address))
        kind, _, name = address.partition("/")
        looking.take(ActorPlace(kind, 0.0, name), jobs, None if after is None else after[3])
        return looking.page(more=False)

    async def _jobs_at(self, address: str) -> Sequence[JobInfo]:
        """As the run or actor says; if another node runs it, as is stored. UnknownName if there is none."""
        try:
            answered: OpenJobs = await self._deliver(address, ListJobs())
        except Misplaced:
            key = f"{self._namespace}/{address}"
            [found] = await self._bridge.run(lambda _: self._store.load([key]))
            if found.row is None:
                raise UnknownName(f"there is no {address}") from None
            return await self._bridge.run(lambda _: _read_one(self._store, found))
        return answered.jobs

    def _actor_classes(self) -> Sequence[str]:
        classes: Mapping[str, Any] = getattr(self._programs, "actors", {})
        return list(classes)


class ActorPlace(msgspec.Struct, frozen=True):
    """Where an actor is in the list."""

    kind: str
    created_at: float
    id: str


class _Looking:
    """One page in the making, on the engine's loop."""

    def __init__(self, store: Store, namespace: str, status: str, limit: int) -> None:
        self._store = store
        self._namespace = namespace
        self._status = status
        self._limit = limit
        self._found: list[tuple[JobPlace, JobSummary]] = []
        self._rows = 0
        self._looked_at = 0
        self._last: JobPlace | None = None
        """Of the last row that was gone through."""

    @property
    def full(self) -> bool:
        return len(self._found) > self._limit or self._rows >= MAX_ROWS or self._looked_at >= MAX_LOOKED_AT

    def page(self, *, more: bool) -> Listed:
        """`more`: there may be more than was found."""
        if len(self._found) > self._limit:
            page = self._found[: self._limit]
            return page, page[-1][0]
        return self._found, self._last if more else None

    def take(self, actor: ActorPlace, jobs: Sequence[JobInfo], after: tuple[int, int, int] | None) -> None:
        """Add those jobs of the actor that are wanted and come after that one."""
        for job in sorted(jobs, key=number_of):
            if len(self._found) > self._limit:
                return
            if (after is None or number_of(job) > after) and self._status in ("", job.status):
                self._found.append(((actor.kind, actor.created_at, actor.id, number_of(job)), summary(job)))

    async def through(self, engine: Engine, kinds: Sequence[str], after: JobPlace | None) -> Listed:
        for kind in kinds:
            before: tuple[float, str] | None = None
            if after is not None:
                if kind != after[0]:
                    continue
                before = await self._resume(engine, after)
                after = None
            while not self.full:
                rows = await self._store.rows(namespace=self._namespace, kind=kind, limit=ROWS_AT_ONCE, before=before)
                await self._look(engine, rows)
                if len(rows) < ROWS_AT_ONCE:
                    break
                before = (rows[-1].created_at, rows[-1].key)
            if self.full:
                return self.page(more=True)
        return self.page(more=False)

    async def _resume(self, engine: Engine, after: JobPlace) -> tuple[float, str]:
        """Take what is left of the actor where the last page ended; its row's place."""
        kind, created_at, name, number = after
        key = f"{self._namespace}/{kind}/{name}"
        if number is not None:
            self.take(ActorPlace(kind, created_at, name), await self._jobs_of(engine, key), number)
        return created_at, key

    async def _look(self, engine: Engine, rows: Sequence[ActorRow]) -> None:
        for start in range(0, len(rows), LOOKS_AT_ONCE):
            chunk = rows[start : start + LOOKS_AT_ONCE]
            await self._look_at(engine, [row for row in chunk if may_have_jobs(row)])
            self._rows += len(chunk)
            self._last = _place(chunk[-1])
            if self.full:
                return

    async def _look_at(self, engine: Engine, rows: Sequence[ActorRow]) -> None:
        self._looked_at += len(rows)
        parked = [row.key for row in rows if row.parked_until is not None]
        asked = [row.key for row in rows if row.parked_until is None]
        jobs = dict(zip(parked, await _read(self._store, parked), strict=True))
        jobs |= dict(zip(asked, await asyncio.gather(*(self._jobs_of(engine, key) for key in asked)), strict=True))
        for row in rows:
            self.take(ActorPlace(row.kind, row.created_at, id_of(row.key)), jobs[row.key], None)

    async def _jobs_of(self, engine: Engine, key: str) -> Sequence[JobInfo]:
        """As the actor says; of one that cannot say, as is stored."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        engine.deliver(key, ListJobs(), lambda reply: None if answered.done() else answered.set_result(reply))
        reply = await answered
        return reply.jobs if isinstance(reply, OpenJobs) else (await _read(self._store, [key]))[0]


def _place(row: ActorRow) -> JobPlace:
    return (row.kind, row.created_at, id_of(row.key), None)


async def _read(store: Store, keys: Sequence[str]) -> list[Sequence[JobInfo]]:
    return [await _read_one(store, found) for found in await store.load(keys)] if keys else []


async def _read_one(store: Store, found: Loaded) -> Sequence[JobInfo]:
    return stored_jobs(found, await journal.decode_all(found.turns, lambda digests: store.blobs(found.key, digests)))


def _checked(address: str) -> str:
    kind = address.partition("/")[0]
    if kind != RUN and not kind.startswith(ACTOR_PREFIX):
        raise BadInput(f"{address[:60]!a} has no jobs: give run/ID or {ACTOR_PREFIX}CLASS/ID")
    return address
