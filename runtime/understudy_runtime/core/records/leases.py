"""Leases as their holders, runs and handlers of actors, know them. What the resource knows is in `resources`."""

from __future__ import annotations

from msgspec import Raw

from understudy_runtime.core.kinds import Command, MaybeRaw, Note


class LeaseRequested(Command, frozen=True):
    """A lease of the resource `to` (`kind/id` within the namespace) is awaited; see `AcquireLease`."""

    call: int
    to: str
    units: int = 1
    exclusive: bool = False
    priority: int = 0
    wait_s: float | None = None
    spec: MaybeRaw = None
    digest: str = ""
    capacity: int | None = None


class LeaseEnded(Command, frozen=True):
    """The block of the lease that `call` asked for has ended. It is returned when all that was called in it has."""

    call: int


class OperationScheduled(Command, frozen=True):
    """An `@operation` of a resource is invoked under the lease that the call `lease` asked for."""

    call: int
    lease: int
    operation: str
    args: Raw
    digest: str = ""


class LeaseReturned(Note, frozen=True):
    """The lease that `call` of `execution` asked for goes back, by a `ReleaseLease` in the same turn."""

    call: int
    execution: int = 1


class AttemptLeft(Note, frozen=True):
    """Nothing of a call under a lease, which nobody awaits, runs any more: its leases may go back."""

    call: int
    execution: int = 1


LeaseRecord = LeaseRequested | LeaseEnded | OperationScheduled | LeaseReturned | AttemptLeft
