"""Calls: what an actor's user code has asked of the outside and not yet heard of.

A call is a task, a child run or an ask, numbered by the program in the order of asking. Runs and
user-defined actors own a `Calls` each and share the rules of this module. A task's life:

    scheduled ──► attempt out ──► succeeded                    TaskSucceeded
                   ▲       │ └──► gave up                      TaskGaveUp
                   │       ▼
                   └── waiting to retry                        AttemptFailed ... AttemptDispatched

An attempt is known by its token (execution, call, attempt, dispatch). A node that loads an actor holds none of
its attempts, so it dispatches them again under a new dispatch number, and the old token's result is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from zlib import crc32

import msgspec
from msgspec import Raw

from understudy.options import TaskOptions
from understudy_runtime.core.kinds import Failure, MaybeRaw
from understudy_runtime.core.messages import (
    AttemptEnded,
    AttemptProgressed,
    Decision,
    Dispatch,
    Token,
)
from understudy_runtime.core.records import (
    AnyRecord,
    AskScheduled,
    AttemptDispatched,
    AttemptFailed,
    CallAnswered,
    ChildScheduled,
    LateResult,
    ProgressNoted,
    TaskGaveUp,
    TaskReused,
    TaskScheduled,
    TaskSucceeded,
)

MAX_FREE_LOSSES: Final = 2
"""So many times the loss of a worker costs no attempt; a task that kills its workers must not walk on for ever."""
FOREVER: Final = float("inf")


class TaskCall(msgspec.Struct, tag="task", omit_defaults=True):
    """An open task. `retry_at` is set while no attempt is out, `reuse` while a finished task stands in for it."""

    task: str
    args: Raw
    options: TaskOptions
    since: float
    attempt: int = 1
    dispatch: int = 1
    losses: int = 0
    retry_at: float | None = None
    progress: MaybeRaw = None
    reuse: MaybeRaw = None

    @property
    def out(self) -> bool:
        return self.retry_at is None and self.reuse is None


class ChildCall(msgspec.Struct, tag="child"):
    run_id: str


class AskCall(msgspec.Struct, tag="ask"):
    to: str


OpenCall = TaskCall | ChildCall | AskCall


class Calls(msgspec.Struct, omit_defaults=True):
    """The open calls of one execution, and how many tasks have come to what end."""

    open: dict[int, OpenCall] = {}
    abandoned: dict[int, int] = {}
    """call -> attempt of tasks that nobody awaits but whose last attempt has not reported yet."""
    scheduled: int = 0
    succeeded: int = 0
    failed: int = 0
    reused: int = 0

    def tasks(self) -> Iterator[tuple[int, TaskCall]]:
        return ((number, call) for number, call in self.open.items() if type(call) is TaskCall)

    @property
    def under_way(self) -> bool:
        """Whether a task has an attempt out or a result to hand over: the actor must be in memory for that."""
        for call in self.open.values():  # asked in most turns, so not written as any() over a generator
            if type(call) is TaskCall and (call.retry_at is None or call.reuse is not None):
                return True
        return False


class Caller(msgspec.Struct, frozen=True):
    """The actor and execution whose calls these are."""

    key: str
    execution: int


def dispatch_of(caller: Caller, number: int, call: TaskCall, attempt: int, dispatch: int) -> Dispatch:
    return Dispatch(
        Token(caller.key, caller.execution, number, attempt, dispatch),
        call.task,
        call.args,
        call.options,
        idempotency_key(caller, number),
        call.progress,
    )


def first_dispatch(caller: Caller, command: TaskScheduled) -> Dispatch:
    """The dispatch that the schedule record implies."""
    return Dispatch(
        Token(caller.key, caller.execution, command.call, 1, 1),
        command.task,
        command.args,
        command.options,
        idempotency_key(caller, command.call),
    )


def idempotency_key(caller: Caller, number: int) -> str:
    """The same for all attempts of a call, and for no other call of any execution of any actor."""
    return f"{caller.key}:{caller.execution}:{number}"


# --- decide


def attempt_ended(caller: Caller, calls: Calls, message: AttemptEnded, now: float) -> Decision:
    token = message.token
    if token.execution != caller.execution:
        return Decision()
    call = calls.open.get(token.call)
    if type(call) is not TaskCall:
        if calls.abandoned.get(token.call) == token.attempt:
            return Decision(append=[LateResult(token.call, token.attempt)])
        return Decision()
    if not call.out or (token.attempt, token.dispatch) != (call.attempt, call.dispatch):
        return Decision()
    if message.failure is None:
        succeeded = TaskSucceeded(
            token.call,
            message.result,
            token.attempt,
            message.node,
            message.worker,
            message.started_at,
            message.ended_at,
        )
        return Decision(append=[succeeded], activate=True)
    if message.failure.kind == "returned":
        return _dispatch_again(caller, token.call, call, lost=False)
    if message.failure.kind == "lost" and call.losses < MAX_FREE_LOSSES:
        return _dispatch_again(caller, token.call, call, lost=True)
    return _attempt_failed(call, message, message.failure, now)


def _attempt_failed(call: TaskCall, message: AttemptEnded, failure: Failure, now: float) -> Decision:
    token = message.token
    retry_at = _retry_at(call, failure, token, now)
    if retry_at is None:
        gave_up = TaskGaveUp(
            token.call, failure, token.attempt, message.node, message.worker, message.started_at, message.ended_at
        )
        return Decision(append=[gave_up], activate=True)
    failed = AttemptFailed(
        token.call,
        token.attempt,
        failure,
        retry_at,
        message.node,
        message.worker,
        message.started_at,
        message.ended_at,
    )
    return Decision(append=[failed], timer=retry_at)


def _retry_at(call: TaskCall, failure: Failure, token: Token, now: float) -> float | None:
    policy = call.options.retry
    if failure.final or token.attempt >= policy.attempts or failure.type in policy.final:
        return None
    # The jitter is a hash of the token: spread over the runs, and the same whenever it is asked for.
    chance = crc32(f"{token.key}:{token.execution}:{token.call}:{token.attempt}".encode()) / 2**32
    retry_at = now + policy.delay_s(token.attempt, chance)
    deadline_s = call.options.deadline_s
    return None if deadline_s is not None and retry_at >= call.since + deadline_s else retry_at


def _dispatch_again(caller: Caller, number: int, call: TaskCall, *, lost: bool) -> Decision:
    dispatch = call.dispatch + 1
    return Decision(
        append=[AttemptDispatched(number, call.attempt, dispatch, lost)],
        execute=[dispatch_of(caller, number, call, call.attempt, dispatch)],
    )


def attempt_progressed(caller: Caller, calls: Calls, message: AttemptProgressed) -> Decision:
    token = message.token
    call = calls.open.get(token.call)
    if (
        token.execution != caller.execution
        or type(call) is not TaskCall
        or (token.attempt, token.dispatch) != (call.attempt, call.dispatch)
        or (call.progress is not None and bytes(call.progress) == bytes(message.progress))
    ):
        return Decision()
    return Decision(append=[ProgressNoted(token.call, token.attempt, message.progress)])


def recovered(caller: Caller, calls: Calls) -> Decision:
    """All attempts went with the process that ran them: dispatch each again, at no cost to the task."""
    decision = Decision()
    for number, call in calls.tasks():
        if call.out:
            again = _dispatch_again(caller, number, call, lost=False)
            decision.append += again.append
            decision.execute += again.execute
    return decision


def tasks_due(caller: Caller, calls: Calls, now: float) -> Decision:
    """Deadlines that have passed, retries whose time has come, and reused results still to be handed over."""
    decision = Decision()
    for number, call in calls.tasks():
        if call.reuse is not None:
            decision.append.append(TaskReused(number, call.reuse))
            decision.activate = True
        elif _deadline(call) <= now:
            decision.append.append(TaskGaveUp(number, _too_late(call), call.attempt if call.out else 0))
            decision.activate = True
            if call.out:
                decision.abandon.append(Token(caller.key, caller.execution, number, call.attempt, call.dispatch))
        elif call.retry_at is not None and call.retry_at <= now:
            attempt = call.attempt + 1
            decision.append.append(AttemptDispatched(number, attempt, 1))
            decision.execute.append(dispatch_of(caller, number, call, attempt, 1))
    return decision


def next_duty(calls: Calls) -> float | None:
    times = [
        0.0 if call.reuse is not None else min(_deadline(call), FOREVER if call.retry_at is None else call.retry_at)
        for _, call in calls.tasks()
    ]
    earliest = min(times, default=FOREVER)
    return None if earliest == FOREVER else earliest


def _deadline(call: TaskCall) -> float:
    return FOREVER if call.options.deadline_s is None else call.since + call.options.deadline_s


def _too_late(call: TaskCall) -> Failure:
    return Failure(
        "TaskTimedOut",
        f"{call.task} did not finish within its deadline of {call.options.deadline_s:g} s, all attempts together",
        kind="timeout",
        final=True,
    )


def abandon(caller: Caller, number: int, call: TaskCall) -> list[Token]:
    """The token to cancel when nobody awaits the call any more."""
    return [Token(caller.key, caller.execution, number, call.attempt, call.dispatch)] if call.out else []


# --- apply


def apply_scheduled(calls: Calls, record: TaskScheduled, at: float, reuse: Raw | None = None) -> None:
    calls.scheduled += 1
    calls.open[record.call] = TaskCall(record.task, record.args, record.options, at, reuse=reuse)


def apply_child(calls: Calls, record: ChildScheduled) -> None:
    if record.wait:
        calls.open[record.call] = ChildCall(record.run_id)


def apply_ask(calls: Calls, record: AskScheduled) -> None:
    if record.ask:
        calls.open[record.call] = AskCall(record.to)


def apply_outcome(calls: Calls, record: TaskSucceeded | TaskReused | TaskGaveUp | CallAnswered) -> None:
    calls.open.pop(record.call, None)
    match record:
        case TaskSucceeded():
            calls.succeeded += 1
        case TaskReused():
            calls.reused += 1
        case TaskGaveUp():
            calls.failed += 1
        case CallAnswered():
            pass


def apply_cancelled(calls: Calls, number: int) -> None:
    call = calls.open.pop(number, None)
    if type(call) is TaskCall and call.out:
        calls.abandoned[number] = call.attempt


def apply_note(calls: Calls, record: AnyRecord) -> None:
    match record:
        case AttemptFailed(call=number, retry_at=retry_at):
            if type(call := calls.open.get(number)) is TaskCall:
                call.retry_at = retry_at
        case AttemptDispatched(call=number, attempt=attempt, dispatch=dispatch, lost=lost):
            if type(call := calls.open.get(number)) is TaskCall:
                call.attempt, call.dispatch, call.retry_at = attempt, dispatch, None
                call.losses += lost
        case ProgressNoted(call=number, progress=progress):
            if type(call := calls.open.get(number)) is TaskCall:
                call.progress = progress
        case LateResult(call=number):
            calls.abandoned.pop(number, None)
        case _:
            pass
