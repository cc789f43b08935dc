"""What the machine knows of a resource.

`Life` is small, and a turn works on a copy of it; leases, the queue and operations may be many, and are never copied.
"""

from __future__ import annotations

from typing import Final

import msgspec

from understudy_runtime.core.deliveries import Deliveries
from understudy_runtime.core.kinds import Failure, MaybeRaw, Sender
from understudy_runtime.core.records.resources import LeaseEnd, What
from understudy_runtime.core.resource.states import State

MAX_WAITERS: Final = 10_000
MAX_LEASES: Final = 10_000
MAX_OPERATIONS: Final = 1_000
"""Operations of one resource that wait or run."""
MAX_CAPACITY: Final = 1_000_000
MAX_ENDED: Final = 256
"""Leases that have ended and of which it is known how."""
SPARE_S: Final = 10.0
"""So long at least, a client that waits has to find the node that has taken over: it tries every few seconds."""
RANK_S: Final = 10.0
"""What one point of priority is worth, in seconds of waiting. A request is so overtaken only by those made within
`2 * MAX_PRIORITY * RANK_S` after it: nobody starves."""


class Intent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something asked of the driver that has no answer yet; with `retry_at`, it waits to be asked again."""

    what: What
    since: float
    fence: int = 0
    attempt: int = 1
    dispatch: int = 1
    retry_at: float | None = None
    handle: MaybeRaw = None
    units: int = 0

    @property
    def out(self) -> bool:
        return self.retry_at is None


class Life(msgspec.Struct, omit_defaults=True):
    """Where the resource stands in its life, and how much of it is used. Times in seconds since 1970.

    `numbers` counts everything that has ever been asked of the driver or waited; `spec` is that of this incarnation,
    `wanted` that of the next; `capacity` is what an operator has set, `declared` what a semaphore's users say. `doomed`
    is why it is to go as soon as it can. `checks` is the number of the watch that is on, or 0. `tries` counts the
    failures of this creation, `attempt` its attempts. After `late_at` something may still come into being that nobody
    waits for.
    """

    state: State = "absent"
    since: float = 0.0
    cause: str = ""
    by: str = ""
    node: str = ""
    failure: Failure | None = None
    fence: int = 0
    numbers: int = 0
    handle: MaybeRaw = None
    spec: MaybeRaw = None
    spec_digest: str = ""
    wanted: MaybeRaw = None
    wanted_digest: str = ""
    capacity: int | None = None
    declared: int | None = None
    create_fence: int = 0
    creating_since: float = 0.0
    ready_since: float = 0.0
    idle_since: float | None = None
    last_holder: str = ""
    doomed: str = ""
    doomed_by: str = ""
    tries: int = 0
    attempt: int = 0
    late_at: float | None = None
    swept_at: float = 0.0
    sweep_wanted: bool = False
    used: int = 0
    leases: int = 0
    exclusive: int = 0
    waiting: int = 0
    operations: int = 0
    running: int = 0
    intents: dict[int, Intent] = {}
    checks: int = 0
    checks_known: str = ""

    @property
    def busy(self) -> bool:
        return bool(self.leases or self.waiting or self.operations)

    @property
    def free_to_end(self) -> bool:
        """Nobody holds it, nothing is done in it, and nothing is asked of the driver about it."""
        return not (self.leases or self.operations or self.intents)


class Waiter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request in the queue. `number` is what a client's answer is known by; `asked_at` is when a client last said
    that it waits, if that was not `since`. `spared`: it was let off that once, and has not said so again.
    """

    holder: Sender
    number: int
    rank: float
    since: float
    units: int = 1
    exclusive: bool = False
    priority: int = 0
    deadline: float | None = None
    ttl_s: float | None = None
    asked_at: float = 0.0
    spared: bool = False

    @property
    def lapses_at(self) -> float | None:
        """When a client that has not asked again is taken for gone; a run's request goes with its run."""
        if self.ttl_s is None:
            return None
        return max(self.since, self.asked_at) + (max(self.ttl_s, SPARE_S) if self.spared else self.ttl_s)

    @property
    def ends_at(self) -> float | None:
        """When it leaves the queue by itself, for whatever reason."""
        return min((at for at in (self.deadline, self.lapses_at) if at is not None), default=None)

    def is_silent(self, now: float) -> bool:
        return self.lapses_at is not None and self.lapses_at <= now


class Lease(msgspec.Struct, frozen=True, omit_defaults=True):
    holder: Sender
    number: int
    fence: int
    since: float
    units: int = 1
    exclusive: bool = False
    expires_at: float | None = None


class Ended(msgspec.Struct, frozen=True, omit_defaults=True):
    holder: str
    why: LeaseEnd
    at: float
    by: str = ""


class Operation(msgspec.Struct, frozen=True, omit_defaults=True):
    """An `@operation` that was taken and not answered yet. It waits while `dispatch` is 0."""

    sender: Sender
    holder: str
    fence: int
    operation: str
    since: float
    args: MaybeRaw = None
    idempotency_key: str = ""
    dispatch: int = 0


class Line(msgspec.Struct, omit_defaults=True):
    """The calls of one operation: those that wait, how many run, and when the last ones began.

    Those that have begun have taken up its rate until `clear_at`; 0.0 if an earlier release has not noted that.
    """

    waiting: list[int] = []
    running: int = 0
    starts: list[float] = []
    clear_at: float = 0.0


class ResourceState(msgspec.Struct, omit_defaults=True):
    """`queue` has (rank, number, holder) of each waiter, in order; `deadlines` has (when, holder) of waits and leases
    that end by time. `ended` is by fence.
    """

    key: str
    last_seq: int = 0
    turns: int = 0
    created_at: float = 0.0
    life: Life = msgspec.field(default_factory=Life)
    waiters: dict[str, Waiter] = {}
    queue: list[tuple[float, int, str]] = []
    leases: dict[str, Lease] = {}
    deadlines: list[tuple[float, str]] = []
    ended: dict[int, Ended] = {}
    operations: dict[int, Operation] = {}
    lines: dict[str, Line] = {}
    deliveries: Deliveries = msgspec.field(default_factory=Deliveries)

    @property
    def silenced(self) -> list[str]:
        """The clients that wait and may have had no node that they could tell so."""
        return [name for name, waiter in self.waiters.items() if waiter.ttl_s is not None and not waiter.spared]

    def in_time(self) -> list[tuple[float, str]]:
        """What `deadlines` must be."""
        ends = [(waiter.ends_at, name) for name, waiter in self.waiters.items()]
        ends += [(lease.expires_at, name) for name, lease in self.leases.items()]
        return sorted((at, name) for at, name in ends if at is not None)


def holder_name(holder: Sender) -> str:
    return f"{holder.key}:{holder.execution}:{holder.call}"
