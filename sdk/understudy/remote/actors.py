"""User-defined actors, as a remote node tells of them: the part of `RemoteDoor` that looks at them."""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import Raw

from understudy.actor_info import ActorDescription, ActorStatus, ActorSummary
from understudy.remote import wire
from understudy_proto.v1 import actors_pb2

PREFIX: Final = "actor."
MAX_PAGE: Final = 1_000


class RemoteActors:
    _namespace: str

    async def describe_actor(self, address: str) -> ActorDescription:
        """UnknownName if nothing has ever happened to it."""
        request = actors_pb2.GetActorRequest(namespace=self._namespace, address=wire.address(address))
        got = await self._unary("ActorService/GetActor", request, actors_pb2.GetActorResponse)
        return _description(got.actor)

    async def list_actors(self, kind: str, *, status: ActorStatus | Literal[""], limit: int) -> list[ActorSummary]:
        """Those of one class (`actor.<class>`), newest first."""
        found: list[ActorSummary] = []
        token = ""
        while len(found) < limit:
            request = actors_pb2.ListActorsRequest(
                namespace=self._namespace,
                kind=kind,
                status=_CODES[status] if status else actors_pb2.ACTOR_STATUS_UNSPECIFIED,
                page_size=min(limit - len(found), MAX_PAGE),
                page_token=token,
            )
            listed = await self._unary("ActorService/ListActors", request, actors_pb2.ListActorsResponse)
            found += [_summary(actor) for actor in listed.actors]
            token = listed.next_page_token
            if not token:
                break
        return found

    async def _unary(self, method: str, request: Any, response: Any) -> Any:
        raise NotImplementedError


def _summary(actor: actors_pb2.Actor) -> ActorSummary:
    return ActorSummary(
        actor.address.kind.removeprefix(PREFIX),
        actor.address.id,
        _status(actor.status),
        wire.seconds(actor.created_at),
        wire.seconds(actor.updated_at),
    )


def _description(actor: actors_pb2.Actor) -> ActorDescription:
    return ActorDescription(
        actor.address.kind.removeprefix(PREFIX),
        actor.address.id,
        _status(actor.status),
        actor.turns,
        wire.seconds(actor.created_at),
        Raw(actor.state) if actor.state else None,
        actor.version,
        actor.queued,
        actor.running,
        actor.warnings,
        actor.held_why,
        actor.held_detail,
        {reminder.id: wire.seconds(reminder.at) for reminder in actor.reminders},
    )


def _status(value: actors_pb2.ActorStatus) -> ActorStatus:
    return "held" if value == actors_pb2.ACTOR_STATUS_HELD else "active"


_CODES: Final[dict[ActorStatus, actors_pb2.ActorStatus]] = {
    "active": actors_pb2.ACTOR_STATUS_ACTIVE,
    "held": actors_pb2.ACTOR_STATUS_HELD,
}
