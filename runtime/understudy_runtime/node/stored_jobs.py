"""What is stored of runs and actors, as far as it is about their jobs; and how jobs are told of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from understudy.door import JOB_STATUSES, JobSummary
from understudy.errors import BadInput
from understudy_runtime.core.actor import ActorMachine
from understudy_runtime.core.completion import completion_token
from understudy_runtime.core.keys import RUN, kind_of
from understudy_runtime.core.messages import JobInfo, ListJobs, Machine, OpenJobs, Token
from understudy_runtime.core.ports import ActorRow, Loaded
from understudy_runtime.core.records import Turn
from understudy_runtime.core.run import RunMachine


def may_have_jobs(row: ActorRow) -> bool:
    """Whether to look: not if the run has ended and nothing of it is under way."""
    return row.closed_at is None or row.parked_until is None


_ACTORS: Final[Machine[Any]] = ActorMachine()
_MACHINES: Final[dict[str, Machine[Any]]] = {RUN: RunMachine()}


def stored_jobs(found: Loaded, turns: Sequence[Turn]) -> Sequence[JobInfo]:
    """The jobs of what is stored of a run or actor, in order; `turns` are those after its snapshot."""
    machine = _MACHINES.get(kind_of(found.key), _ACTORS)
    state = machine.initial(found.key) if found.snapshot is None else machine.decode(found.snapshot)
    for turn in turns:
        for record in turn.records:
            machine.apply(state, record, turn.at, turn.seq)
    reply = machine.decide(state, ListJobs(), 0.0).reply
    return sorted(reply.jobs, key=number_of) if isinstance(reply, OpenJobs) else ()


def number_of(job: JobInfo) -> tuple[int, int, int]:
    """Where it is among the jobs of its run or actor."""
    return (job.execution, job.call, job.attempt)


def checked_status(status: str) -> str:
    """BadInput if it is none of a job; empty is any."""
    if status and status not in JOB_STATUSES:
        raise BadInput(f"{status[:40]!r} is not a status of jobs; those are: {', '.join(JOB_STATUSES)}")
    return status


def summary(info: JobInfo) -> JobSummary:
    return JobSummary(
        info.key.split("/", 1)[1],
        info.execution,
        info.call,
        info.attempt,
        info.task,
        info.status,
        info.since,
        info.build,
        None if info.handle is None else msgspec.json.decode(info.handle),
        completion_token(Token(info.key, info.execution, info.call, info.attempt, 0)),
    )
