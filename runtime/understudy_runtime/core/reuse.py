"""Retry of a run with the same or other input: which finished tasks need not be done again.

A finished task of the last execution is offered by its name, argument digest, occurrence and version, and taken
by the call of the next execution that matches. `redo` names are not offered at all; `keep` names are
offered for any arguments and version, each to the call that comes at the same place among the calls of that task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from understudy_runtime.core.records import Turn
from understudy_runtime.core.records.calls import TaskScheduled, TaskSucceeded
from understudy_runtime.core.records.runs import ExecutionStarted, Reusable, TaskReused


class Finished(msgspec.Struct, frozen=True):
    """A finished task: as it may be reused, and its place among the calls of that task, finished or not."""

    reusable: Reusable
    place: int

    @property
    def task(self) -> str:
        return self.reusable.task


def finished_tasks(turns: Iterable[Turn]) -> list[Finished]:
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
    occurrences: Counter[tuple[str, str]] = Counter()
    places: Counter[str] = Counter()
    found: list[Finished] = []
    for number, scheduled in sorted(calls.items()):
        task, digest = scheduled.task, scheduled.digest
        occurrences[task, digest] += 1
        places[task] += 1
        if number in results:
            version, result = scheduled.options.version, results[number].result
            reusable = Reusable(task, digest, occurrences[task, digest], version, result)
            found.append(Finished(reusable, places[task]))
    return found


def offer(finished: Iterable[Finished], redo: Iterable[str] = (), keep: Iterable[str] = ()) -> tuple[Reusable, ...]:
    """What the next execution may take over."""
    redone, kept = frozenset(redo), frozenset(keep)
    offered: list[Reusable] = []
    for each in finished:
        if each.task in kept:
            offered.append(Reusable(each.task, "", each.place, "", each.reusable.result))
        elif each.task not in redone:
            offered.append(each.reusable)
    return tuple(offered)
