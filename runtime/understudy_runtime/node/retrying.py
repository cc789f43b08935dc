"""Retry of an ended run: what the next execution may take over, and what it will have to do.

The plan is found by trying: workflow code has no effects, so the next execution is run on a copy of the run's
state, with the finished tasks at hand, until it asks for something that has to be done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from understudy.door import RetryPlan
from understudy.errors import BadRequest, UnknownName
from understudy_runtime.actors import turns
from understudy_runtime.actors.cell import Cell, Phase
from understudy_runtime.actors.engine import Engine
from understudy_runtime.core.calls import AskCall, ChildCall
from understudy_runtime.core.keys import RUN, id_of
from understudy_runtime.core.messages import RetryRun, Started, TimerDue
from understudy_runtime.core.ports import Programs
from understudy_runtime.core.records import AnyRecord, Turn
from understudy_runtime.core.records.calls import TaskScheduled
from understudy_runtime.core.records.runs import ContinuedAsNew, ExecutionStarted, TaskReused
from understudy_runtime.core.reuse import Finished, finished_tasks, offer
from understudy_runtime.core.run import CLOSED, RunMachine, RunState

MOST_NAMED: Final = 5


async def retry(
    engine: Engine,
    programs: Programs,
    key: str,
    input: Raw | None,
    digest: str,
    *,
    redo: Sequence[str],
    keep: Sequence[str],
    dry_run: bool,
    now: float,
    idempotency_key: str = "",
) -> RetryPlan:
    """Start the next execution of a run, or (`dry_run`) only say what it would do. On the engine's loop."""
    history = await engine.history(key)
    if (begun := _begun(history, idempotency_key)) is not None:
        return RetryPlan(id_of(key), begun.execution, tuple(f"{task.task}#{task.occurrence}" for task in begun.reuse))
    message, plan = planned(programs, key, history, input, digest, redo=redo, keep=keep, now=now)
    if dry_run:
        return plan
    reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    engine.deliver(key, msgspec.structs.replace(message, idempotency_key=idempotency_key), reply.set_result)
    match await reply:
        case Started():
            return msgspec.structs.replace(plan, dry_run=False)
        case BaseException() as error:
            raise error
        case refused:
            raise BadRequest(getattr(refused, "message", str(refused)))


def _begun(history: list[Turn], idempotency_key: str) -> ExecutionStarted | None:
    """The execution that an earlier request with this key has started."""
    if not idempotency_key:
        return None
    started = (record for turn in history for record in turn.records if isinstance(record, ExecutionStarted))
    return next((record for record in started if record.idempotency_key == idempotency_key), None)


def planned(
    programs: Programs,
    key: str,
    history: list[Turn],
    input: Raw | None,
    digest: str,
    *,
    redo: Sequence[str],
    keep: Sequence[str],
    now: float,
) -> tuple[RetryRun, RetryPlan]:
    """What to tell the run, and what the next execution would then do. Nothing happens."""
    if not history:
        raise UnknownName(f"there is no run {id_of(key)}")
    finished = finished_tasks(history)
    _check_names([*redo, *keep], finished)
    message = RetryRun(input, digest, offer(finished, redo, keep))
    return message, _plan(programs, key, history, message, now)


def _check_names(names: Iterable[str], finished: list[Finished]) -> None:
    known = {task.task for task in finished}
    for name in names:
        if name not in known:
            raise BadRequest(f"the last execution finished no task {name}; it finished: {', '.join(sorted(known))}")


def _plan(programs: Programs, key: str, history: list[Turn], message: RetryRun, now: float) -> RetryPlan:
    cell = _copy(key, history)
    state: RunState = cell.state
    if state.status not in CLOSED:
        raise BadRequest(f"run {id_of(key)} is {state.status}; only an ended run can be retried")
    if not programs.has(RUN, state.workflow):
        raise UnknownName(f"this node has no workflow named {state.workflow}")
    execution = state.execution + 1
    try:
        records = turns.take(cell, message, now, programs).append
        # What is left to hand over goes on turn by turn; a next execution, continued as new, reuses nothing.
        while state.reuse and cell.machine.next_duty(state) == 0.0:
            cell.seq += 1
            records += turns.take(cell, TimerDue(), now, programs).append
    finally:
        cell.drop_program()
    reused, redone = _names(records)
    return RetryPlan(id_of(key), execution, reused, redone, dry_run=True, ends=_ends(state, execution, redone))


def _copy(key: str, history: list[Turn]) -> Cell:
    cell = Cell(key, RUN, RunMachine())
    cell.phase, cell.state = Phase.READY, cell.machine.initial(key)
    for turn in history:
        cell.seq = turn.seq
        for record in turn.records:
            cell.machine.apply(cell.state, record, turn.at, turn.seq)
    return cell


def _ends(state: RunState, execution: int, redone: Sequence[str]) -> str:
    """Where the trial of that execution has stopped."""
    if state.execution > execution:
        return "it continues as new then, and the next execution reuses nothing"
    if state.held is not None:
        return f"it is held then ({state.held.why}): {state.held.detail}"
    if state.status in CLOSED:
        why = "" if state.failure is None else f": {state.failure.type}: {state.failure.message}".removesuffix(": ")
        return f"it has {state.status} then{why}"
    awaited = [f"task {name}" for name in redone]
    for call in state.calls.open.values():
        if isinstance(call, ChildCall):
            awaited.append(f"child run {call.run_id}")
        elif isinstance(call, AskCall):
            awaited.append(call.to.partition("/")[2])
    if state.timer is not None:
        awaited.append("a timer")
    more = f" and {len(awaited) - MOST_NAMED} more" if len(awaited) > MOST_NAMED else ""
    named = ", ".join(awaited[:MOST_NAMED]) or "a message or something else from outside"
    return f"it waits for {named}{more} then; what it does next depends on what comes of that"


def _names(records: list[AnyRecord]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is reused and what must be done, each as `task#n`, n counting the calls of that task."""
    counts: dict[str, int] = {}
    names: dict[int, str] = {}
    reused: list[str] = []
    for record in records:
        if isinstance(record, ContinuedAsNew):
            break
        if isinstance(record, TaskScheduled):
            counts[record.task] = counts.get(record.task, 0) + 1
            names[record.call] = f"{record.task}#{counts[record.task]}"
        elif isinstance(record, TaskReused):
            reused.append(names.pop(record.call))
    return tuple(reused), tuple(names.values())
