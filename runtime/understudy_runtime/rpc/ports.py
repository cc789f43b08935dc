"""What the gRPC door needs from the node: the runs themselves, what user code defines, and the cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from understudy.actor_info import ActorDescription, ActorStatus, ActorSummary
from understudy.cluster import DefinitionInfo, NodeInfo, ShardInfo
from understudy.codec import CallCodec
from understudy.context import Granted, LeaseRequest
from understudy.door import (
    AskReply,
    HistoryTurn,
    IfExists,
    JobSummary,
    Outcome,
    RetryPlan,
    RunDescription,
    RunSummary,
    StartedRun,
)
from understudy.failures import FailureFields
from understudy.resource_door import SettledAs
from understudy.resourcing import ResourceDescription
from understudy.schedules import IfScheduleExists
from understudy.scheduling import RangeOverlap, ScheduleDescription, ScheduleSpec

Admit = Callable[[], None]
"""Asked on the engine's loop for each start, tell and ask. Raises Overloaded if the node cannot carry any more."""


Behave = Callable[[str], Callable[[Any], Any]]
"""By its name, a method: of one request, whose answer is awaited, or whose answers are iterated over."""


def everybody() -> None:
    """Refuse nothing."""


class ServedActors(Protocol):
    """Looking at user-defined actors; an address is `actor.<class>/<id>`, a kind is `actor.<class>`."""

    async def describe_actor(self, address: str) -> ActorDescription: ...

    async def list_actors(
        self, kind: str, *, status: ActorStatus | Literal[""], limit: int, before: tuple[float, str] | None = None
    ) -> list[ActorSummary]: ...


JobPlace = tuple[str, float, str, tuple[int, int, int] | None]
"""Where a job is in a list: kind, creation time and id of its actor; its execution, call and attempt, or None: past all
jobs of that actor."""


class ServedJobs(Protocol):
    """Jobs, for callers that may repeat what they asked, and read on where they were."""

    async def complete_job(
        self, token: str, result: bytes | None, failure: FailureFields | None, *, idempotency_key: str = ""
    ) -> None: ...

    async def settle_job(self, address: str, call: int, handle: bytes | None, *, idempotency_key: str = "") -> None: ...

    async def job_page(
        self, address: str, *, status: str, limit: int, after: JobPlace | None = None
    ) -> tuple[list[tuple[JobPlace, JobSummary]], JobPlace | None]:
        """At most `limit` of those that come after `after`, each with its place in the list; and where it goes on, if
        it does, which it may with a page that is not full. An empty address: of all runs and actors."""
        ...


class ServedSchedules(Protocol):
    """`understudy.schedules.ScheduleDoor` for callers that may repeat what they asked, and read on where they were."""

    async def set_schedule(
        self,
        schedule_id: str,
        spec: ScheduleSpec,
        *,
        if_exists: IfScheduleExists,
        paused: bool = False,
        note: str = "",
        idempotency_key: str = "",
    ) -> None: ...

    async def describe_schedule(self, schedule_id: str) -> ScheduleDescription: ...

    async def schedule_places(
        self, *, limit: int, before: tuple[float, str] | None = None
    ) -> tuple[list[tuple[float, str]], tuple[float, str] | None]:
        """Of at most `limit` of those that come after `before` in the list, the place in it: creation time and id; and
        the last of these, if the list goes on."""
        ...

    async def pause_schedule(self, schedule_id: str, note: str, *, idempotency_key: str = "") -> None: ...

    async def resume_schedule(self, schedule_id: str, note: str, *, idempotency_key: str = "") -> None: ...

    async def trigger_schedule(self, schedule_id: str, *, idempotency_key: str = "") -> str: ...

    async def backfill_schedule(
        self, schedule_id: str, since: float, until: float, overlap: RangeOverlap, *, idempotency_key: str = ""
    ) -> int: ...

    async def delete_schedule(self, schedule_id: str, *, idempotency_key: str = "") -> None: ...


ResourcePlace = tuple[str, float, str]
"""Where a resource is in a list: its kind, creation time and id."""


class ServedResources(Protocol):
    """`understudy.resource_door.ResourceDoor` for callers that may repeat what they asked, and read on."""

    async def acquire_lease_within(
        self, request: LeaseRequest, *, holder: str, ttl_s: float, patience_s: float | None
    ) -> Granted | None:
        """None after `patience_s`. Then, and when it is cancelled, the place in the queue is kept for the `holder`."""
        ...

    async def renew_lease(self, address: str, *, holder: str, fence: int, ttl_s: float) -> None: ...
    async def release_lease(self, address: str, *, holder: str, fence: int) -> None: ...
    async def describe_resource(self, address: str) -> ResourceDescription: ...

    async def resource_places(
        self, *, kind: str, limit: int, after: ResourcePlace | None = None
    ) -> tuple[list[ResourcePlace], ResourcePlace | None]:
        """Of at most `limit` of those that come after `after`, the place in the list; and the last of these, if it goes
        on."""
        ...

    async def resource_history(self, address: str, after: int, limit: int) -> list[HistoryTurn]: ...
    async def drain_resource(self, address: str, *, by: str, note: str, idempotency_key: str = "") -> None: ...
    async def resume_resource(self, address: str, *, by: str, note: str, idempotency_key: str = "") -> None: ...

    async def destroy_resource(
        self, address: str, *, force: bool, by: str, note: str, idempotency_key: str = ""
    ) -> None: ...

    async def set_capacity(
        self, address: str, units: int | None, *, by: str, note: str, idempotency_key: str = ""
    ) -> None: ...

    async def settle_resource(
        self, address: str, outcome: SettledAs, handle: bytes | None, *, by: str, note: str, idempotency_key: str = ""
    ) -> None: ...


class ServedDoor(ServedActors, ServedJobs, ServedResources, ServedSchedules, Protocol):
    """`understudy.door.Door` for callers that may repeat what they asked, read on where they were, and follow."""

    async def start(
        self,
        workflow: str,
        input: bytes,
        digest: str,
        *,
        run_id: str | None,
        if_exists: IfExists,
        idempotency_key: str = "",
    ) -> StartedRun: ...

    async def run(
        self,
        workflow: str,
        input: bytes,
        digest: str,
        *,
        run_id: str | None,
        if_exists: IfExists,
        idempotency_key: str = "",
    ) -> Outcome: ...

    async def wait(self, run_id: str) -> Outcome: ...

    async def tell(
        self, address: str, handler: str, args: bytes, *, by_name: bool = False, idempotency_key: str = ""
    ) -> None: ...

    async def ask(
        self,
        address: str,
        handler: str,
        args: bytes,
        *,
        readonly: bool,
        by_name: bool = False,
        idempotency_key: str = "",
    ) -> AskReply: ...

    async def cancel(self, run_id: str, reason: str, *, idempotency_key: str = "") -> None: ...

    async def terminate(self, run_id: str, reason: str, *, idempotency_key: str = "") -> None: ...

    async def release(self, run_id: str, *, idempotency_key: str = "") -> None: ...

    async def retry(
        self,
        run_id: str,
        input: bytes | None,
        digest: str,
        *,
        redo: Sequence[str],
        keep: Sequence[str],
        dry_run: bool,
        idempotency_key: str = "",
    ) -> RetryPlan: ...

    async def describe(self, run_id: str) -> RunDescription: ...

    async def history(self, run_id: str, after: int, limit: int) -> list[HistoryTurn]: ...

    async def list_runs(
        self, *, status: str, workflow: str, limit: int, before: tuple[float, str] | None = None
    ) -> list[RunSummary]:
        """`before`: only runs that come after the one of this creation time and id, in the order of the list."""
        ...

    def follow(self, run_id: str, changed: Callable[[], None]) -> Callable[[], object]:
        """Call `changed`, on this loop, whenever something durable has happened to the run; the result ends that."""
        ...


DoorOf = Callable[[str], ServedDoor]
"""The door of a namespace; empty: the node's own."""


class Definitions(Protocol):
    """What user code defines, as far as callers from other languages need it."""

    def workflow(self, name: str) -> CallCodec:
        """UnknownName if there is none."""
        ...

    def handler(self, kind: str, definition: str, name: str) -> CallCodec | None:
        """Of the actor class or (`kind` is "run") of the workflow `definition`; None if there is none."""
        ...

    def all(self) -> Sequence[DefinitionInfo]: ...


class Cluster(Protocol):
    async def nodes(self) -> Sequence[NodeInfo]: ...

    async def shards(self) -> Sequence[ShardInfo]: ...

    async def drain(self, node_id: str, grace_s: float | None) -> None:
        """Begins it. An empty id is this node's. UnknownName if there is no such node."""
        ...
