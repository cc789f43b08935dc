"""What the calls of ActorService that look at actors do: a part of `Calls`; and what they say on the wire."""

from __future__ import annotations

from typing import Final, Literal

from understudy.actor_info import ActorDescription, ActorStatus, ActorSummary
from understudy_proto.v1 import actors_pb2
from understudy_runtime.rpc import wire
from understudy_runtime.rpc.ports import ServedDoor

PREFIX: Final = "actor."


class ActorCalls:
    """Named after the methods of the service; the errors they raise are for `errors.refusal`."""

    def _door(self, namespace: str) -> ServedDoor:
        raise NotImplementedError

    async def get_actor(self, request: actors_pb2.GetActorRequest) -> actors_pb2.GetActorResponse:
        described = await self._door(request.namespace).describe_actor(wire.address(request.address))
        return actors_pb2.GetActorResponse(actor=_actor(described))

    async def list_actors(self, request: actors_pb2.ListActorsRequest) -> actors_pb2.ListActorsResponse:
        size = wire.page_size(request.page_size)
        found = await self._door(request.namespace).list_actors(
            request.kind, status=_status(request.status), limit=size + 1, before=wire.before(request.page_token)
        )
        page = found[:size]
        token = wire.token((page[-1].created_at, page[-1].id)) if len(found) > size else ""
        return actors_pb2.ListActorsResponse(actors=[_line(summary) for summary in page], next_page_token=token)


def _status(value: actors_pb2.ActorStatus) -> ActorStatus | Literal[""]:
    return _STATUSES.get(value, "")


def _actor(described: ActorDescription) -> actors_pb2.Actor:
    reminders = sorted(described.reminders.items(), key=lambda reminder: reminder[1])
    return actors_pb2.Actor(
        address=actors_pb2.Address(kind=f"{PREFIX}{described.kind}", id=described.id),
        status=_CODES[described.status],
        created_at=wire.timestamp(described.created_at),
        turns=described.turns,
        state=b"" if described.state is None else bytes(described.state),
        version=described.version,
        queued=described.queued,
        running=described.running,
        warnings=described.warnings,
        held_why=described.held_why,
        held_detail=described.held_detail,
        reminders=[actors_pb2.Reminder(id=name, at=wire.timestamp(at)) for name, at in reminders],
    )


def _line(summary: ActorSummary) -> actors_pb2.Actor:
    return actors_pb2.Actor(
        address=actors_pb2.Address(kind=f"{PREFIX}{summary.kind}", id=summary.id),
        status=_CODES[summary.status],
        created_at=wire.timestamp(summary.created_at),
        updated_at=wire.timestamp(summary.updated_at),
    )


_CODES: Final[dict[ActorStatus, actors_pb2.ActorStatus]] = {
    "active": actors_pb2.ACTOR_STATUS_ACTIVE,
    "held": actors_pb2.ACTOR_STATUS_HELD,
}
_STATUSES: Final[dict[actors_pb2.ActorStatus, ActorStatus]] = {code: status for status, code in _CODES.items()}
