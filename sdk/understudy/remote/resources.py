"""Resources at a remote node: the part of `RemoteDoor` that implements `ResourceDoor`."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from google.protobuf import duration_pb2

from understudy.context import Granted, LeaseRequest
from understudy.door import HistoryTurn
from understudy.errors import Unreachable
from understudy.failures import clean_text
from understudy.remote import wire
from understudy.remote.session import Session
from understudy.resource_door import SettledAs
from understudy.resourcing import ResourceDescription
from understudy_proto.v1 import resources_pb2

PATIENCE_S: Final = 20.0
"""A wait for a lease is asked about again after so long, so that a connection that broke unseen is found out."""
MAX_PAGE: Final = 1_000
_Operate: Final = resources_pb2.OperateResourceRequest


class RemoteResources:
    _session: Session
    _namespace: str

    async def acquire_lease(self, request: LeaseRequest, *, holder: str, ttl_s: float) -> Granted:
        asked = resources_pb2.AcquireRequest(
            namespace=self._namespace,
            address=request.address,
            holder=holder,
            units=request.units,
            exclusive=request.exclusive,
            priority=request.priority,
            wait=None if request.wait_s is None else _duration(request.wait_s),
            ttl=_duration(ttl_s),
            spec=request.spec.encode(),
            capacity=request.capacity or 0,
            patience=_duration(PATIENCE_S),
        )
        try:
            while True:
                answer = await self._session.call("acquire", asked, waits=True)
                if answer.granted:
                    return Granted(0, answer.fence, answer.units, answer.handle or b"null")
        except Unreachable:
            raise
        except BaseException:
            await self.release_lease(request.address, holder=holder, fence=0)
            raise

    async def renew_lease(self, address: str, *, holder: str, fence: int, ttl_s: float) -> None:
        request = resources_pb2.RenewRequest(
            namespace=self._namespace, address=address, holder=holder, fence=fence, ttl=_duration(ttl_s)
        )
        await self._session.call("renew", request)

    async def release_lease(self, address: str, *, holder: str, fence: int) -> None:
        request = resources_pb2.ReleaseRequest(namespace=self._namespace, address=address, holder=holder, fence=fence)
        await self._session.call("release", request)

    async def describe_resource(self, address: str) -> ResourceDescription:
        request = resources_pb2.GetResourceRequest(namespace=self._namespace, address=address)
        answer = await self._session.call("get_resource", request)
        return _description(answer.resource)

    async def list_resources(self, *, kind: str, limit: int) -> list[ResourceDescription]:
        found: list[ResourceDescription] = []
        request = resources_pb2.ListResourcesRequest(namespace=self._namespace, kind=kind)
        while len(found) < limit:
            request.page_size = min(limit - len(found), MAX_PAGE)
            page = await self._unary("ResourceService/ListResources", request, resources_pb2.ListResourcesResponse)
            found += [_description(each) for each in page.resources]
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        return found

    async def resource_history(self, address: str, after: int, limit: int) -> list[HistoryTurn]:
        turns: list[HistoryTurn] = []
        request = resources_pb2.ListResourceTurnsRequest(namespace=self._namespace, address=address, after_seq=after)
        while len(turns) < limit:
            request.page_size = min(limit - len(turns), MAX_PAGE)
            page = await self._unary(
                "ResourceService/ListResourceTurns", request, resources_pb2.ListResourceTurnsResponse
            )
            if not page.turns:
                break
            turns += [wire.turn(turn) for turn in page.turns]
            request.after_seq = turns[-1].seq
        return turns

    async def drain_resource(self, address: str, *, by: str, note: str) -> None:
        await self._operate(address, by, note, _Operate(drain=_Operate.Drain()))

    async def resume_resource(self, address: str, *, by: str, note: str) -> None:
        await self._operate(address, by, note, _Operate(resume=_Operate.Resume()))

    async def destroy_resource(self, address: str, *, force: bool, by: str, note: str) -> None:
        await self._operate(address, by, note, _Operate(destroy=_Operate.Destroy(force=force)))

    async def set_capacity(self, address: str, units: int | None, *, by: str, note: str) -> None:
        await self._operate(address, by, note, _Operate(capacity=_Operate.Capacity(units=units or 0)))

    async def settle_resource(
        self, address: str, outcome: SettledAs, handle: bytes | None, *, by: str, note: str
    ) -> None:
        settle = _Operate.Settle(outcome=outcome, handle=handle or b"")
        await self._operate(address, by, note, _Operate(settle=settle))

    async def _operate(self, address: str, by: str, note: str, request: resources_pb2.OperateResourceRequest) -> None:
        request.namespace, request.address = self._namespace, address
        request.by, request.note = clean_text(by), clean_text(note)
        request.idempotency_key = self._session.key()
        await self._session.call("operate_resource", request)

    async def _unary(self, method: str, request: Any, response: Any) -> Any:
        raise NotImplementedError


def _description(resource: resources_pb2.Resource) -> ResourceDescription:
    told: dict[str, Any] = msgspec.json.decode(resource.description)
    plain = {name: msgspec.json.encode(told.pop(name, None)) for name in ("handle", "spec")}
    described = msgspec.convert(told, ResourceDescription)
    return msgspec.structs.replace(
        described, **{name: b"" if data == b"null" else data for name, data in plain.items()}
    )


def _duration(seconds: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration
