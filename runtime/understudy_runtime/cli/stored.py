"""What the store's file says of runs. It is read as it is, whether a node is writing it or none runs.

The journal is authoritative: a run is described by applying its records, as a node does when it loads one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from understudy.door import JobSummary
from understudy.errors import BadRequest, Bug, UnknownName
from understudy.resourcing import ResourceDescription, ResourceOptions
from understudy.scheduling import ScheduleDescription
from understudy_runtime.actors import journal
from understudy_runtime.cli.place import Place
from understudy_runtime.core.keys import ACTOR_PREFIX, RESOURCE_PREFIX, RUN, SCHEDULE, id_of, run_key, schedule_key
from understudy_runtime.core.messages import Describe, Description, JobInfo, Machine, Reply
from understudy_runtime.core.ports import ActorRow, JournalRow
from understudy_runtime.core.records import Turn
from understudy_runtime.core.records.runs import ExecutionStarted
from understudy_runtime.core.resource.machine import ResourceMachine
from understudy_runtime.core.run import RunMachine
from understudy_runtime.core.schedule import ScheduleMachine
from understudy_runtime.execution.calendar import ZoneCalendar
from understudy_runtime.node.stored_jobs import may_have_jobs, stored_jobs, summary
from understudy_runtime.storage.reading import Reader, open_reader

OPEN: Final = frozenset({"running", "held"})
ALL: Final = -1
ROWS_AT_ONCE: Final = 1_000


class Stored:
    """The runs of one namespace, read-only."""

    def __init__(self, reader: Reader, namespace: str) -> None:
        self._reader = reader
        self._namespace = namespace

    def rows(self, status: str = "", workflow: str = "", limit: int = ALL) -> list[ActorRow]:
        """Newest first."""
        return self._reader.rows(namespace=self._namespace, kind=RUN, status=status, definition=workflow, limit=limit)

    def row(self, run_id: str) -> ActorRow | None:
        return self._reader.load([run_key(self._namespace, run_id)])[0].row

    def newest_open(self, workflow: str, digest: str) -> ActorRow | None:
        """The newest run of this workflow and input that has not ended."""
        candidates = [row for status in OPEN for row in self.rows(status, workflow)]
        newest_first = sorted(candidates, key=lambda row: row.created_at, reverse=True)
        return next((row for row in newest_first if self.has_input(row, digest)), None)

    def has_input(self, row: ActorRow, digest: str) -> bool:
        """Whether the run was begun with that input, or goes on with it now (after a retry or `continue_as_new`)."""
        if row.digest == digest:
            return True
        if row.execution == 1:
            return False
        first = self._decoded(row.key, self._reader.turns(row.key, 0, 1))
        begun = (record for turn in first for record in turn.records if isinstance(record, ExecutionStarted))
        return any(record.digest == digest for record in begun)

    def describe(self, run_id: str) -> Description:
        """How the run stands. UnknownName if there is none."""
        reply = self._describe(run_key(self._namespace, run_id), RunMachine())
        if reply is None:
            raise unknown(run_id)
        if not isinstance(reply, Description):
            raise Bug(f"run {run_id} answered Describe with {reply!r}")
        return reply

    def schedule(self, schedule_id: str) -> ScheduleDescription:
        """How the schedule stands. UnknownName if there is none."""
        reply = self._describe(schedule_key(self._namespace, schedule_id), ScheduleMachine(ZoneCalendar()))
        if not isinstance(reply, ScheduleDescription):
            raise UnknownName(
                f"there is no schedule {schedule_id!r}; `understudy schedules list` shows those there are"
            )
        return reply

    def schedules(self, limit: int) -> list[ScheduleDescription]:
        """Newest first."""
        rows = self._reader.rows(namespace=self._namespace, kind=SCHEDULE, limit=ALL)
        there = [row for row in rows if row.closed_at is None][:limit]
        return [self.schedule(id_of(row.key)) for row in there]

    def resources(self, kind: str, limit: int) -> list[ResourceDescription]:
        """Of this kind, newest first; without one, all but locks and semaphores."""
        rows = self._reader.rows(namespace=self._namespace, kind=kind, limit=limit if kind else ALL)
        wanted = [row for row in rows if kind or row.kind.startswith(RESOURCE_PREFIX)][:limit]
        return [self.resource(row.key.split("/", 1)[1]) for row in wanted]

    def resource(self, address: str) -> ResourceDescription:
        """How it stands; its capacity is 0 where only the code knows it. UnknownName if there is none."""
        name = address.partition("/")[0].removeprefix(RESOURCE_PREFIX)
        options = ResourceOptions(name, capacity=1 if address.startswith("lock/") else 0)
        reply = self._describe(f"{self._namespace}/{address}", ResourceMachine(options, ""))
        if not isinstance(reply, ResourceDescription):
            raise no_resource(address)
        return reply

    def resource_history(self, address: str) -> list[Turn]:
        """Every turn of it. UnknownName if there is none."""
        key = f"{self._namespace}/{address}"
        rows = self._reader.turns(key)
        if not rows:
            raise no_resource(address)
        return self._decoded(key, rows)

    def jobs(self, address: str, status: str, limit: int) -> list[JobSummary]:
        """Of a run or actor (UnknownName if there is none), or (an empty address) of all, in the order of a node."""
        keys = [f"{self._namespace}/{address}"] if address else self._may_have_jobs()
        found = (job for key in keys for job in self._jobs_of(key) if status in ("", job.status))
        return [summary(job) for job in islice(found, limit)]

    def _may_have_jobs(self) -> Iterator[str]:
        kinds = [kind for kind in self._reader.kinds(self._namespace) if kind.startswith(ACTOR_PREFIX)]
        for kind in (RUN, *sorted(kinds)):
            before: tuple[float, str] | None = None
            while rows := self._reader.rows(namespace=self._namespace, kind=kind, limit=ROWS_AT_ONCE, before=before):
                yield from (row.key for row in rows if may_have_jobs(row))
                before = (rows[-1].created_at, rows[-1].key)

    def _jobs_of(self, key: str) -> Sequence[JobInfo]:
        found = self._reader.load([key])[0]
        if found.row is None:
            raise UnknownName(f"there is no {key.partition('/')[2]} in this store")
        return stored_jobs(found, self._decoded(key, found.turns))

    def _describe(self, key: str, machine: Machine[Any]) -> Reply | None:
        """What the actor answers to `Describe`; None if there is none."""
        found = self._reader.load([key])[0]
        if found.row is None:
            return None
        state = machine.initial(found.key) if found.snapshot is None else machine.decode(found.snapshot)
        for turn in self._decoded(found.key, found.turns):
            for record in turn.records:
                machine.apply(state, record, turn.at, turn.seq)
        return machine.decide(state, Describe(), 0.0).reply

    def history(self, run_id: str) -> list[Turn]:
        """Every turn of the run, all executions. UnknownName if there is none."""
        key = run_key(self._namespace, run_id)
        rows = self._reader.turns(key)
        if not rows:
            raise unknown(run_id)
        return self._decoded(key, rows)

    def _decoded(self, key: str, rows: Sequence[JournalRow]) -> list[Turn]:
        digests = {digest for row in rows for digest in journal.digests_of(row)}
        blobs = self._reader.blobs(key, sorted(digests)) if digests else {}
        return [journal.decode(row, blobs) for row in rows]


@contextmanager
def reading(place: Place) -> Generator[Stored, None, None]:
    """The runs at that place. StoreError if there is no store."""
    file = place.file
    if file is None:
        raise BadRequest("a store in memory ends with its process; there is nothing to read")
    with open_reader(file) as reader:
        yield Stored(reader, place.namespace)


def unknown(run_id: str) -> UnknownName:
    return UnknownName(f"there is no run {run_id!r} in this store; `understudy runs list` shows those there are")


def no_resource(address: str) -> UnknownName:
    return UnknownName(f"there is no {address} in this store; `understudy resources list` shows those there are")
