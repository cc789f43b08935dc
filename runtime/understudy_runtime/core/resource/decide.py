"""What a resource does with each message: one function a message, and then whatever can be done now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from understudy.resourcing import ResourceOptions
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.messages import (
    AnyMessage,
    AttemptEnded,
    Decision,
    Deliver,
    Describe,
    Recovered,
    Refused,
    TimerDue,
)
from understudy_runtime.core.resource import commands, driving, leases, living, operations
from understudy_runtime.core.resource.describe import describe
from understudy_runtime.core.resource.messages import (
    AcquireLease,
    DestroyResource,
    DrainResource,
    InvokeOperation,
    ReleaseLease,
    RenewLease,
    ResumeResource,
    SetCapacity,
    SettleResource,
)
from understudy_runtime.core.resource.plan import Plan
from understudy_runtime.core.resource.state import ResourceState, holder_name

MAX_DUE: Final = 1_000
"""Waits and leases ended by time in one turn; the rest are due at once."""


def decide(
    state: ResourceState, message: AnyMessage, now: float, options: ResourceOptions, node: str, epoch: int = 0
) -> Decision:
    if type(message) is Describe:
        return Decision(reply=describe(state, options))
    take = _TAKE.get(type(message))
    if take is None:
        return _not_for_resources(message)
    plan = Plan(state, options, node, now, epoch)
    take(plan, message)
    living.go_on(plan)
    return plan.finish()


def _acquire(plan: Plan, message: AcquireLease) -> None:
    plan.newcomer = holder_name(message.holder)
    leases.acquire(plan, message)


def _invoke(plan: Plan, message: InvokeOperation) -> None:
    operations.invoke(plan, message, leases.why_ended(plan.state, message.fence))


def _attempt_ended(plan: Plan, message: AttemptEnded) -> None:
    """The answer to something asked of the driver; a late one, of a call that was made again since, says nothing."""
    token, life = message.token, plan.life
    given = (token.attempt, token.dispatch)
    if (intent := life.intents.get(token.call)) is not None:
        if intent.out and given == (intent.attempt, intent.dispatch):
            driving.ended(plan, token.call, intent, message.result, message.failure)
    elif token.call and token.call == life.checks:
        driving.checks_ended(plan, message)
    elif (operation := plan.state.operations.get(token.call)) is not None and given == (1, operation.dispatch):
        operations.ended(plan, token.call, operation, message)


def _timer_due(plan: Plan, message: TimerDue) -> None:
    state = plan.state
    for _, name in [each for each in state.deadlines[:MAX_DUE] if each[0] <= plan.now]:
        if (waiter := state.waiters.get(name)) is not None:
            in_time = waiter.deadline is None or waiter.deadline > plan.now
            leases.end_wait(plan, name, "silent" if in_time else "timeout")
        else:
            leases.end_lease(plan, name, state.leases[name], "expired")
    driving.retry_those_due(plan)
    living.time_passed(plan)


def _recovered(plan: Plan, message: Recovered) -> None:
    leases.recovered(plan)
    driving.recovered(plan, message.under_way)
    operations.recovered(plan, message.under_way)


_NOT_FOR_RESOURCES: Final = Refused("BadRequest", "that is a resource, neither a run nor an actor; take a lease of it")


def _not_for_resources(message: AnyMessage) -> Decision:
    if type(message) is Deliver:
        return delivering.refuse(message, _NOT_FOR_RESOURCES)
    return Decision(reply=_NOT_FOR_RESOURCES)


_TAKE: Final[dict[type, Callable[[Plan, Any], None]]] = {
    AcquireLease: _acquire,
    ReleaseLease: leases.release,
    RenewLease: leases.renew,
    InvokeOperation: _invoke,
    AttemptEnded: _attempt_ended,
    TimerDue: _timer_due,
    Recovered: _recovered,
    DrainResource: commands.command,
    ResumeResource: commands.command,
    DestroyResource: commands.command,
    SetCapacity: commands.command,
    SettleResource: commands.command,
}
