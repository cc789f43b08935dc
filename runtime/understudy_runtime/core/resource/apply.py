"""What a resource takes note of: one function a record, or two: one for its life, one for what may be many.

Recovery runs only this. A turn that is being decided on runs the first half of it on a copy of the life, which is so
never other than what will be.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.deliveries import Remembered
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.resources import (
    CapacitySet,
    CheckBegun,
    CheckEnded,
    IntentEnded,
    IntentFailed,
    IntentNoted,
    IntentRepeated,
    LeaseAwaited,
    LeaseGranted,
    LeaseOver,
    LeaseRenewed,
    OperationOver,
    OperationStarted,
    OperationTaken,
    QueueFailed,
    ResourceCommanded,
    ResourceCreated,
    ResourceDoomed,
    ResourceMoved,
    SpecGiven,
    WaitEnded,
    WaitRenewed,
    WaitsSpared,
)
from understudy_runtime.core.resource.state import (
    MAX_ENDED,
    Ended,
    Intent,
    Lease,
    Life,
    Line,
    Operation,
    ResourceState,
    Waiter,
    holder_name,
)

MAX_STARTS: Final = 64
"""Starts of an operation that are remembered for its rate."""


def apply(state: ResourceState, record: AnyRecord, at: float) -> None:
    apply_to_life(state.life, record, at)
    if (shelve := _SHELVES.get(type(record))) is not None:
        shelve(state, record, at)


def apply_to_life(life: Life, record: AnyRecord, at: float) -> None:
    """All of the record that concerns the life. What is in it is replaced, never changed, but for `intents`."""
    if (note := _LIFE.get(type(record))) is not None:
        note(life, record, at)
    if life.state != "ready" or life.busy:
        life.idle_since = None
    elif life.idle_since is None:
        life.idle_since = at


# --- the life


def _moved(life: Life, record: ResourceMoved, at: float) -> None:
    before, life.state = life.state, record.state
    life.since, life.cause, life.by, life.node = at, record.cause, record.by, record.node
    life.fence = max(life.fence, record.fence)
    life.failure = record.failure or life.failure
    if before == "absent":
        life.spec, life.spec_digest = life.wanted, life.wanted_digest
    match record.state:
        case "creating":
            life.creating_since = at
            if before != "uncertain":
                life.spec, life.spec_digest, life.create_fence = life.wanted, life.wanted_digest, record.fence
                life.tries, life.attempt, life.failure = 0, 0, None
        case "ready":
            life.ready_since, life.failure, life.sweep_wanted = at, None, True
        case "absent":
            life.handle, life.failure, life.sweep_wanted = None, None, True
            life.doomed = life.doomed_by = ""
            if before == "uncertain":
                life.late_at = at
        case "failed":
            life.doomed = life.doomed_by = ""
            life.late_at = at if life.handle is None else life.late_at
        case "draining" | "destroying":
            life.doomed = life.doomed_by = ""
        case "uncertain":
            pass


def _spec_given(life: Life, record: SpecGiven, at: float) -> None:
    life.wanted, life.wanted_digest = record.spec, record.digest
    if record.at_once:
        life.spec, life.spec_digest = record.spec, record.digest


def _capacity_set(life: Life, record: CapacitySet, at: float) -> None:
    if record.by or record.units is None:
        life.capacity = record.units
    else:
        life.declared = record.units


def _doomed(life: Life, record: ResourceDoomed, at: float) -> None:
    life.doomed, life.doomed_by = record.cause, record.by


def _life_awaited(life: Life, record: LeaseAwaited, at: float) -> None:
    life.waiting += 1
    life.numbers = max(life.numbers, record.number)


def _life_granted(life: Life, record: LeaseGranted, at: float) -> None:
    life.waiting -= record.waited
    life.numbers = max(life.numbers, record.number)
    life.fence = max(life.fence, record.fence)
    life.used += record.units
    life.leases += 1
    life.last_holder = holder_name(record.holder)
    life.exclusive = record.fence if record.exclusive else life.exclusive


def _life_wait_ended(life: Life, record: WaitEnded, at: float) -> None:
    life.waiting -= 1


def _life_queue_failed(life: Life, record: QueueFailed, at: float) -> None:
    life.waiting = 0


def _life_lease_over(life: Life, record: LeaseOver, at: float) -> None:
    life.used -= record.units
    life.leases -= 1
    life.exclusive = 0 if life.exclusive == record.fence else life.exclusive


def _intent_noted(life: Life, record: IntentNoted, at: float) -> None:
    life.numbers = max(life.numbers, record.call)
    life.intents[record.call] = Intent(
        record.what, at, record.fence, record.attempt, 1, record.retry_at, record.handle, record.units
    )
    life.fence = max(life.fence, record.fence)
    if record.what == "create":
        life.attempt = record.attempt
        if record.attempt > 1:  # what was asked for before may still come to be
            life.late_at = at


def _intent_repeated(life: Life, record: IntentRepeated, at: float) -> None:
    intent = life.intents[record.call]
    life.intents[record.call] = replace(
        intent, attempt=record.attempt, dispatch=record.dispatch, retry_at=None, since=at
    )


def _intent_failed(life: Life, record: IntentFailed, at: float) -> None:
    life.intents[record.call] = replace(life.intents[record.call], retry_at=record.retry_at)
    life.failure = record.failure


def _intent_ended(life: Life, record: IntentEnded, at: float) -> None:
    intent = life.intents.pop(record.call)
    life.tries += record.costs
    match intent.what:
        case "list":
            life.swept_at, life.sweep_wanted = at, False
        case "stray":
            life.late_at = life.late_at if record.failure is None else at
        case _:
            life.failure = record.failure or life.failure


def _created(life: Life, record: ResourceCreated, at: float) -> None:
    life.handle = record.handle


def _check_begun(life: Life, record: CheckBegun, at: float) -> None:
    life.numbers = max(life.numbers, record.call)
    life.checks, life.checks_known = record.call, record.known


def _check_ended(life: Life, record: CheckEnded, at: float) -> None:
    life.checks = 0
    if record.news == "gone":
        life.handle = None


def _life_taken(life: Life, record: OperationTaken, at: float) -> None:
    life.numbers = max(life.numbers, record.call)
    life.operations += 1
    life.running += record.started


def _life_started(life: Life, record: OperationStarted, at: float) -> None:
    life.running += record.dispatch == 1


def _life_over(life: Life, record: OperationOver, at: float) -> None:
    life.operations -= 1
    life.running -= not record.waited


_LIFE: Final[dict[type, Callable[[Life, Any, float], None]]] = {
    ResourceMoved: _moved,
    SpecGiven: _spec_given,
    CapacitySet: _capacity_set,
    ResourceDoomed: _doomed,
    LeaseAwaited: _life_awaited,
    LeaseGranted: _life_granted,
    WaitEnded: _life_wait_ended,
    QueueFailed: _life_queue_failed,
    LeaseOver: _life_lease_over,
    IntentNoted: _intent_noted,
    IntentRepeated: _intent_repeated,
    IntentFailed: _intent_failed,
    IntentEnded: _intent_ended,
    ResourceCreated: _created,
    CheckBegun: _check_begun,
    CheckEnded: _check_ended,
    OperationTaken: _life_taken,
    OperationStarted: _life_started,
    OperationOver: _life_over,
}


# --- what may be many


def _shelve_awaited(state: ResourceState, record: LeaseAwaited, at: float) -> None:
    name = holder_name(record.holder)
    waiter = state.waiters[name] = Waiter(
        record.holder,
        record.number,
        record.rank,
        at,
        record.units,
        record.exclusive,
        record.priority,
        record.deadline,
        record.ttl_s,
    )
    insort(state.queue, (record.rank, record.number, name))
    _add_deadline(state, waiter.ends_at, name)


def _shelve_granted(state: ResourceState, record: LeaseGranted, at: float) -> None:
    name = holder_name(record.holder)
    if record.waited:
        _leave_queue(state, name)
    state.leases[name] = Lease(
        record.holder, record.number, record.fence, at, record.units, record.exclusive, record.expires_at
    )
    _add_deadline(state, record.expires_at, name)


def _shelve_wait_renewed(state: ResourceState, record: WaitRenewed, at: float) -> None:
    _hear(state, record.holder, at, spared=False)


def _shelve_waits_spared(state: ResourceState, record: WaitsSpared, at: float) -> None:
    for name in state.silenced:
        _hear(state, name, at, spared=True)


def _hear(state: ResourceState, name: str, at: float, *, spared: bool) -> None:
    before = state.waiters[name]
    waiter = state.waiters[name] = replace(before, asked_at=at, spared=spared)
    if waiter.ends_at != before.ends_at:
        _drop_deadline(state, before.ends_at, name)
        _add_deadline(state, waiter.ends_at, name)


def _shelve_wait_ended(state: ResourceState, record: WaitEnded, at: float) -> None:
    _leave_queue(state, record.holder)


def _shelve_queue_failed(state: ResourceState, record: QueueFailed, at: float) -> None:
    state.deadlines = [(when, name) for when, name in state.deadlines if name not in state.waiters]
    state.waiters.clear()
    state.queue.clear()


def _shelve_renewed(state: ResourceState, record: LeaseRenewed, at: float) -> None:
    lease = state.leases[record.holder]
    _drop_deadline(state, lease.expires_at, record.holder)
    state.leases[record.holder] = replace(lease, expires_at=record.expires_at)
    _add_deadline(state, record.expires_at, record.holder)


def _shelve_lease_over(state: ResourceState, record: LeaseOver, at: float) -> None:
    lease = state.leases.pop(record.holder)
    _drop_deadline(state, lease.expires_at, record.holder)
    state.ended[record.fence] = Ended(record.holder, record.why, at, record.by)
    if len(state.ended) > MAX_ENDED:
        del state.ended[next(iter(state.ended))]


def _leave_queue(state: ResourceState, name: str) -> None:
    waiter = state.waiters.pop(name)
    del state.queue[bisect_left(state.queue, (waiter.rank, waiter.number, name))]
    _drop_deadline(state, waiter.ends_at, name)


def _add_deadline(state: ResourceState, at: float | None, name: str) -> None:
    if at is not None:
        insort(state.deadlines, (at, name))


def _drop_deadline(state: ResourceState, at: float | None, name: str) -> None:
    if at is not None:
        del state.deadlines[bisect_left(state.deadlines, (at, name))]


def _shelve_taken(state: ResourceState, record: OperationTaken, at: float) -> None:
    state.operations[record.call] = Operation(
        record.sender,
        record.holder,
        record.fence,
        record.operation,
        at,
        record.args,
        record.idempotency_key,
        int(record.started),
    )
    apply_to_line(state.lines.setdefault(record.operation, Line()), record, at)


def _shelve_started(state: ResourceState, record: OperationStarted, at: float) -> None:
    state.operations[record.call] = replace(state.operations[record.call], dispatch=record.dispatch)
    apply_to_line(state.lines[record.operation], record, at)


def _shelve_over(state: ResourceState, record: OperationOver, at: float) -> None:
    del state.operations[record.call]
    apply_to_line(state.lines[record.operation], record, at)


def apply_to_line(line: Line, record: OperationTaken | OperationStarted | OperationOver, at: float) -> None:
    """What the record means for the calls of that operation."""
    match record:
        case OperationTaken(call=call, started=False):
            line.waiting.append(call)
        case OperationTaken():
            line.running += 1
            _note_start(line, record, at)
        case OperationStarted(call=call, dispatch=1):
            line.waiting.remove(call)
            line.running += 1
            _note_start(line, record, at)
        case OperationStarted():  # once more: the outside system is asked again, so it counts
            _note_start(line, record, at)
        case OperationOver(call=call, waited=True):
            line.waiting.remove(call)
        case OperationOver():
            line.running -= 1


def _note_start(line: Line, record: OperationTaken | OperationStarted, at: float) -> None:
    line.starts = [*line.starts, at][-MAX_STARTS:]
    line.clear_at = record.clear_at


def _shelve_commanded(state: ResourceState, record: ResourceCommanded, at: float) -> None:
    if record.idempotency_key:
        delivering.remember(state.deliveries, record.idempotency_key, Remembered(at))


_SHELVES: Final[dict[type, Callable[[ResourceState, Any, float], None]]] = {
    LeaseAwaited: _shelve_awaited,
    LeaseGranted: _shelve_granted,
    WaitRenewed: _shelve_wait_renewed,
    WaitsSpared: _shelve_waits_spared,
    WaitEnded: _shelve_wait_ended,
    QueueFailed: _shelve_queue_failed,
    LeaseRenewed: _shelve_renewed,
    LeaseOver: _shelve_lease_over,
    OperationTaken: _shelve_taken,
    OperationStarted: _shelve_started,
    OperationOver: _shelve_over,
    ResourceCommanded: _shelve_commanded,
}
