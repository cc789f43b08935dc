"""What the gRPC door needs from the node: the runs themselves, what user code defines, and the cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from understudy.cluster import DefinitionInfo, NodeInfo
from understudy.codec import CallCodec
from understudy.door import (
    AskReply,
    HistoryTurn,
    IfExists,
    Outcome,
    RetryPlan,
    RunDescription,
    RunSummary,
    StartedRun,
)

Admit = Callable[[], None]
"""Asked on the engine's loop for each start, tell and ask. Raises Overloaded if the node cannot carry any more."""


def everybody() -> None:
    """Refuse nothing."""


class ServedDoor(Protocol):
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

    async def tell(self, address: str, handler: str, args: bytes, *, idempotency_key: str = "") -> None: ...

    async def ask(
        self, address: str, handler: str, args: bytes, *, readonly: bool, idempotency_key: str = ""
    ) -> AskReply: ...

    async def cancel(self, run_id: str, reason: str, *, idempotency_key: str = "") -> None: ...

    async def terminate(self, run_id: str, reason: str, *, idempotency_key: str = "") -> None: ...

    async def release(self, run_id: str) -> None: ...

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

    async def drain(self, node_id: str, grace_s: float | None) -> None:
        """Begins it. An empty id is this node's. UnknownName if there is no such node."""
        ...
