"""What resources, locks and semaphores are told, and what they answer."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw

from understudy_runtime.core.kinds import MaybeRaw, Message, Sender


class AcquireLease(Message, frozen=True):
    """A lease is wanted, by the call `holder` of a run, or by a client, whose key is `namespace/client/<id>`.

    A run is answered by an `Answer` whose result is a `LeaseGrant`, or whose failure is of the kind `timeout` when
    `wait_s` have passed first. A client gets `Later`, and `Settled` when it is granted; only its leases have a
    `ttl_s`. `capacity` is what a semaphore is asked for with. Sent again by the same holder, it changes nothing, but
    that a client's request lives on: one that was not asked for again within its `ttl_s` is not granted, because
    whoever asked may be gone. `still`: all it is to say is that, and it is answered at once.
    """

    holder: Sender
    units: int = 1
    exclusive: bool = False
    priority: int = 0
    wait_s: float | None = None
    spec: MaybeRaw = None
    digest: str = ""
    capacity: int | None = None
    ttl_s: float | None = None
    still: bool = False


class ReleaseLease(Message, frozen=True):
    """The holder has done with its lease, or wants it no more: a wait ends with it too, and a late grant comes back.

    With a `fence`, only the lease of that fence is meant.
    """

    holder: Sender
    fence: int = 0


class RenewLease(Message, frozen=True):
    """A client is still there. Refused if the lease of this fence has ended."""

    holder: Sender
    fence: int
    ttl_s: float


class InvokeOperation(Message, frozen=True):
    """Run an `@operation` for `sender`, which holds the lease with this fence as `holder`; answered by an `Answer`."""

    sender: Sender
    holder: Sender
    fence: int
    operation: str
    args: Raw
    idempotency_key: str = ""


class LeaseGrant(msgspec.Struct, frozen=True, omit_defaults=True):
    """A lease as its holder gets it. `handle` is the outside system's name for the resource; None for locks."""

    fence: int
    units: int = 1
    handle: MaybeRaw = None


# --- from operators; `by` says who, `note` why


class DrainResource(Message, frozen=True):
    """Grant no more leases, wait for those there are, and then end it; whoever asks for one waits for the next.

    What is static, a lock too, is only kept from granting, until it is resumed.
    """

    by: str = ""
    note: str = ""
    idempotency_key: str = ""


class ResumeResource(Message, frozen=True):
    """Take a drain back that has not ended anything yet; look again, after a failure or when it is uncertain."""

    by: str = ""
    note: str = ""
    idempotency_key: str = ""


class DestroyResource(Message, frozen=True):
    """End it now. With leases on it only by `force`, which revokes them."""

    force: bool = False
    by: str = ""
    note: str = ""
    idempotency_key: str = ""


class SetCapacity(Message, frozen=True):
    """So many units, whatever the code says; None: as the code says. What can be scaled, is."""

    units: int | None
    by: str = ""
    note: str = ""
    idempotency_key: str = ""


class SettleResource(Message, frozen=True):
    """A person says what became of a create or destroy whose outcome is unknown; `handle` of what was created."""

    outcome: Literal["created", "not_created", "destroyed", "not_destroyed"]
    handle: MaybeRaw = None
    by: str = ""
    note: str = ""
    idempotency_key: str = ""


OperatorMessage = DrainResource | ResumeResource | DestroyResource | SetCapacity | SettleResource
ResourceMessage = AcquireLease | ReleaseLease | RenewLease | InvokeOperation | OperatorMessage
