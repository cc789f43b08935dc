"""What a resource notes down: its journal is the answer to "who terminated this cluster, and why".

A record says all that `apply` needs, so that what has happened stays as it was when rules and options change. A
`holder` is known by its name: `key:execution:call` of its `Sender`.
"""

from __future__ import annotations

from typing import Literal

from understudy_runtime.core.kinds import Failure, MaybeRaw, Note, Sender
from understudy_runtime.core.resource.states import State

What = Literal["create", "find", "destroy", "verify", "scale", "list", "stray"]
"""What is asked of the driver: `verify` is a single `check` of what a destroy of unknown outcome has left, and `stray`
the destroy of something that `list` knows and nobody uses.
"""
WaitEnd = Literal["withdrawn", "timeout", "too_big", "silent"]
LeaseEnd = Literal["released", "expired", "revoked", "gone"]


class ResourceMoved(Note, frozen=True):
    """The resource is in another state of its life: why, and on which node that was decided.

    `by` is the operator who asked for it, the run or client it was done for, or, if it was for nobody, who last got a
    lease of it. `fence` is the latest by then.
    """

    state: State
    cause: str
    by: str = ""
    fence: int = 0
    node: str = ""
    failure: Failure | None = None


class SpecGiven(Note, frozen=True):
    """What the next incarnation is to be like; `at_once`: this one, too, which is only so described."""

    spec: MaybeRaw = None
    digest: str = ""
    at_once: bool = False


class CapacitySet(Note, frozen=True):
    """`units` can be had at once; None: as many as the code says. `by` is empty if the code said so."""

    units: int | None = None
    by: str = ""


class ResourceCommanded(Note, frozen=True):
    """An operator has asked for something, in words; what it led to follows in the same turn or in later ones."""

    what: str
    by: str = ""
    note: str = ""
    idempotency_key: str = ""


class ResourceDoomed(Note, frozen=True):
    """It is to be drained as soon as its creation has ended."""

    cause: str
    by: str = ""


# --- leases


class LeaseAwaited(Note, frozen=True):
    """A request joins the queue, behind all of a lower `rank`."""

    holder: Sender
    number: int
    rank: float
    units: int = 1
    exclusive: bool = False
    priority: int = 0
    deadline: float | None = None
    ttl_s: float | None = None


class LeaseGranted(Note, frozen=True):
    """`waited`: out of the queue. `expires_at` is None for leases of runs, which are returned however the run ends."""

    holder: Sender
    number: int
    fence: int
    units: int = 1
    exclusive: bool = False
    waited: bool = False
    ttl_s: float | None = None
    expires_at: float | None = None
    node: str = ""
    """Which granted it."""


class WaitRenewed(Note, frozen=True):
    """A client says that it still waits."""

    holder: str


class WaitsSpared(Note, frozen=True):
    """Clients have a ttl from now, or `SPARE_S`, to say that they still wait: there may have been no node to tell.

    Those that have not said so since the last time are left out.
    """


class WaitEnded(Note, frozen=True):
    """A request has left the queue without a lease."""

    holder: str
    why: WaitEnd


class QueueFailed(Note, frozen=True):
    """All that waited were told that there will be no resource for them."""

    failure: Failure


class LeaseRenewed(Note, frozen=True):
    holder: str
    expires_at: float


class LeaseOver(Note, frozen=True):
    """The lease of this fence has ended; whoever comes with it later is refused."""

    holder: str
    fence: int
    units: int
    why: LeaseEnd
    by: str = ""
    node: str = ""
    """Which took note of it."""


# --- what is asked of the driver


class IntentNoted(Note, frozen=True):
    """The driver is asked for this, by a dispatch of the same turn, or at `retry_at`."""

    call: int
    what: What
    fence: int = 0
    attempt: int = 1
    retry_at: float | None = None
    handle: MaybeRaw = None
    units: int = 0


class IntentRepeated(Note, frozen=True):
    """The driver is asked again, by a dispatch of the same turn."""

    call: int
    attempt: int
    dispatch: int


class IntentFailed(Note, frozen=True):
    """It is to be tried again at `retry_at`."""

    call: int
    failure: Failure
    retry_at: float


class IntentEnded(Note, frozen=True):
    """The driver has answered, or its answer is lost. `costs`: it counts against the tries of a creation."""

    call: int
    failure: Failure | None = None
    costs: bool = False


class ResourceCreated(Note, frozen=True):
    """There is one, known to the outside system by `handle`."""

    handle: MaybeRaw = None
    how: Literal["created", "found", "settled"] = "created"


class CheckBegun(Note, frozen=True):
    """It is looked at again and again, for news that differ from `known`."""

    call: int
    known: str


class CheckEnded(Note, frozen=True):
    """The checks have brought news, or are not needed any more (`news` is empty)."""

    call: int
    news: str = ""


# --- operations


class OperationTaken(Note, frozen=True):
    """`started`: its dispatch is in the same turn; otherwise it waits for its rate or concurrency."""

    call: int
    sender: Sender
    holder: str
    fence: int
    operation: str
    args: MaybeRaw = None
    idempotency_key: str = ""
    started: bool = False
    clear_at: float = 0.0
    """If it is `started`: until when the operation's rate is taken up with it."""


class OperationStarted(Note, frozen=True):
    """Dispatched in the same turn, for the first time or (`dispatch` over 1) again."""

    call: int
    operation: str
    dispatch: int = 1
    clear_at: float = 0.0
    """Until when the operation's rate is taken up with it."""


class OperationOver(Note, frozen=True):
    """Its sender was answered. `failure` is its type, empty if it succeeded; `waited`: it never began."""

    call: int
    operation: str
    failure: str = ""
    waited: bool = False


ResourceRecord = (
    ResourceMoved
    | SpecGiven
    | CapacitySet
    | ResourceCommanded
    | ResourceDoomed
    | LeaseAwaited
    | LeaseGranted
    | WaitRenewed
    | WaitsSpared
    | WaitEnded
    | QueueFailed
    | LeaseRenewed
    | LeaseOver
    | IntentNoted
    | IntentRepeated
    | IntentFailed
    | IntentEnded
    | ResourceCreated
    | CheckBegun
    | CheckEnded
    | OperationTaken
    | OperationStarted
    | OperationOver
)
