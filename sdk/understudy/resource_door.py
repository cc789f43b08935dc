"""What a client needs of a `Door` to look at resources, to mind them, and to hold leases of them from outside."""

from __future__ import annotations

from typing import Final, Literal, Protocol, cast

from understudy.context import Granted, LeaseRequest
from understudy.door import HistoryTurn
from understudy.errors import BadInput, BadRequest
from understudy.resourcing import ResourceDescription

SettledAs = Literal["created", "not_created", "destroyed", "not_destroyed"]
SETTLED: Final[tuple[SettledAs, ...]] = ("created", "not_created", "destroyed", "not_destroyed")
LOCK: Final = "lock"
SEMAPHORE: Final = "semaphore"
RESOURCE_PREFIX: Final = "resource."
MAX_TTL_S: Final = 24 * 3600.0
MIN_TTL_S: Final = 1.0


class ResourceDoor(Protocol):
    """An `address` is `resource.<type>/<id>`, `lock/<name>` or `semaphore/<name>`. Changes are durable on return.

    `by` says who asks, for the history; `note` says why.
    """

    async def acquire_lease(self, request: LeaseRequest, *, holder: str, ttl_s: float) -> Granted:
        """Returns when it is granted; cancelled, the place in the queue is given up too.

        It ends after `ttl_s` unless it is renewed. The same `holder`, asking again, gets the lease that it has.
        LeaseTimedOut, or ResourceFailed.
        """
        ...

    async def renew_lease(self, address: str, *, holder: str, fence: int, ttl_s: float) -> None:
        """LeaseLost if the lease has ended."""
        ...

    async def release_lease(self, address: str, *, holder: str, fence: int) -> None:
        """Nothing happens if it has ended already."""
        ...

    async def describe_resource(self, address: str) -> ResourceDescription: ...

    async def list_resources(self, *, kind: str, limit: int) -> list[ResourceDescription]:
        """Those of this kind (`resource.<type>`, `lock`, `semaphore`), newest first; empty for all but locks and
        semaphores."""
        ...

    async def resource_history(self, address: str, after: int, limit: int) -> list[HistoryTurn]:
        """At most `limit` turns after turn `after`, in order."""
        ...

    async def drain_resource(self, address: str, *, by: str, note: str) -> None: ...
    async def resume_resource(self, address: str, *, by: str, note: str) -> None: ...
    async def destroy_resource(self, address: str, *, force: bool, by: str, note: str) -> None: ...
    async def set_capacity(self, address: str, units: int | None, *, by: str, note: str) -> None: ...

    async def settle_resource(
        self, address: str, outcome: SettledAs, handle: bytes | None, *, by: str, note: str
    ) -> None: ...


def resource_door(door: object) -> ResourceDoor:
    """The door, if resources can be reached through it; else BadRequest."""
    if not hasattr(door, "acquire_lease"):
        raise BadRequest("resources cannot be reached over this connection; use embedded(), or the command line")
    return cast("ResourceDoor", door)


def checked_ttl(ttl_s: float) -> float:
    if not MIN_TTL_S <= ttl_s <= MAX_TTL_S:
        raise BadRequest(f"a ttl of {ttl_s:g} s: give from {MIN_TTL_S:g} s to {MAX_TTL_S:g} s")
    return ttl_s


def checked_address(address: str) -> str:
    """`address`, if it may be that of a resource, lock or semaphore; else BadInput."""
    kind, _, name = address.partition("/")
    known = kind in (LOCK, SEMAPHORE) or (kind.startswith(RESOURCE_PREFIX) and len(kind) > len(RESOURCE_PREFIX))
    if not known or not 0 < len(name) <= 512 or not name.isprintable():
        raise BadInput(f"{address[:60]!a} is no address: write resource.TYPE/ID, lock/NAME or semaphore/NAME")
    return address
