"""What a retry would reuse and what it would do again, read from the journal of the last execution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import msgspec

from understudy.errors import BadRequest
from understudy_runtime.core.records import ExecutionStarted, TaskScheduled, Turn
from understudy_runtime.core.reuse import finished_tasks, offer


class Plan(msgspec.Struct, frozen=True):
    """Tasks by name. `reused` holds as far as their arguments stay what they were."""

    execution: int
    reused: dict[str, int]
    redone: dict[str, int]

    def __str__(self) -> str:
        names = sorted({*self.reused, *self.redone})
        lines = [f"  {name}: {self.reused.get(name, 0)} reused, {self.redone.get(name, 0)} redone" for name in names]
        return "\n".join([f"execution {self.execution}:", *(lines or ["  everything is new: no task was begun"])])


def plan(turns: Sequence[Turn], redo: Collection[str], keep: Collection[str]) -> Plan:
    """BadRequest if `redo` or `keep` name tasks that the last execution did not have, or both name one."""
    execution, scheduled = 1, Counter[str]()
    for turn in turns:
        for record in turn.records:
            if isinstance(record, ExecutionStarted):
                execution, scheduled = record.execution, Counter[str]()
            elif isinstance(record, TaskScheduled):
                scheduled[record.task] += 1
    _check(scheduled, redo, keep)
    reused = Counter(task.task for task in offer(finished_tasks(turns), redo, keep))
    return Plan(execution + 1, dict(reused), dict(scheduled - reused))


def _check(scheduled: Collection[str], redo: Collection[str], keep: Collection[str]) -> None:
    both = sorted({*redo} & {*keep})
    if both:
        raise BadRequest(f"task {both[0]} cannot be both redone and kept")
    unknown = sorted({*redo, *keep} - {*scheduled})
    if unknown:
        raise BadRequest(f"the run has no task {unknown[0]!r}; it has: {', '.join(sorted(scheduled)) or 'none'}")
