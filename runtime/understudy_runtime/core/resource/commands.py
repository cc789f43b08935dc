"""What operators ask of a resource. Each request is noted with who asks and why, even if there is nothing to do."""

from __future__ import annotations

from msgspec import Raw

from understudy_runtime.core.kinds import NULL
from understudy_runtime.core.messages import Accepted, Refused
from understudy_runtime.core.records.resources import (
    CapacitySet,
    IntentEnded,
    ResourceCommanded,
    ResourceCreated,
    ResourceDoomed,
    What,
)
from understudy_runtime.core.resource import driving, leases, living
from understudy_runtime.core.resource.messages import (
    DestroyResource,
    DrainResource,
    OperatorMessage,
    ResumeResource,
    SetCapacity,
    SettleResource,
)
from understudy_runtime.core.resource.plan import Plan
from understudy_runtime.core.resource.state import MAX_CAPACITY


def command(plan: Plan, message: OperatorMessage) -> None:
    """Carry it out, or refuse it with the reason; sent again with its idempotency key, it changes nothing."""
    plan.decision.reply = Accepted()
    if message.idempotency_key in plan.state.deliveries.remembered:
        return
    refused: str | None
    match message:
        case DrainResource():
            what, refused = "drain", _drain_refused(plan)
        case ResumeResource():
            what, refused = "resume", _resume_refused(plan)
        case DestroyResource(force=force):
            what, refused = "destroy, by force" if force else "destroy", _destroy_refused(plan, force=force)
        case SetCapacity(units=units):
            what, refused = f"set capacity to {units}", _capacity_refused(plan, units)
        case SettleResource(outcome=outcome):
            what, refused = f"settle as {outcome}", _settle_refused(plan, message)
    if refused is not None:
        plan.decision.reply = Refused("BadRequest", f"{plan.name} {refused}")
        return
    plan.note(ResourceCommanded(what, message.by, message.note, message.idempotency_key))
    _carry_out(plan, message, message.by or "an operator")


def _carry_out(plan: Plan, message: OperatorMessage, by: str) -> None:
    because = f": {message.note}" if message.note else ""
    match message:
        case DrainResource():
            _let_go(plan, f"drained by {by}{because}", by)
        case ResumeResource():
            _resume(plan, f"resumed by {by}{because}", by)
        case DestroyResource(force=force):
            if force:
                leases.revoke_all(plan, "revoked", by)
            _let_go(plan, f"destroyed by {by}{because}", by)
        case SetCapacity(units=units):
            _set_capacity(plan, units, by)
        case SettleResource():
            _settle(plan, message, by)


# --- drain, destroy and resume


def _drain_refused(plan: Plan) -> str | None:
    if plan.life.state == "uncertain":
        return "may have been created or not; settle that first"
    return None


def _destroy_refused(plan: Plan, *, force: bool) -> str | None:
    if plan.static:
        return "is there whether we use it or not, and cannot be destroyed; drain it to have it used no more"
    if plan.life.leases and not force:
        return f"has {plan.life.leases} leases on it; drain it to wait for their end, or force it to revoke them"
    return _drain_refused(plan)


def _let_go(plan: Plan, cause: str, by: str) -> None:
    match plan.life.state:
        case "ready":
            living.drain(plan, cause, by)
        case "creating":
            plan.note(ResourceDoomed(cause, by))
        case "failed" if plan.life.handle is not None:
            plan.note(ResourceDoomed(cause, by))
        case "absent" if plan.static:
            plan.move("ready", cause, by)
            living.drain(plan, cause, by)
        case _:
            pass


def _resume_refused(plan: Plan) -> str | None:
    life = plan.life
    if life.state == "draining" or (life.state == "creating" and life.doomed):
        return None
    if life.state == "uncertain":
        return None if plan.can("find") else "has no `find` that could be asked; settle what became of it"
    if life.state == "failed" and not plan.static:
        return None if life.handle is None else "has failed and is still there; destroy it first"
    return f"is {life.state}; there is nothing to resume"


def _resume(plan: Plan, cause: str, by: str) -> None:
    match plan.life.state:
        case "draining":
            plan.move("ready", cause, by)
        case "creating":
            plan.note(ResourceDoomed(""))
        case "uncertain":
            _forget_intents(plan, "find")
            plan.move("creating", cause, by)
            driving.ask(plan, "find", plan.life.create_fence)
        case _:
            plan.move("absent", cause, by)


# --- capacity


def _capacity_refused(plan: Plan, units: int | None) -> str | None:
    if units is not None and not 1 <= units <= MAX_CAPACITY:
        return f"cannot have {units} units: give a number from 1 to {MAX_CAPACITY}"
    if not plan.can("scale"):
        return None
    if plan.life.state != "ready":
        return f"is {plan.life.state}, and can be scaled only when it is ready"
    if any(intent.what == "scale" for intent in plan.life.intents.values()):
        return "is being scaled already; wait for that to end"
    return None


def _set_capacity(plan: Plan, units: int | None, by: str) -> None:
    """What is taken away counts at once, and what is added when the driver has added it."""
    if not plan.can("scale"):
        plan.note(CapacitySet(units, by))
        return
    wanted = plan.options.capacity if units is None else units
    if wanted < plan.capacity:
        plan.note(CapacitySet(wanted, by))
    driving.ask(plan, "scale", units=wanted)


# --- outcomes that only a person knows


def _settle_refused(plan: Plan, message: SettleResource) -> str | None:
    state, outcome = plan.life.state, message.outcome
    if outcome in ("created", "not_created"):
        return None if state == "uncertain" else f"is {state}; it is not uncertain whether it was created"
    return None if state == "destroying" else f"is {state}; it is not being destroyed"


def _settle(plan: Plan, message: SettleResource, by: str) -> None:
    match message.outcome:
        case "created":
            _forget_intents(plan, "find")
            plan.move("creating", f"settled by {by} as created", by)
            plan.note(ResourceCreated(_handle(message), "settled"))
            living.created(plan, f"settled by {by} as created")
        case "not_created" if plan.life.waiting:
            _forget_intents(plan, "find")
            plan.move("creating", f"settled by {by} as not created", by)
            driving.create_again_now(plan)
        case "not_created":
            _forget_intents(plan, "find")
            plan.move("absent", f"settled by {by} as not created", by)
        case "destroyed":
            _forget_intents(plan, "destroy", "verify")
            living.destroyed(plan)
        case "not_destroyed":
            fence = plan.life.fence
            _forget_intents(plan, "destroy", "verify")
            driving.ask(plan, "destroy", fence)


def _handle(message: SettleResource) -> Raw:
    return NULL if message.handle is None else message.handle


def _forget_intents(plan: Plan, *whats: What) -> None:
    """What the driver is asked and a person has told: its answer is not waited for any more."""
    for call, intent in list(plan.life.intents.items()):
        if intent.what in whats:
            plan.decision.abandon += [driving.token_of(plan, call, intent)] if intent.out else []
            plan.note(IntentEnded(call))
