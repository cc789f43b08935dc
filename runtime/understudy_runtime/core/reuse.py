"""Retry of a run with the same or other input: which finished tasks need not be done again.

A finished task of the last execution is offered by its name, argument digest, occurrence and version, and taken
by the call of the next execution that matches. `redo` names are not offered at all; `keep` names are
offered for any arguments and version.
"""

from __future__ import annotations

from collections.abc import Iterable

from understudy_runtime.core.records import (
    ExecutionStarted,
    Reusable,
    TaskReused,
    TaskScheduled,
    TaskSucceeded,
    Turn,
)


def finished_tasks(turns: Iterable[Turn]) -> list[Reusable]:
    """The finished tasks of the last execution, in the order of their calls."""
    calls: dict[int, TaskScheduled] = {}
    results: dict[int, TaskSucceeded | TaskReused] = {}
    for turn in turns:
        for record in turn.records:
            match record:
                case ExecutionStarted():
                    calls, results = {}, {}
                case TaskScheduled(call=call):
                    calls[call] = record
                case TaskSucceeded(call=call) | TaskReused(call=call):
                    results[call] = record
                case _:
                    pass
    counts: dict[tuple[str, str], int] = {}
    found: list[Reusable] = []
    for number, scheduled in sorted(calls.items()):
        name = (scheduled.task, scheduled.digest)
        counts[name] = counts.get(name, 0) + 1
        if number in results:
            result, version = results[number].result, scheduled.options.version
            found.append(Reusable(scheduled.task, scheduled.digest, counts[name], version, result))
    return found


def offer(finished: Iterable[Reusable], redo: Iterable[str] = (), keep: Iterable[str] = ()) -> tuple[Reusable, ...]:
    """What the next execution may take over."""
    redone, kept = frozenset(redo), frozenset(keep)
    counts: dict[str, int] = {}
    offered: list[Reusable] = []
    for task in finished:
        if task.task in kept:
            counts[task.task] = counts.get(task.task, 0) + 1
            offered.append(Reusable(task.task, "", counts[task.task], "", task.result))
        elif task.task not in redone:
            offered.append(task)
    return tuple(offered)
