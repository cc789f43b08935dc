"""Leases: who gets one, in which order, and how they end.

The queue goes by a rank fixed when the request is made, its time less `RANK_S` for each point of priority: first in,
first out within a priority, and nobody starves. The first in the queue is never overtaken by a later rank, however
little that one asks for: a request for all of it gets its turn.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from understudy.options import MAX_PRIORITY
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.kinds import Failure, MaybeRaw, Sender
from understudy_runtime.core.messages import Accepted, Later, Refused, Settled
from understudy_runtime.core.records.resources import (
    CapacitySet,
    LeaseAwaited,
    LeaseEnd,
    LeaseGranted,
    LeaseOver,
    LeaseRenewed,
    QueueFailed,
    SpecGiven,
    WaitEnd,
    WaitEnded,
    WaitRenewed,
    WaitsSpared,
)
from understudy_runtime.core.resource import operations
from understudy_runtime.core.resource.messages import AcquireLease, LeaseGrant, ReleaseLease, RenewLease
from understudy_runtime.core.resource.plan import Plan, is_client
from understudy_runtime.core.resource.state import (
    MAX_CAPACITY,
    MAX_LEASES,
    MAX_WAITERS,
    RANK_S,
    Lease,
    ResourceState,
    Waiter,
    holder_name,
)
from understudy_runtime.core.resource.states import GRANTING

NOTED: Final = 2
"""So often at most, within its ttl, it is noted that a client still waits."""
LEASE_LOST: Final = "LeaseLost"
RESOURCE_FAILED: Final = "ResourceFailed"
LAPSED: Final = "Lapsed"
"""Of a client's wait that nobody has asked for again; whoever hears of it is still there, and asks anew."""


# --- asking for one


def acquire(plan: Plan, message: AcquireLease) -> None:
    """Take the request in; what becomes of it beyond the queue is for the rest of the turn."""
    holder, state = message.holder, plan.state
    name = holder_name(holder)
    if (waiter := state.waiters.get(name)) is not None:
        _still_waits(plan, name, waiter)
        plan.decision.reply = Accepted() if message.still else Later(waiter.number)
        return
    if message.still:
        plan.decision.reply = Accepted()
        return
    if (lease := state.leases.get(name)) is not None:
        _grant_again(plan, lease)
        return
    _declare(plan, message)
    refused = _refusal(plan, message)
    if refused is not None:
        _refuse(plan, holder, refused)
        return
    _specify(plan, message)
    _enter(plan, name, message)


def _still_waits(plan: Plan, name: str, waiter: Waiter) -> None:
    """Noted now and then, so that a client that asks in a loop costs no more rows than one that waits."""
    if waiter.ttl_s is None or waiter.lapses_at is None:
        return
    plan.heard.add(name)
    if waiter.spared or waiter.lapses_at - plan.now <= waiter.ttl_s * (1 - 1 / NOTED):
        plan.note(WaitRenewed(name))
        plan.remember_deadline(plan.now + waiter.ttl_s)


def recovered(plan: Plan) -> None:
    """A place outlives the node: the clients that wait have a while to find this one.

    Each is spared only once until it is heard of: who is gone must not stay for as long as nodes come and go.
    """
    spared = plan.state.silenced
    if spared:
        plan.heard.update(spared)
        plan.note(WaitsSpared())


def _enter(plan: Plan, name: str, message: AcquireLease) -> None:
    """Ahead of all that wait there may be room at once; otherwise it joins the queue."""
    if plan.static and plan.life.state == "absent":
        plan.move("ready", "a lease is wanted", name)
    number, rank = plan.number(), plan.now - RANK_S * message.priority
    deadline = None if message.wait_s is None else plan.now + message.wait_s
    waiter = Waiter(
        message.holder,
        number,
        rank,
        plan.now,
        message.units,
        message.exclusive,
        message.priority,
        deadline,
        message.ttl_s if is_client(message.holder) else None,
    )
    if is_client(message.holder):
        plan.decision.reply = Later(number)
    serve(plan, rank)
    first = head(plan)
    if (first is None or rank < first.rank) and fits(plan, waiter.units, exclusive=waiter.exclusive):
        _grant(plan, waiter, waited=False)
        return
    plan.note(
        LeaseAwaited(
            waiter.holder,
            number,
            rank,
            waiter.units,
            waiter.exclusive,
            waiter.priority,
            deadline,
            waiter.ttl_s,
        )
    )
    plan.newcomer_rank = rank
    plan.remember_deadline(waiter.ends_at)


def _declare(plan: Plan, message: AcquireLease) -> None:
    """Users of a semaphore say how many it has; the newest word counts, unless an operator has had one."""
    units = message.capacity
    if units is not None and units != plan.life.declared and 1 <= units <= MAX_CAPACITY:
        plan.note(CapacitySet(units))


def _refusal(plan: Plan, message: AcquireLease) -> Refused | None:
    life, name = plan.life, plan.name
    if message.capacity is not None and not 1 <= message.capacity <= MAX_CAPACITY:
        return Refused("BadRequest", f"{name}: a capacity is a number from 1 to {MAX_CAPACITY}")
    if message.units < 1 or abs(message.priority) > MAX_PRIORITY:
        return Refused("BadRequest", f"{name}: units are 1 or more, and priorities -{MAX_PRIORITY} to {MAX_PRIORITY}")
    if message.units > plan.capacity:
        return Refused("BadRequest", f"{message.units} units of {name} are wanted, and it has {plan.capacity}")
    if life.waiting >= MAX_WAITERS:
        return Refused("Overloaded", f"{MAX_WAITERS} requests wait for {name} already; try again later")
    if life.state == "failed" and plan.options.recreate == "never" and not plan.static:
        return Refused("BadRequest", f"{name} has failed ({life.cause}) and waits for an operator to resume it")
    if _other_spec(plan, message):
        why = f"{name} is in use with another spec; ask for it by another name, or drain it first"
        return Refused("BadRequest", why)
    return None


def _other_spec(plan: Plan, message: AcquireLease) -> bool:
    life = plan.life
    if message.spec is None:
        return False
    if life.state in ("creating", "uncertain", "ready"):
        return message.digest != life.spec_digest and not (plan.static and not life.busy)
    return bool(life.waiting) and message.digest != life.wanted_digest


def _specify(plan: Plan, message: AcquireLease) -> None:
    if message.spec is not None and message.digest != plan.life.wanted_digest:
        plan.note(SpecGiven(message.spec, message.digest, at_once=plan.static))


def _refuse(plan: Plan, holder: Sender, refused: Refused) -> None:
    if is_client(holder):
        plan.decision.reply = refused
    else:
        failure = Failure(refused.error, refused.message, final=True)
        plan.decision.send.append(delivering.answer_to(holder, None, failure))


# --- getting one


def head(plan: Plan) -> Waiter | None:
    """The first in the queue who has not left it in this turn."""
    for _, _, name in plan.state.queue:
        if name not in plan.gone:
            return plan.state.waiters[name]
    return None


def fits(plan: Plan, units: int, *, exclusive: bool) -> bool:
    life = plan.life
    if life.state not in GRANTING or life.exclusive or life.leases >= MAX_LEASES:
        return False
    return not life.leases if exclusive else life.used + units <= plan.capacity


def serve(plan: Plan, rank: float | None = None) -> None:
    """Grant to the first in the queue for as long as it fits; to nobody behind `rank`, or a newcomer who has joined."""
    if not plan.life.waiting:
        return
    last = plan.newcomer_rank if rank is None else rank
    for its_rank, _, name in plan.state.queue:
        if name in plan.gone:
            continue
        if last is not None and its_rank > last:
            return
        waiter = plan.state.waiters[name]
        if name not in plan.heard and waiter.is_silent(plan.now):
            end_wait(plan, name, "silent")
        elif waiter.units > plan.capacity:  # it has shrunk since, and the others must not wait for what cannot be
            end_wait(plan, name, "too_big")
        elif fits(plan, waiter.units, exclusive=waiter.exclusive):
            plan.gone.add(name)
            _grant(plan, waiter, waited=True)
        else:
            return


def _grant(plan: Plan, waiter: Waiter, *, waited: bool) -> None:
    units = plan.capacity if waiter.exclusive else waiter.units
    expires_at = None if waiter.ttl_s is None else plan.now + waiter.ttl_s
    fence = plan.next_fence
    plan.note(
        LeaseGranted(
            waiter.holder,
            waiter.number,
            fence,
            units,
            waiter.exclusive,
            waited,
            waiter.ttl_s,
            expires_at,
            plan.node,
        )
    )
    plan.remember_deadline(expires_at)
    _settle(plan, waiter.holder, waiter.number, _granted(plan, fence, units), None)


def _grant_again(plan: Plan, lease: Lease) -> None:
    """A client that asks again has not heard of its grant. A run has, or will: its messages are exactly once."""
    if is_client(lease.holder):
        plan.decision.reply = Later(lease.number)
        _settle(plan, lease.holder, lease.number, _granted(plan, lease.fence, lease.units), None)


def _granted(plan: Plan, fence: int, units: int) -> Raw:
    handle: MaybeRaw = plan.life.spec if plan.static else plan.life.handle
    return Raw(msgspec.json.encode(LeaseGrant(fence, units, handle)))


def _settle(plan: Plan, holder: Sender, number: int, result: Raw | None, failure: Failure | None) -> None:
    if is_client(holder):
        plan.decision.settled.append(Settled(number, result, failure))
    else:
        plan.decision.send.append(delivering.answer_to(holder, result, failure))


# --- waits that end without one


def end_wait(plan: Plan, name: str, why: WaitEnd) -> None:
    waiter = plan.state.waiters[name]
    plan.gone.add(name)
    if why != "withdrawn":
        _settle(plan, waiter.holder, waiter.number, None, _why_not(plan, waiter, why))
    elif is_client(waiter.holder):
        _settle(
            plan, waiter.holder, waiter.number, None, Failure("Withdrawn", "the request was taken back", final=True)
        )
    plan.note(WaitEnded(name, why))


def _why_not(plan: Plan, waiter: Waiter, why: WaitEnd) -> Failure:
    life = plan.life
    if why == "silent":
        text = f"nobody has asked for this lease of {plan.name} any more for {waiter.ttl_s:g} s; ask again"
        return Failure(LAPSED, text, final=True)
    if why == "too_big":
        text = f"{waiter.units} units of {plan.name} are wanted, and it has {plan.capacity} now"
        return Failure("BadRequest", text, final=True)
    text = f"no lease of {plan.name} within {plan.now - waiter.since:g} s: it is {life.state}, "
    text += f"{life.leases} leases hold {life.used} of {plan.capacity} units, and {life.waiting - 1} others wait"
    return Failure("TimeoutError", text, kind="timeout", final=True)


def fail_queue(plan: Plan, failure: Failure) -> None:
    """There will be no resource for those who wait."""
    if not plan.life.waiting:
        return
    for name, waiter in plan.state.waiters.items():
        if name not in plan.gone:
            plan.gone.add(name)
            _settle(plan, waiter.holder, waiter.number, None, failure)
    plan.note(QueueFailed(failure))


# --- leases that end


def release(plan: Plan, message: ReleaseLease) -> None:
    """What is not known has ended already, or never was: the holder has what it wants."""
    name = holder_name(message.holder)
    plan.decision.reply = Accepted()
    if name in plan.state.waiters:
        end_wait(plan, name, "withdrawn")
    elif (lease := plan.state.leases.get(name)) is not None and message.fence in (0, lease.fence):
        end_lease(plan, name, lease, "released")


def renew(plan: Plan, message: RenewLease) -> None:
    name = holder_name(message.holder)
    lease = plan.state.leases.get(name)
    if lease is None or lease.fence != message.fence:
        plan.decision.reply = Refused("LeaseLost", why_ended(plan.state, message.fence))
    elif lease.expires_at is None:
        plan.decision.reply = Refused("BadRequest", f"the lease of {name} ends with its run, and needs no renewal")
    else:
        expires_at = plan.now + message.ttl_s
        plan.note(LeaseRenewed(name, expires_at))
        plan.remember_deadline(expires_at)
        plan.decision.reply = Accepted()


def end_lease(plan: Plan, name: str, lease: Lease, why: LeaseEnd, by: str = "") -> None:
    plan.gone.add(name)
    plan.note(LeaseOver(name, lease.fence, lease.units, why, by, plan.node))
    operations.lease_ended(plan, lease.fence, _ENDS[why], stop=why != "released")


def revoke_all(plan: Plan, why: LeaseEnd, by: str = "") -> None:
    for name, lease in plan.state.leases.items():
        if name not in plan.gone:
            end_lease(plan, name, lease, why, by)


def why_ended(state: ResourceState, fence: int) -> str:
    """What happened to the lease of this fence, for whoever comes with it too late."""
    name, life = state.key.split("/", 1)[1], state.life
    ended = state.ended.get(fence)
    if ended is not None:
        by = f" by {ended.by}" if ended.by else ""
        return f"the lease of {name} with fence {fence} has ended: it {_ENDS[ended.why]}{by}"
    if fence > life.fence or fence < 1:
        return f"no lease of {name} was ever granted with fence {fence}"
    return f"there is no lease of {name} with fence {fence}; it ended long ago, or is somebody else's"


_ENDS: Final[dict[LeaseEnd, str]] = {
    "released": "was released",
    "expired": "was not renewed in time and expired",
    "revoked": "was revoked, and the resource ended,",
    "gone": "is of no use, because the resource itself is gone",
}
