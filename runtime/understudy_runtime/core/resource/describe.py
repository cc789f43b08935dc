"""How a resource stands, for people and programs."""

from __future__ import annotations

from itertools import islice
from typing import Final

from understudy.resourcing import (
    IntentDescription,
    LeaseDescription,
    ResourceDescription,
    ResourceOptions,
    WaitDescription,
)
from understudy_runtime.core.resource.plan import capacity_of
from understudy_runtime.core.resource.state import ResourceState, Waiter

MAX_SHOWN: Final = 1_000


def describe(state: ResourceState, options: ResourceOptions) -> ResourceDescription:
    life, failure = state.life, state.life.failure
    return ResourceDescription(
        state.key,
        options.name,
        life.state,
        life.since,
        life.cause,
        life.by,
        life.node,
        life.fence,
        handle=bytes(life.handle or b""),
        spec=bytes(life.spec or b""),
        capacity=capacity_of(life, options),
        used=life.used,
        held=life.leases,
        waiting=life.waiting,
        leases=tuple(
            LeaseDescription(name, lease.fence, lease.units, lease.exclusive, lease.since, lease.expires_at)
            for name, lease in islice(state.leases.items(), MAX_SHOWN)
        ),
        queue=tuple(_waiting(name, state.waiters[name]) for _, _, name in state.queue[:MAX_SHOWN]),
        operations=life.operations,
        intents=tuple(
            IntentDescription(each.what, each.fence, each.attempt, each.since, each.retry_at)
            for each in islice(life.intents.values(), MAX_SHOWN)
        ),
        failure_type="" if failure is None else failure.type,
        failure_message="" if failure is None else failure.message,
        created_at=state.created_at,
        idle_since=life.idle_since,
    )


def _waiting(name: str, waiter: Waiter) -> WaitDescription:
    return WaitDescription(
        name, waiter.units, waiter.exclusive, waiter.priority, waiter.since, waiter.deadline, waiter.rank
    )
