"""Calls: what an actor's user code has asked of the outside and not yet heard of.

A call is a task, a child run or an ask, numbered by the program in the order of asking. Runs and
user-defined actors own a `Calls` each and share the rules of this module. A task's life:

    scheduled ──► attempt out ──► succeeded                    TaskSucceeded
                   ▲       │ └──► gave up                      TaskGaveUp
                   │       ▼
                   └── waiting to retry                        AttemptFailed ... AttemptDispatched

An attempt is known by its token (execution, call, attempt, dispatch). A node that loads an actor has none of its
attempts. Those that are known to go on elsewhere it waits for; the others it dispatches again under a new dispatch
number, and the old token's result is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

import msgspec
from msgspec import Raw

from understudy.options import TaskOptions
from understudy_runtime.core.job import applying as noting
from understudy_runtime.core.job import deciding as jobs
from understudy_runtime.core.job import stopping as stops
from understudy_runtime.core.job.state import SUBMIT, OpenJob, Stopping, dispatch_for, options_of, stopping_name
from understudy_runtime.core.kinds import Failure, MaybeRaw
from understudy_runtime.core.messages import (
    AttemptEnded,
    AttemptProgressed,
    Decision,
    Dispatch,
    JobInfo,
    Token,
)
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.calls import (
    AskScheduled,
    AttemptDispatched,
    AttemptFailed,
    CallAnswered,
    ChildScheduled,
    LateResult,
    ProgressNoted,
    TaskGaveUp,
    TaskScheduled,
    TaskSucceeded,
)
from understudy_runtime.core.records.jobs import JobStopped
from understudy_runtime.core.records.runs import TaskReused
from understudy_runtime.core.retries import retry_at as _retry_at

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
    job: OpenJob | None = None
    """Set while there is an attempt, if it is a job."""

    @property
    def out(self) -> bool:
        return self.retry_at is None and self.reuse is None

    @property
    def is_held_here(self) -> bool:
        """Whether this node does something for it: a job that is completed from outside needs nobody meanwhile."""
        if self.job is None:
            return self.retry_at is None or self.reuse is not None
        return self.job.phase != "uncertain" and (self.job.phase != "open" or options_of(self.options).poll)


class ChildCall(msgspec.Struct, tag="child"):
    run_id: str


class AskCall(msgspec.Struct, tag="ask"):
    to: str


OpenCall = TaskCall | ChildCall | AskCall


class Calls(msgspec.Struct, omit_defaults=True):
    """The open calls of one execution, and how many tasks and awaited children have come to what end."""

    open: dict[int, OpenCall] = {}
    abandoned: dict[int, int] = {}
    """call -> attempt of tasks that nobody awaits but whose last attempt has not reported yet."""
    execution: int = 0
    stopping: dict[str, Stopping] = {}
    """Jobs that nobody awaits any more and that have to end, of earlier executions too."""
    scheduled: int = 0
    succeeded: int = 0
    failed: int = 0
    reused: int = 0

    def task(self, number: int) -> TaskCall | None:
        call = self.open.get(number)
        return call if type(call) is TaskCall else None

    def tasks(self) -> Iterator[tuple[int, TaskCall]]:
        return ((number, call) for number, call in self.open.items() if type(call) is TaskCall)

    @property
    def children(self) -> int:
        """How many child runs are awaited."""
        return sum(type(call) is ChildCall for call in self.open.values())

    @property
    def under_way(self) -> bool:
        """Whether a task has an attempt out or a result to hand over: the actor must be in memory for that."""
        for call in self.open.values():  # asked in most turns, so not written as any() over a generator
            if type(call) is TaskCall and (
                call.is_held_here if call.job is not None else call.retry_at is None or call.reuse is not None
            ):
                return True
        return bool(self.stopping)


class Caller(msgspec.Struct, frozen=True):
    """The actor and execution whose calls these are."""

    key: str
    execution: int


def dispatch_of(caller: Caller, number: int, call: TaskCall, attempt: int, dispatch: int) -> Dispatch:
    if call.options.job is not None:
        token = Token(caller.key, caller.execution, number, attempt, dispatch)
        return dispatch_for(SUBMIT, token, call.task, call.options, call.args)
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
    if command.options.job is not None:
        token = Token(caller.key, caller.execution, command.call, 1, 1)
        return dispatch_for(SUBMIT, token, command.task, command.options, command.args)
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
    if calls.stopping:
        stopping = calls.stopping.get(stopping_name(token.execution, token.call, token.attempt))
        if stopping is not None:
            return stops.ended(calls, stopping, message, now)
    if token.execution != caller.execution:
        return Decision()
    call = calls.open.get(token.call)
    if type(call) is not TaskCall:
        if calls.abandoned.get(token.call) == token.attempt:
            return Decision(append=[LateResult(token.call, token.attempt)])
        return Decision()
    if not call.out or (token.attempt, token.dispatch) != (call.attempt, call.dispatch):
        return Decision()
    if call.job is not None:
        return jobs.ended(jobs.Job(caller, token.call, call, now), message)
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
    retry_at = _retry_at(call.options, call.since, failure, token, now)
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


def recovered(caller: Caller, calls: Calls, now: float, under_way: Collection[Token] = ()) -> Decision:
    """All attempts but those under way went with the process that ran them: dispatch each again, at no cost to the
    task.
    """
    decision = stops_recovered(caller, calls, now, under_way)
    for number, call in calls.tasks():
        if Token(caller.key, caller.execution, number, call.attempt, call.dispatch) in under_way:
            continue
        if call.job is not None:
            again = jobs.recovered(jobs.Job(caller, number, call, now))
            decision.append += again.append
            decision.execute += again.execute
            decision.activate = decision.activate or again.activate
        elif call.out:
            again = _dispatch_again(caller, number, call, lost=False)
            decision.append += again.append
            decision.execute += again.execute
    return decision


def tasks_due(caller: Caller, calls: Calls, now: float) -> Decision:
    """Deadlines that have passed, retries whose time has come, and reused results still to be handed over."""
    decision = stops_due(caller, calls, now)
    gave_up = {record.call for record in decision.append if type(record) is TaskGaveUp}
    waiting = {each.call for each in calls.stopping.values() if each.execution == caller.execution}
    for number, call in calls.tasks():
        if number in gave_up:
            continue
        if call.reuse is not None:
            decision.append.append(TaskReused(number, call.reuse))
            decision.activate = True
        elif _deadline(call) <= now:
            decision.append.append(TaskGaveUp(number, _too_late(call), call.attempt if call.out else 0))
            decision.activate = True
            decision.abandon += abandon(caller, number, call)
        elif call.job is not None:
            more = jobs.due(jobs.Job(caller, number, call, now))
            decision.append += more.append
            decision.execute += more.execute
            decision.abandon += more.abandon
            decision.activate = decision.activate or more.activate
        elif call.retry_at is not None and call.retry_at <= now and number not in waiting:
            attempt = call.attempt + 1
            decision.append.append(AttemptDispatched(number, attempt, 1))
            decision.execute.append(dispatch_of(caller, number, call, attempt, 1))
    return decision


def next_duty(calls: Calls) -> float | None:
    if not calls.open:
        return next_stop(calls)
    waiting = {each.call for each in calls.stopping.values() if each.execution == calls.execution}
    times = [0.0 if call.reuse is not None else _duty(call, number in waiting) for number, call in calls.tasks()]
    if (at := stops.next_duty(calls)) is not None:
        times.append(at)
    earliest = min(times, default=FOREVER)
    return None if earliest == FOREVER else earliest


def _duty(call: TaskCall, waits_for_stop: bool) -> float:
    at = call.retry_at if call.job is None else jobs.next_duty(call)
    return min(_deadline(call), FOREVER if at is None or waits_for_stop else at)


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
    """The token to cancel when nobody awaits the call any more. A submit goes on, so that its handle becomes known."""
    if call.job is not None and call.job.phase != "open":
        return []
    return [Token(caller.key, caller.execution, number, call.attempt, call.dispatch)] if call.out else []


def let_go(decision: Decision, caller: Caller, number: int, call: TaskCall) -> None:
    """Nobody awaits the call any more: its attempt is cancelled, and its job is to be stopped at once."""
    decision.abandon += abandon(caller, number, call)
    if call.job is not None:
        decision.timer = 0.0


def never_began(execution: int, commands: list[AnyRecord], number: int | None = None) -> list[AnyRecord]:
    """What to note of the jobs in `commands` (or only of call `number`) that are not going to be submitted."""
    return [
        JobStopped(execution, command.call, 1)
        for command in commands
        if type(command) is TaskScheduled and command.options.job is not None and number in (None, command.call)
    ]


def stops_due(caller: Caller, calls: Calls, now: float) -> Decision:
    return stops.due(caller.key, calls, now) if calls.stopping else Decision()


def next_stop(calls: Calls) -> float | None:
    """When a job that nobody awaits is next to be cancelled."""
    return stops.next_duty(calls) if calls.stopping else None


def stops_recovered(caller: Caller, calls: Calls, now: float, under_way: Collection[Token] = ()) -> Decision:
    return stops.recovered(caller.key, calls, now, under_way) if calls.stopping else Decision()


def open_jobs(key: str, calls: Calls) -> tuple[JobInfo, ...]:
    """The jobs that the outside system has, or may have."""
    awaited = (
        JobInfo(
            key,
            calls.execution,
            number,
            call.attempt,
            call.task,
            call.job.phase,
            call.job.since or call.since,
            call.job.build,
            call.job.handle,
        )
        for number, call in calls.tasks()
        if call.job is not None
    )
    ending = (
        JobInfo(
            key, each.execution, each.call, each.attempt, each.task, "stopping", each.since, each.build, each.handle
        )
        for each in calls.stopping.values()
    )
    return (*awaited, *ending)


# --- apply


def afresh(calls: Calls, execution: int) -> Calls:
    """No calls yet, of another execution; what has to be stopped of earlier ones stays."""
    return Calls(execution=execution, stopping=calls.stopping)


def afresh_after(calls: Calls) -> Calls:
    """The same, when those that are open have not been closed yet."""
    apply_closed(calls)
    return afresh(calls, calls.execution)


def apply_closed(calls: Calls) -> None:
    """All that was open ends with the execution."""
    for number, call in calls.tasks():
        noting.leave(calls, number, call)
    calls.open.clear()


def apply_scheduled(calls: Calls, record: TaskScheduled, at: float, reuse: Raw | None = None) -> None:
    calls.scheduled += 1
    job = None if record.options.job is None or reuse is not None else OpenJob()
    calls.open[record.call] = TaskCall(record.task, record.args, record.options, at, reuse=reuse, job=job)


def apply_child(calls: Calls, record: ChildScheduled) -> None:
    if record.wait:
        calls.scheduled += 1
        calls.open[record.call] = ChildCall(record.run_id)


def apply_ask(calls: Calls, record: AskScheduled) -> None:
    if record.ask:
        calls.open[record.call] = AskCall(record.to)


def apply_outcome(calls: Calls, record: TaskSucceeded | TaskReused | TaskGaveUp | CallAnswered) -> None:
    call = calls.open.pop(record.call, None)
    if type(call) is TaskCall and call.job is not None and type(record) is TaskGaveUp:
        noting.leave(calls, record.call, call)
    match record:
        case TaskSucceeded():
            calls.succeeded += 1
        case TaskReused():
            calls.reused += 1
        case TaskGaveUp():
            calls.failed += 1
        case CallAnswered() if type(call) is ChildCall:
            calls.succeeded += record.failure is None
            calls.failed += record.failure is not None
        case CallAnswered():
            pass


def apply_cancelled(calls: Calls, number: int) -> None:
    call = calls.open.pop(number, None)
    if type(call) is TaskCall and call.job is not None:
        noting.leave(calls, number, call)
    elif type(call) is TaskCall and call.out:
        calls.abandoned[number] = call.attempt


def apply_note(calls: Calls, record: AnyRecord) -> None:
    match record:
        case AttemptFailed(call=number, retry_at=retry_at):
            if type(call := calls.open.get(number)) is TaskCall:
                call.retry_at = retry_at
                noting.leave(calls, number, call)
        case AttemptDispatched(call=number, attempt=attempt, dispatch=dispatch, lost=lost, watched_at=watched_at):
            if type(call := calls.open.get(number)) is TaskCall:
                if call.options.job is not None:
                    noting.dispatched(call, watched_at, is_new=attempt != call.attempt)
                call.attempt, call.dispatch, call.retry_at = attempt, dispatch, None
                call.losses += lost
        case ProgressNoted(call=number, progress=progress):
            if type(call := calls.open.get(number)) is TaskCall:
                call.progress = progress
        case LateResult(call=number):
            calls.abandoned.pop(number, None)
        case _:
            noting.apply(calls, record)
