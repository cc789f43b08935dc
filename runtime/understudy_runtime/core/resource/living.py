"""The life of a resource: from one state to the next, as `states.py` has it, by what happens and by what is wanted.

`go_on` is the end of every turn: it looks at how things stand and takes whatever steps can be taken now. A request and
the idle rule are both decided here, one turn after the other, on the same counts of leases and waiters: that is why
the last can never end what the first has just been given.
"""

from __future__ import annotations

from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.records.resources import CapacitySet
from understudy_runtime.core.resource import driving, duties, leases, operations
from understudy_runtime.core.resource.plan import Plan
from understudy_runtime.core.resource.state import holder_name


def go_on(plan: Plan) -> None:
    """Take every step that can be taken now."""
    while _step(plan):
        pass
    operations.start_those_that_may(plan)


def _step(plan: Plan) -> bool:
    """One step; True if there may be another."""
    _sweep(plan)
    match plan.life.state:
        case "absent":
            return _leave_absent(plan)
        case "ready":
            return _serve(plan)
        case "draining" if not plan.static and plan.life.free_to_end:
            return end(plan, plan.life.cause, plan.life.by)
        case "failed":
            return _leave_failed(plan)
        case _:
            pass
    return False


def _leave_absent(plan: Plan) -> bool:
    if not plan.life.waiting or plan.life.intents:
        return False
    if plan.static:
        plan.move("ready", "a lease is wanted", _first(plan))
        return True
    _create(plan)
    return False


def _leave_failed(plan: Plan) -> bool:
    life = plan.life
    if plan.static or not life.free_to_end:
        return False
    if life.doomed:
        return end(plan, life.doomed, life.doomed_by)
    if plan.options.recreate == "never":
        return False
    if life.handle is not None:
        return end(plan, life.cause, life.by)
    if life.waiting:
        _create(plan)
    return False


def _serve(plan: Plan) -> bool:
    leases.serve(plan)
    if not plan.life.checks and plan.can("check") and plan.options.check_every_s is not None:
        driving.begin_checks(plan, "healthy")
    return False


def _sweep(plan: Plan) -> None:
    at = duties.sweep_at(plan.life, plan.options)
    if at is not None and at <= plan.now:
        driving.ask(plan, "list")


# --- coming into being


def _create(plan: Plan) -> None:
    fence = plan.next_fence
    plan.move("creating", "a lease is wanted", _first(plan), fence)
    driving.ask(plan, "create", fence)


def _first(plan: Plan) -> str:
    """For whom it is done: the first in the queue, who may have joined it in this turn."""
    waiter = leases.head(plan)
    return plan.newcomer if waiter is None else holder_name(waiter.holder)


def created(plan: Plan, cause: str) -> None:
    """There is one. It is fit for use when its check says so, if it has one."""
    if plan.life.state != "creating":
        plan.move("creating", cause, plan.life.by)
    if plan.can("check"):
        driving.begin_checks(plan, "starting")
    else:
        _ready(plan, cause)


def _ready(plan: Plan, cause: str) -> None:
    if plan.life.doomed:
        plan.move("draining", plan.life.doomed, plan.life.doomed_by)
    else:
        plan.move("ready", cause, plan.life.by)


def uncertain(plan: Plan, failure: Failure) -> None:
    plan.move("uncertain", "nobody can tell whether it was created", plan.life.by, failure=failure)


def give_up(plan: Plan, cause: str, failure: Failure) -> None:
    """It cannot be used: whoever waits is told so, and why."""
    driving.stop_checks(plan)
    by = plan.life.by if plan.life.state == "creating" else plan.life.last_holder
    plan.move("failed", cause, by, failure=failure)
    why = f"{plan.name} has failed: {cause}: {failure.type}"
    message = f"{why}: {failure.message}" if failure.message else why
    leases.fail_queue(plan, Failure(leases.RESOURCE_FAILED, message, failure.traceback, final=True))


# --- news of its health


def news(plan: Plan, said: str, failure: Failure | None) -> None:
    """What the checks have found out, now that they have ended."""
    state, unfit = plan.life.state, failure or Failure("Unhealthy", f"check says {said}")
    if said == "gone" and not plan.static:
        _gone(plan)
    elif state == "creating":
        if said == "healthy":
            _ready(plan, "created and healthy")
        elif said == "starting":
            driving.begin_checks(plan, "starting")
        else:
            give_up(plan, f"it was created, and its check says {said}", unfit)
    elif state == "failed" and said == "healthy" and not plan.life.doomed:
        plan.move("ready", "healthy again", plan.life.last_holder)
    elif state == "ready" and said != "healthy":
        _unfit(plan, said, unfit)
    elif state in ("draining", "failed"):
        driving.begin_checks(plan, said)


def _unfit(plan: Plan, said: str, failure: Failure) -> None:
    if plan.static:
        plan.move("failed", f"its check says {said}", plan.life.last_holder, failure=failure)
        driving.begin_checks(plan, said)
    elif plan.options.recreate == "never":
        give_up(plan, f"its check says {said}", failure)
    else:  # whoever waits gets the next one
        plan.move("failed", f"its check says {said}", plan.life.last_holder, failure=failure)
    if said == "failing" and not plan.static and (plan.life.leases or plan.options.recreate == "never"):
        # It may be the outside system that was away: where the resource stays, it may be fit for use after all.
        driving.begin_checks(plan, said)


def _gone(plan: Plan) -> None:
    """It is not there any more, and so are the leases on it."""
    leases.revoke_all(plan, "gone")
    failure = Failure("Gone", "check says that it is gone")
    match plan.life.state:
        case "draining" | "failed":
            plan.move("absent", "gone by itself", plan.life.last_holder)
        case "ready" if plan.options.recreate == "on_demand":
            plan.move("failed", "its check says gone", plan.life.last_holder, failure=failure)
        case _:
            give_up(plan, "its check says gone", failure)


# --- coming to an end


def drain(plan: Plan, cause: str, by: str = "") -> None:
    """Grant no more; end it when nobody holds it any longer."""
    plan.move("draining", cause, by)


def end(plan: Plan, cause: str, by: str) -> bool:
    """Nobody holds it: destroy it. True if that is done already, because its type has no `destroy`."""
    driving.stop_checks(plan)
    fence = plan.next_fence
    plan.move("destroying", cause, by, fence)
    if plan.can("destroy"):
        driving.ask(plan, "destroy", fence)
        return False
    destroyed(plan)
    return True


def destroyed(plan: Plan) -> None:
    plan.move("absent", f"destroyed: {plan.life.cause}", plan.life.by)
    if plan.can("scale") and plan.life.capacity is not None:
        plan.note(CapacitySet())  # what an operator has set was that of the one that is no more


# --- time


def time_passed(plan: Plan) -> None:
    """What goes by time, but for waits, leases and retries."""
    life, options, now = plan.life, plan.options, plan.now
    if _is_due(duties.creation_ends_at(life, options), now):
        text = f"it did not become healthy within {options.create_timeout_s:g} s"
        give_up(plan, text, Failure("TimeoutError", "", kind="timeout"))
    elif _is_due(duties.too_old_at(life, options), now):
        drain(plan, f"{options.max_age_s:g} s old", life.last_holder)
    elif _is_due(duties.idle_at(life, options), now):
        drain(plan, f"idle for {options.idle_timeout_s:g} s", life.last_holder)


def _is_due(at: float | None, now: float) -> bool:
    return at is not None and at <= now
