"""Resources at the node: the machine of each type there is, and the drivers that it has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from types import MethodType
from typing import Any, Final, NoReturn

import msgspec
from msgspec import Raw

from understudy.actors import checked_id
from understudy.app import App
from understudy.context import Granted, LeaseRequest
from understudy.definitions import ResourceDefinition, TaskDefinition
from understudy.door import HistoryTurn
from understudy.errors import BadDefinition, BadRequest, LeaseLost, UnknownName
from understudy.failures import clean_text, decode_lease_failure
from understudy.resource_door import SettledAs, checked_address, checked_ttl
from understudy.resourcing import ResourceDescription, ResourceOptions
from understudy_runtime.actors.turns import NotHere
from understudy_runtime.core.keys import CLIENT, LOCK, RESOURCE_PREFIX, SEMAPHORE, id_of
from understudy_runtime.core.kinds import Failure, Sender
from understudy_runtime.core.messages import ActorFacts, AnyMessage, Describe, Machine, ReplayFrom, Settled
from understudy_runtime.core.ports import Programs, Store
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.resource.leases import LAPSED
from understudy_runtime.core.resource.machine import ResourceMachine
from understudy_runtime.core.resource.messages import (
    AcquireLease,
    DestroyResource,
    DrainResource,
    LeaseGrant,
    ReleaseLease,
    RenewLease,
    ResumeResource,
    SetCapacity,
    SettleResource,
)
from understudy_runtime.node.bridge import Bridge
from understudy_runtime.node.described import history_turn
from understudy_runtime.rpc.ports import ResourcePlace

BUILT_IN: Final = (LOCK, SEMAPHORE)
MAX_LISTED: Final = 1_000
ASKED: Final = 4
"""How often a resource is asked again for a client that waits, within the ttl of the lease that it wants."""


def resource_machines(apps: Iterable[App], node: str, epoch: Callable[[], int] = int) -> dict[str, Machine[Any]]:
    """By kind: those of the apps' types, of locks and of semaphores. `epoch`: the store's."""
    machines: dict[str, Machine[Any]] = {kind: ResourceMachine(ResourceOptions(kind), node, epoch) for kind in BUILT_IN}
    for name, definition in _types(apps).items():
        machines[RESOURCE_PREFIX + name] = ResourceMachine(definition.options, node, epoch)
    return machines


def machine_for(machines: Mapping[str, Machine[Any]], others: Machine[Any]) -> Callable[[str], Machine[Any]]:
    """Of any kind. A resource of a type that is not here waits for a node that has it; `others` are user-defined."""

    def machine_of(kind: str) -> Machine[Any]:
        known = machines.get(kind)
        if known is not None:
            return known
        return TypeNotHere(kind) if kind.startswith(RESOURCE_PREFIX) else others

    return machine_of


def driver_tasks(apps: Iterable[App]) -> dict[str, TaskDefinition]:
    """The methods of each type, `<type>.<method>`, bound to this node's own instance of it."""
    tasks: dict[str, TaskDefinition] = {}
    for definition in _types(apps).values():
        driver = definition.cls()
        for method in definition.driver.values():
            bound: Any = MethodType(method.fn, driver)
            tasks[method.name] = msgspec.structs.replace(method, fn=bound)
    return tasks


def _types(apps: Iterable[App]) -> dict[str, ResourceDefinition]:
    types: dict[str, ResourceDefinition] = {}
    for app in apps:
        for name, definition in app.resources.items():
            if types.setdefault(name, definition) is not definition:
                raise BadDefinition(f"two apps define the resource {name}; give one of them another name")
    return types


class TypeNotHere:
    """The `Machine` of resources whose type this node's code does not have: their messages stay in their inboxes."""

    def __init__(self, kind: str) -> None:
        self._name = kind.removeprefix(RESOURCE_PREFIX)

    def initial(self, key: str) -> None: ...

    def decide(self, state: None, message: AnyMessage, now: float) -> NoReturn:
        raise NotHere(f"{self._name} (a resource type)")

    def apply(self, state: None, record: AnyRecord, at: float, seq: int) -> None: ...

    def next_duty(self, state: None) -> None: ...

    def facts(self, state: None) -> ActorFacts:
        # Open, so that it is not parked: its row is for nodes to write that know what it says.
        return ActorFacts(self._name, "", 1, "", open=True)

    def replay_from(self, state: None) -> ReplayFrom | None: ...

    def value(self, state: None) -> None: ...

    def encode(self, state: None) -> bytes:
        return b""

    def decode(self, data: bytes) -> None: ...


# --- the part of `LocalDoor`


class LocalResources:
    """Implements `ResourceDoor`; its methods are awaited on the caller's loop."""

    _bridge: Bridge
    _store: Store
    _programs: Programs
    _namespace: str

    async def acquire_lease(self, request: LeaseRequest, *, holder: str, ttl_s: float) -> Granted:
        """Cancelled, it gives up the place in the queue."""
        try:
            granted = await self.acquire_lease_within(request, holder=holder, ttl_s=ttl_s, patience_s=None)
        except asyncio.CancelledError:
            key, release = self._resource(request.address), ReleaseLease(self._holder(holder))
            self._bridge.post(lambda engine: engine.deliver(key, release))
            raise
        assert granted is not None
        return granted

    async def acquire_lease_within(
        self, request: LeaseRequest, *, holder: str, ttl_s: float, patience_s: float | None
    ) -> Granted | None:
        """None after `patience_s`. Then, and when it is cancelled, the place in the queue is kept: whoever waits at the
        other end of a connection that broke, or of a node that closes, comes back for it, within a ttl."""
        sender = self._holder(holder)
        spec, digest = self._spec(request)
        acquire = AcquireLease(
            sender,
            request.units,
            request.exclusive,
            request.priority,
            request.wait_s,
            spec,
            digest,
            request.capacity,
            checked_ttl(ttl_s),
        )
        try:
            async with asyncio.timeout(patience_s):
                settled = await self._wait_for(request.address, acquire, ttl_s)
        except TimeoutError:
            return None
        if settled.failure is not None or settled.result is None:
            raise decode_lease_failure(settled.failure or Failure("Withdrawn", "the request was taken back"))
        grant = _decode_grant(settled.result)
        return Granted(0, grant.fence, grant.units, bytes(grant.handle or b"null"))

    async def _wait_for(self, address: str, acquire: AcquireLease, ttl_s: float) -> Settled:
        """How it ended. A caller that was taken for gone, because its loop or the node had stood still, asks anew."""
        now = asyncio.get_running_loop().time
        ends_at = None if acquire.wait_s is None else now() + acquire.wait_s
        while True:
            with self._asked_for(address, acquire, ttl_s / ASKED):
                settled: Settled = await self._tell_resource(address, acquire)
            if settled.failure is None or settled.failure.type != LAPSED:
                return settled
            if ends_at is not None:
                acquire = msgspec.structs.replace(acquire, wait_s=max(0.0, ends_at - now()))

    @contextmanager
    def _asked_for(self, address: str, acquire: AcquireLease, every_s: float) -> Generator[None]:
        """For as long as the block lasts, the resource is told now and then that it is still waited for."""
        key, still = self._resource(address), msgspec.structs.replace(acquire, still=True)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(every_s, lambda: ask_again())

        def ask_again() -> None:
            nonlocal timer
            self._bridge.post(lambda engine: engine.deliver(key, still))
            timer = loop.call_later(every_s, ask_again)

        try:
            yield
        finally:
            timer.cancel()

    async def renew_lease(self, address: str, *, holder: str, fence: int, ttl_s: float) -> None:
        try:
            await self._tell_resource(address, RenewLease(self._holder(holder), fence, checked_ttl(ttl_s)))
        except BadRequest as refused:
            raise LeaseLost(str(refused)) from None

    async def release_lease(self, address: str, *, holder: str, fence: int) -> None:
        await self._tell_resource(address, ReleaseLease(self._holder(holder), fence))

    async def describe_resource(self, address: str) -> ResourceDescription:
        described: ResourceDescription = await self._tell_resource(address, Describe())
        if not described.created_at:
            raise UnknownName(f"there is no {address} yet: nobody has asked for a lease of it")
        return described

    async def list_resources(self, *, kind: str, limit: int) -> list[ResourceDescription]:
        found: list[ResourceDescription] = []
        last: ResourcePlace | None = None
        while len(found) < limit:
            places, last = await self.resource_places(kind=kind, limit=limit - len(found), after=last)
            found += await asyncio.gather(*(self.describe_resource(f"{each}/{name}") for each, _, name in places))
            if last is None:
                break
        return found

    async def resource_places(
        self, *, kind: str, limit: int, after: ResourcePlace | None = None
    ) -> tuple[list[ResourcePlace], ResourcePlace | None]:
        size = min(limit, MAX_LISTED)
        kinds = [kind] if kind else [RESOURCE_PREFIX + name for name in self._resource_types()]
        places: list[ResourcePlace] = []
        for each in kinds:
            if len(places) <= size and (after is None or each >= after[0]):
                places += await self._places(each, size + 1 - len(places), after)
        return places[:size], places[size - 1] if len(places) > size else None

    async def resource_history(self, address: str, after: int, limit: int) -> list[HistoryTurn]:
        key = self._resource(address)
        turns = await self._bridge.run(lambda engine: engine.history(key, after, limit))
        if not turns and not after:
            raise UnknownName(f"there is no {address} yet: nobody has asked for a lease of it")
        return [history_turn(turn) for turn in turns]

    async def drain_resource(self, address: str, *, by: str, note: str, idempotency_key: str = "") -> None:
        await self._tell_resource(address, DrainResource(clean_text(by), clean_text(note), idempotency_key))

    async def resume_resource(self, address: str, *, by: str, note: str, idempotency_key: str = "") -> None:
        await self._tell_resource(address, ResumeResource(clean_text(by), clean_text(note), idempotency_key))

    async def destroy_resource(
        self, address: str, *, force: bool, by: str, note: str, idempotency_key: str = ""
    ) -> None:
        await self._tell_resource(address, DestroyResource(force, clean_text(by), clean_text(note), idempotency_key))

    async def set_capacity(
        self, address: str, units: int | None, *, by: str, note: str, idempotency_key: str = ""
    ) -> None:
        await self._tell_resource(address, SetCapacity(units, clean_text(by), clean_text(note), idempotency_key))

    async def settle_resource(
        self, address: str, outcome: SettledAs, handle: bytes | None, *, by: str, note: str, idempotency_key: str = ""
    ) -> None:
        told = None if handle is None else Raw(handle)
        settle = SettleResource(outcome, told, clean_text(by), clean_text(note), idempotency_key)
        await self._tell_resource(address, settle)

    def _spec(self, request: LeaseRequest) -> tuple[Raw | None, str]:
        """As JSON in the one form that digests are of; BadInput if it does not fit the type."""
        definition = self._types.get(request.kind)
        if not request.spec or definition is None:
            return None, ""
        value = definition.spec.decode(request.spec.encode(), f"the spec of {request.kind}")
        data, digest = definition.encode_spec(value)
        return Raw(data), digest

    def _holder(self, holder: str) -> Sender:
        return Sender(f"{self._namespace}/{CLIENT}/{checked_id(holder)}", 1, 1)

    def _resource(self, address: str) -> str:
        kind = checked_address(address).partition("/")[0]
        if kind.startswith(RESOURCE_PREFIX) and not self._programs.has(kind, kind.removeprefix(RESOURCE_PREFIX)):
            known = ", ".join(self._resource_types()) or "none"
            raise UnknownName(f"this node has no resource type {kind.removeprefix(RESOURCE_PREFIX)}; it has: {known}")
        return f"{self._namespace}/{address}"

    def _resource_types(self) -> list[str]:
        return sorted(self._types)

    @property
    def _types(self) -> Mapping[str, ResourceDefinition]:
        types: Mapping[str, ResourceDefinition] = getattr(self._programs, "resources", {})
        return types

    async def _tell_resource(self, address: str, message: AnyMessage) -> Any:
        key = self._resource(address)
        return await self._bridge.ask(lambda engine, reply: engine.deliver(key, message, reply))

    async def _places(self, kind: str, limit: int, after: ResourcePlace | None) -> list[ResourcePlace]:
        before = None
        if after is not None and after[0] == kind:
            before = (after[1], f"{self._namespace}/{kind}/{after[2]}")
        rows = await self._bridge.run(
            lambda _: self._store.rows(namespace=self._namespace, kind=kind, limit=limit, before=before)
        )
        return [(kind, row.created_at, id_of(row.key)) for row in rows]


_decode_grant: Final = msgspec.json.Decoder(LeaseGrant).decode
