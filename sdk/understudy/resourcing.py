"""What the runtime must know of a type of resource: frozen data that the machine of resources goes by."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Final, Literal

import msgspec

from understudy.options import RetryPolicy

PATIENT: Final = RetryPolicy(attempts=10, cap_s=60.0)
"""Some four minutes, so that an outside system may be away for a while."""
BURST_S: Final = 0.05

Health = Literal["starting", "healthy", "unhealthy", "gone"]
"""What `check` says: not yet to be used, fit for use, not fit for use, or no longer there."""


class OperationOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rules for one `@operation`: `rate` starts a second, evenly, of which `burst` may come at once; `concurrency`.

    In any window of `w` seconds there begin at most `w * rate + burst`. A `burst` of 0 is what the rate comes to in
    `BURST_S`, at least 1: about as exactly as a node can tell the time to begin.
    One that is `idempotent` is done again when its outcome is not known; of any other the caller is told so.
    """

    rate: float | None = None
    concurrency: int | None = None
    timeout_s: float | None = None
    idempotent: bool = False
    burst: int = 0

    @property
    def at_once(self) -> int:
        """How many may begin at the same time if none has for long."""
        return self.burst or max(1, ceil((self.rate or 0.0) * BURST_S))


class ResourceOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rules for one type of resource; times in seconds, None for never or unbounded.

    `driver` names the methods that the type has, of `create`, `find`, `check`, `destroy`, `list` and `scale`. A
    resource without `create` is static: it is there already, never ended, and its handle is its spec. `unhealthy_after`
    checks in a row that find it unfit (or fail) make it `failed`; then it is created anew "on_demand", or "never".
    """

    name: str
    driver: frozenset[str] = frozenset()
    capacity: int = 1
    idle_timeout_s: float | None = None
    max_age_s: float | None = None
    check_every_s: float | None = None
    unhealthy_after: int = 3
    create_timeout_s: float = 3600.0
    create_retry: RetryPolicy = PATIENT
    destroy_timeout_s: float = 3600.0
    recreate: Literal["on_demand", "never"] = "on_demand"
    sweep_every_s: float | None = None
    operations: Mapping[str, OperationOptions] = {}


class LeaseDescription(msgspec.Struct, frozen=True, omit_defaults=True):
    """A lease that is held. `holder` is `key:execution:call`; `expires_at` is None for a run's."""

    holder: str
    fence: int
    units: int
    exclusive: bool = False
    since: float = 0.0
    expires_at: float | None = None


class WaitDescription(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request for a lease that waits. The queue goes by `rank`: its time, 10 s earlier for each point of priority."""

    holder: str
    units: int
    exclusive: bool = False
    priority: int = 0
    since: float = 0.0
    deadline: float | None = None
    rank: float = 0.0


class IntentDescription(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something asked of the driver that has no answer yet; `retry_at`: it failed, and is tried again then."""

    what: str
    fence: int = 0
    attempt: int = 1
    since: float = 0.0
    retry_at: float | None = None


class ResourceDescription(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a resource, a lock or a semaphore stands. Times are seconds since 1970; `handle` and `spec` are JSON.

    `state` is one of absent, creating, uncertain, ready, draining, destroying, failed; since when, why, for whom and on
    which node follow. `queue` and `leases` hold the first thousand; `waiting` and `held` count all.
    """

    key: str
    type: str
    state: str
    since: float = 0.0
    cause: str = ""
    by: str = ""
    node: str = ""
    fence: int = 0
    handle: bytes = b""
    spec: bytes = b""
    capacity: int = 1
    used: int = 0
    held: int = 0
    waiting: int = 0
    leases: tuple[LeaseDescription, ...] = ()
    queue: tuple[WaitDescription, ...] = ()
    operations: int = 0
    intents: tuple[IntentDescription, ...] = ()
    failure_type: str = ""
    failure_message: str = ""
    created_at: float = 0.0
    idle_since: float | None = None
