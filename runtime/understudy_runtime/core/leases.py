"""Leases of a run or of an actor's handlers: what they wait for, what they hold, and when each goes back.

    requested ──CallAnswered──► held ──LeaseEnded, or the execution ends──► ended ──► returned
        │                                                                     ▲
        └── given up, or the execution ends: the place in the queue goes ─────┘

An ended lease goes back when nothing that was called under it runs any more: each attempt has ended, acknowledged its
cancellation, or was lost with the node or the worker that ran it; each operation has been answered; each child run
that was awaited has ended, of itself or because it was cancelled. So what is granted to the next holder is not used by
the last one, as far as anybody can tell; what cannot be told (a node that is thought dead and is not) is what fences
are for. A request that was not answered yet goes back at once, and a grant that crosses it on the way with it.

A child run does not hold its parent's leases: it must not ask for the same lock, for it would wait for its parent.

For an actor, an execution is one handler, known by its delivery. Leases outlive their execution, and the run itself:
it stays in memory until the last attempt has ended. Held runs and actors keep what they have.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import msgspec

from understudy_runtime.core.calls import Caller, Calls, idempotency_key
from understudy_runtime.core.keys import RUN, kind_of, namespace_of
from understudy_runtime.core.kinds import Sender
from understudy_runtime.core.messages import Answer, AttemptEnded, Decision, Send, Token
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.calls import (
    AttemptDispatched,
    AttemptFailed,
    CallAnswered,
    CallCancelled,
    ChildScheduled,
    LateResult,
    TaskGaveUp,
    TaskScheduled,
    TaskSucceeded,
)
from understudy_runtime.core.records.deliveries import Delivered, Replied
from understudy_runtime.core.records.jobs import JobStopped
from understudy_runtime.core.records.leases import (
    AttemptLeft,
    LeaseEnded,
    LeaseRequested,
    LeaseReturned,
    OperationScheduled,
)
from understudy_runtime.core.records.runs import (
    Cancelled,
    Completed,
    ContinuedAsNew,
    Ended,
    ExecutionStarted,
    Failed,
    TaskReused,
)
from understudy_runtime.core.resource.messages import AcquireLease, InvokeOperation, LeaseGrant, ReleaseLease

_grant: Final = msgspec.json.Decoder(LeaseGrant).decode


class Lease(msgspec.Struct, omit_defaults=True):
    """Asked for by `call` of `execution`, of the resource `to` (`kind/id`). A `fence` of 0: not granted yet."""

    to: str
    execution: int
    call: int
    fence: int = 0
    ended: bool = False

    @property
    def name(self) -> str:
        return name_of(self.execution, self.call)


class Under(msgspec.Struct, omit_defaults=True):
    """What was called under `leases`. `out`: an attempt of it runs. `left`: nobody awaits it any more.

    `answered`: it is a child run or an operation, which ends by an answer and is not lost with the node.
    """

    execution: int
    call: int
    leases: tuple[str, ...]
    attempt: int = 1
    dispatch: int = 1
    out: bool = True
    left: bool = False
    answered: bool = False


class Leases(msgspec.Struct, omit_defaults=True):
    """All leases of a run or actor, and the calls under them, by `execution:call`."""

    held: dict[str, Lease] = {}
    under: dict[str, Under] = {}

    @property
    def busy(self) -> bool:
        """Whether attempts are awaited that nobody else does: the run must be in memory for that."""
        return any(each.left and not each.answered for each in self.under.values())


def name_of(execution: int, call: int) -> str:
    return f"{execution}:{call}"


# --- decide


def acquire(key: str, execution: int, command: LeaseRequested) -> Send:
    acquire = AcquireLease(
        Sender(key, execution, command.call),
        command.units,
        command.exclusive,
        command.priority,
        command.wait_s,
        command.spec,
        command.digest,
        command.capacity,
    )
    return Send(f"{namespace_of(key)}/{command.to}", acquire)


def attempt_left(leases: Leases, message: AttemptEnded) -> list[AnyRecord]:
    """What to note when an attempt ends that only leases wait for."""
    token: Token = message.token
    task = leases.under.get(name_of(token.execution, token.call))
    if task is None or not task.left or (task.attempt, task.dispatch) != (token.attempt, token.dispatch):
        return []
    return [AttemptLeft(token.call, token.execution)]


def answer_left(leases: Leases, message: Answer) -> list[AnyRecord]:
    """What to note when a child run or an operation ends that only leases wait for."""
    each = leases.under.get(name_of(message.execution, message.call))
    if each is None or not each.left or not each.answered:
        return []
    return [AttemptLeft(message.call, message.execution)]


def recovered(key: str, leases: Leases, calls: Calls, under_way: Collection[Token]) -> list[AnyRecord]:
    """The node that ran them is gone, and with it the attempts nobody awaits, but for those under way. A job goes on
    until it is stopped.
    """
    stopping = {(job.execution, job.call) for job in calls.stopping.values()}
    return [
        AttemptLeft(task.call, task.execution)
        for task in leases.under.values()
        if task.left
        and not task.answered
        and (task.execution, task.call) not in stopping
        and Token(key, task.execution, task.call, task.attempt, task.dispatch) not in under_way
    ]


def any_requested(records: list[AnyRecord]) -> bool:
    return any(type(record) is LeaseRequested for record in records)


def invoke(caller: Caller, leases: Leases, command: OperationScheduled) -> Send:
    lease = leases.held[name_of(caller.execution, command.lease)]
    message = InvokeOperation(
        Sender(caller.key, caller.execution, command.call),
        Sender(caller.key, caller.execution, command.lease),
        lease.fence,
        command.operation,
        command.args,
        idempotency_key(caller, command.call),
    )
    return Send(f"{namespace_of(caller.key)}/{lease.to}", message)


def never_began_one(leases: Leases, execution: int, number: int) -> list[AnyRecord]:
    """What to note of an open task that has no attempt and will have none."""
    return [AttemptLeft(number, execution)] if name_of(execution, number) in leases.under else []


def never_began(execution: int, commands: list[AnyRecord], number: int | None = None) -> list[AnyRecord]:
    """What to note of the tasks in `commands` (or only of call `number`) that are not going to be dispatched."""
    return [
        AttemptLeft(command.call, execution)
        for command in commands
        if type(command) is TaskScheduled and command.leases and number in (None, command.call)
    ]


def give_back(key: str, execution: int, leases: Leases, decision: Decision) -> None:
    """Return, in this turn, what the decision's records leave nothing under."""
    after = _after(leases, key, execution, decision.append)
    for lease in list(_to_return(after)):
        decision.append.append(LeaseReturned(lease.call, lease.execution))
        release = ReleaseLease(Sender(key, lease.execution, lease.call), lease.fence)
        decision.send.append(Send(f"{namespace_of(key)}/{lease.to}", release))


def _after(leases: Leases, key: str, execution: int, records: list[AnyRecord]) -> Leases:
    replace, is_run = msgspec.structs.replace, kind_of(key) == RUN
    after = Leases(
        {name: replace(lease) for name, lease in leases.held.items()},
        {name: replace(task) for name, task in leases.under.items()},
    )
    for record in records:
        if type(record) is ExecutionStarted:
            execution = record.execution
        elif type(record) is Delivered and not is_run:
            execution = record.delivery
        apply(after, execution, record)
        if type(record) is Replied and not is_run:
            handler_over(after)
    return after


def _to_return(leases: Leases) -> Iterator[Lease]:
    in_use = {name for task in leases.under.values() for name in task.leases}
    return (lease for name, lease in leases.held.items() if lease.ended and name not in in_use)


# --- apply


def apply(leases: Leases, execution: int, record: AnyRecord) -> None:
    """Take note of any record of the run or actor, which is in `execution`."""
    take_note = _APPLY.get(type(record))
    if take_note is not None:
        take_note(leases, execution, record)


def handler_over(leases: Leases) -> None:
    """An actor's handler has ended, and with it all that it held."""
    _all_over(leases)


def _requested(leases: Leases, execution: int, record: LeaseRequested) -> None:
    leases.held[name_of(execution, record.call)] = Lease(record.to, execution, record.call)


def _answered(leases: Leases, execution: int, record: CallAnswered) -> None:
    name = name_of(execution, record.call)
    if (lease := leases.held.get(name)) is None:
        leases.under.pop(name, None)
    elif record.result is None:
        del leases.held[name]
    else:
        lease.fence = _grant(record.result).fence


def _scheduled(leases: Leases, execution: int, record: TaskScheduled | ChildScheduled) -> None:
    _put_under(leases, execution, record.call, record.leases, answered=type(record) is ChildScheduled)


def _invoked(leases: Leases, execution: int, record: OperationScheduled) -> None:
    _put_under(leases, execution, record.call, (record.lease,), answered=True)


def _put_under(leases: Leases, execution: int, number: int, calls: tuple[int, ...], *, answered: bool) -> None:
    names = tuple(name for name in (name_of(execution, call) for call in calls) if name in leases.held)
    if names:
        leases.under[name_of(execution, number)] = Under(execution, number, names, answered=answered)


def _task_over(leases: Leases, execution: int, record: TaskSucceeded | TaskReused | LateResult) -> None:
    leases.under.pop(name_of(execution, record.call), None)


def _gave_up(leases: Leases, execution: int, record: TaskGaveUp) -> None:
    # A deadline is the machine's own verdict: the attempt knows nothing of it until it is told.
    if record.attempt and not record.ended_at and record.failure.kind == "timeout":
        _leave(leases, name_of(execution, record.call))
    else:
        leases.under.pop(name_of(execution, record.call), None)


def _attempt_failed(leases: Leases, execution: int, record: AttemptFailed) -> None:
    if task := leases.under.get(name_of(execution, record.call)):
        task.out = False


def _dispatched(leases: Leases, execution: int, record: AttemptDispatched) -> None:
    if task := leases.under.get(name_of(execution, record.call)):
        task.attempt, task.dispatch, task.out = record.attempt, record.dispatch, True


def _left(leases: Leases, execution: int, record: AttemptLeft | JobStopped) -> None:
    leases.under.pop(name_of(record.execution, record.call), None)


def _cancelled(leases: Leases, execution: int, record: CallCancelled | LeaseEnded) -> None:
    name = name_of(execution, record.call)
    if (lease := leases.held.get(name)) is not None:
        lease.ended = True
    else:
        _leave(leases, name)


def _leave(leases: Leases, name: str) -> None:
    task = leases.under.get(name)
    if task is not None and task.out:
        task.left = True
    else:
        leases.under.pop(name, None)


def _execution_over(leases: Leases, execution: int, record: AnyRecord) -> None:
    _all_over(leases)


def _all_over(leases: Leases) -> None:
    for lease in leases.held.values():
        lease.ended = True
    for name in list(leases.under):
        _leave(leases, name)


def _returned(leases: Leases, execution: int, record: LeaseReturned) -> None:
    leases.held.pop(name_of(record.execution, record.call), None)


_APPLY: Final[dict[type, Callable[[Leases, int, Any], None]]] = {
    LeaseRequested: _requested,
    LeaseEnded: _cancelled,
    LeaseReturned: _returned,
    CallAnswered: _answered,
    CallCancelled: _cancelled,
    TaskScheduled: _scheduled,
    ChildScheduled: _scheduled,
    OperationScheduled: _invoked,
    TaskSucceeded: _task_over,
    TaskReused: _task_over,
    TaskGaveUp: _gave_up,
    AttemptFailed: _attempt_failed,
    AttemptDispatched: _dispatched,
    AttemptLeft: _left,
    LateResult: _task_over,
    JobStopped: _left,
    ExecutionStarted: _execution_over,
    Completed: _execution_over,
    Failed: _execution_over,
    Cancelled: _execution_over,
    Ended: _execution_over,
    ContinuedAsNew: _execution_over,
}
