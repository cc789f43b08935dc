"""What each call of ResourceService does: a part of `Calls`."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import Final

import msgspec

from understudy.context import LeaseRequest
from understudy.errors import BadRequest
from understudy.resource_door import LOCK, SEMAPHORE, SETTLED, checked_address
from understudy.resourcing import ResourceDescription
from understudy_proto.v1 import resources_pb2
from understudy_runtime.rpc import wire
from understudy_runtime.rpc.limits import PAGE_BYTES
from understudy_runtime.rpc.ports import Behave, ResourcePlace, ServedDoor

DEFAULT_TTL_S: Final = 30.0
BRIEF_LEASES: Final = 3
"""So many holders of each resource are told in a list."""


class ResourceCalls:
    """Named after the methods of the service; the errors they raise are for `errors.refusal`."""

    anywhere: Behave

    def _door(self, namespace: str) -> ServedDoor:
        raise NotImplementedError

    def place(self) -> AbstractContextManager[None]:
        """Of a call that waits; Overloaded or NodeClosing if there is none."""
        raise NotImplementedError

    async def acquire(self, request: resources_pb2.AcquireRequest) -> resources_pb2.AcquireResponse:
        wanted = _wanted(request)
        ttl_s = wire.duration_s(request.ttl) if request.HasField("ttl") else DEFAULT_TTL_S
        patience_s = wire.duration_s(request.patience) if request.HasField("patience") else None
        with self.place():
            granted = await self._door(request.namespace).acquire_lease_within(
                wanted, holder=request.holder, ttl_s=ttl_s, patience_s=patience_s
            )
        if granted is None:
            return resources_pb2.AcquireResponse()
        return resources_pb2.AcquireResponse(
            granted=True, fence=granted.fence, units=granted.units, handle=granted.handle
        )

    async def renew(self, request: resources_pb2.RenewRequest) -> resources_pb2.RenewResponse:
        ttl_s = wire.duration_s(request.ttl) if request.HasField("ttl") else DEFAULT_TTL_S
        door = self._door(request.namespace)
        await door.renew_lease(request.address, holder=request.holder, fence=request.fence, ttl_s=ttl_s)
        return resources_pb2.RenewResponse()

    async def release(self, request: resources_pb2.ReleaseRequest) -> resources_pb2.ReleaseResponse:
        door = self._door(request.namespace)
        await door.release_lease(request.address, holder=request.holder, fence=request.fence)
        return resources_pb2.ReleaseResponse()

    async def get_resource(self, request: resources_pb2.GetResourceRequest) -> resources_pb2.GetResourceResponse:
        described = await self._door(request.namespace).describe_resource(request.address)
        return resources_pb2.GetResourceResponse(resource=_resource(described))

    async def list_resources(self, request: resources_pb2.ListResourcesRequest) -> resources_pb2.ListResourcesResponse:
        places, goes_on_at = await self._door(request.namespace).resource_places(
            kind=request.kind, limit=wire.page_size(request.page_size), after=_place(request.page_token)
        )
        found = await asyncio.gather(*(self._resource_at(request.namespace, kind, name) for kind, _, name in places))
        page: list[resources_pb2.Resource] = []
        size = 0
        for place, resource in zip(places, found, strict=True):
            page.append(_brief(resource))
            size += page[-1].ByteSize()
            if size > PAGE_BYTES and place != places[-1]:
                goes_on_at = place
                break
        token = "" if goes_on_at is None else wire.token(goes_on_at)
        return resources_pb2.ListResourcesResponse(resources=page, next_page_token=token)

    async def _resource_at(self, namespace: str, kind: str, name: str) -> resources_pb2.Resource:
        request = resources_pb2.GetResourceRequest(namespace=namespace, address=f"{kind}/{name}")
        found: resources_pb2.GetResourceResponse = await self.anywhere("get_resource")(request)
        return found.resource

    async def list_resource_turns(
        self, request: resources_pb2.ListResourceTurnsRequest
    ) -> resources_pb2.ListResourceTurnsResponse:
        door, limit = self._door(request.namespace), wire.page_size(request.page_size)
        response = resources_pb2.ListResourceTurnsResponse()
        for taken in await door.resource_history(request.address, request.after_seq, limit):
            response.turns.append(wire.turn(taken))
            if response.ByteSize() > PAGE_BYTES:
                break
        return response

    async def operate_resource(
        self, request: resources_pb2.OperateResourceRequest
    ) -> resources_pb2.OperateResourceResponse:
        door, address = self._door(request.namespace), request.address
        by, note, key = request.by, request.note, wire.key(request.idempotency_key)
        match request.WhichOneof("operation"):
            case "drain":
                await door.drain_resource(address, by=by, note=note, idempotency_key=key)
            case "resume":
                await door.resume_resource(address, by=by, note=note, idempotency_key=key)
            case "destroy":
                force = request.destroy.force
                await door.destroy_resource(address, force=force, by=by, note=note, idempotency_key=key)
            case "capacity":
                units = request.capacity.units or None
                await door.set_capacity(address, units, by=by, note=note, idempotency_key=key)
            case "settle":
                outcome, told = request.settle.outcome, request.settle.handle
                handle = wire.value(told, "the handle") if told else None
                if outcome not in SETTLED:
                    raise BadRequest(f"outcome {outcome!r}: say one of {', '.join(SETTLED)}")
                await door.settle_resource(address, outcome, handle, by=by, note=note, idempotency_key=key)
            case _:
                raise BadRequest("an operation is needed: drain, resume, destroy, capacity or settle")
        return resources_pb2.OperateResourceResponse()


def _wanted(request: resources_pb2.AcquireRequest) -> LeaseRequest:
    kind = checked_address(request.address).partition("/")[0]
    return LeaseRequest(
        address=request.address,
        kind="" if kind in (LOCK, SEMAPHORE) else kind.partition(".")[2],
        units=request.units or 1,
        exclusive=request.exclusive,
        priority=request.priority,
        wait_s=wire.duration_s(request.wait) if request.HasField("wait") else None,
        spec=wire.text(request.spec),
        capacity=request.capacity or None,
    )


def _brief(resource: resources_pb2.Resource) -> resources_pb2.Resource:
    """Of many, who waits and what the driver is asked is left to GetResource; of those who hold it, some are told."""
    shown = msgspec.json.decode(resource.description)
    for name in ("queue", "intents"):
        shown.pop(name, None)
    if len(shown.get("leases", ())) > BRIEF_LEASES:
        shown["leases"] = shown["leases"][:BRIEF_LEASES]
    resource.description = msgspec.json.encode(shown)
    return resource


def _place(token: str) -> ResourcePlace | None:
    return None if not token else wire.from_token(token, ResourcePlace)


def _resource(described: ResourceDescription) -> resources_pb2.Resource:
    shown = msgspec.to_builtins(described)
    for name in ("handle", "spec"):
        shown[name] = msgspec.json.decode(getattr(described, name) or b"null")
    return resources_pb2.Resource(
        key=described.key,
        type=described.type,
        state=described.state,
        description=msgspec.json.encode(shown),
        since=wire.timestamp(described.since),
    )
