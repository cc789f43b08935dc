"""Looking at user-defined actors: the part of `LocalDoor` for them."""

from __future__ import annotations

from typing import Any, Final, Literal

from understudy.actor_info import ActorDescription, ActorStatus, ActorSummary
from understudy.errors import BadInput
from understudy_runtime.core.keys import ACTOR_PREFIX, id_of
from understudy_runtime.core.messages import Describe, Description
from understudy_runtime.core.ports import ActorRow, Store
from understudy_runtime.node.bridge import Bridge

MAX_LISTED: Final = 10_000


class LocalActors:
    """An address is `actor.<class>/<id>`, a kind is `actor.<class>`."""

    _bridge: Bridge
    _store: Store
    _namespace: str

    async def _deliver(self, address: str, message: Any) -> Any:
        raise NotImplementedError

    async def describe_actor(self, address: str) -> ActorDescription:
        """UnknownName if nothing has ever happened to it."""
        kind, _, name = address.partition("/")
        described: Description = await self._deliver(f"{_checked_kind(kind)}/{name}", Describe())
        return _description(name, described)

    async def list_actors(
        self, kind: str, *, status: ActorStatus | Literal[""], limit: int, before: tuple[float, str] | None = None
    ) -> list[ActorSummary]:
        """Those of one class, newest first; `before` is the (created_at, id) of the last one seen."""
        cursor = None if before is None else (before[0], f"{self._namespace}/{_checked_kind(kind)}/{before[1]}")
        rows = await self._bridge.run(
            lambda _: self._store.rows(
                namespace=self._namespace,
                kind=_checked_kind(kind),
                status=status,
                limit=min(limit, MAX_LISTED),
                before=cursor,
            )
        )
        return [_summary(row) for row in rows]


def _checked_kind(kind: str) -> str:
    if not kind.startswith(ACTOR_PREFIX):
        raise BadInput(f"{kind[:40]!r} is no kind of actor: give {ACTOR_PREFIX!r} and the name of its class")
    return kind


def _status(status: str) -> ActorStatus:
    return "held" if status == "held" else "active"


def _summary(row: ActorRow) -> ActorSummary:
    return ActorSummary(row.definition, id_of(row.key), _status(row.status), row.created_at, row.updated_at)


def _description(actor_id: str, described: Description) -> ActorDescription:
    held = described.held
    return ActorDescription(
        described.definition,
        actor_id,
        _status(described.status),
        described.turns,
        described.created_at,
        described.result,
        described.version,
        described.queued,
        described.running,
        described.warnings,
        "" if held is None else held.why,
        "" if held is None else held.detail,
        described.reminders,
    )
