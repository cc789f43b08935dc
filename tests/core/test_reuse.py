"""What a retried run may take over from its last execution."""

from __future__ import annotations

from msgspec import Raw

from understudy.options import TaskOptions
from understudy_runtime.core.kinds import NULL, Failure
from understudy_runtime.core.records import AnyRecord, Turn
from understudy_runtime.core.records.calls import TaskGaveUp, TaskScheduled, TaskSucceeded
from understudy_runtime.core.records.runs import ExecutionStarted, Reusable, TaskReused
from understudy_runtime.core.reuse import finished_tasks, offer


def started(execution: int = 1) -> ExecutionStarted:
    return ExecutionStarted("w", NULL, execution=execution)


def scheduled(call: int, task: str, digest: str, version: str = "") -> TaskScheduled:
    return TaskScheduled(call, task, NULL, digest, TaskOptions(version=version))


def result(call: int) -> TaskSucceeded:
    return TaskSucceeded(call, Raw(b"%d" % call))


def gave_up(call: int) -> TaskGaveUp:
    return TaskGaveUp(call, Failure("E"))


def history(*turns: list[AnyRecord]) -> list[Turn]:
    return [Turn(seq, float(seq), records) for seq, records in enumerate(turns, 1)]


def test_only_what_succeeded_is_offered_in_the_order_of_the_calls() -> None:
    told = history(
        [started(), scheduled(1, "a", "x"), scheduled(2, "b", "y"), scheduled(3, "c", "z")],
        [result(3)],
        [gave_up(2)],
        [result(1)],
    )
    assert offer(finished_tasks(told)) == (
        Reusable("a", "x", 1, "", Raw(b"1")),
        Reusable("c", "z", 1, "", Raw(b"3")),
    )


def test_calls_with_the_same_arguments_are_told_apart_by_their_occurrence() -> None:
    told = history(
        [started(), scheduled(1, "a", "x"), scheduled(2, "a", "x"), scheduled(3, "a", "y")],
        [gave_up(1)],
        [result(2), result(3)],
    )
    assert [(r.digest, r.occurrence) for r in offer(finished_tasks(told))] == [("x", 2), ("y", 1)]


def test_what_is_kept_stays_with_the_call_at_its_place() -> None:
    """A call that failed keeps its place: the results of later ones do not move up."""
    told = history(
        [
            started(),
            scheduled(1, "a", "x"),
            scheduled(2, "a", "y", "v1"),
            scheduled(3, "a", "z"),
            scheduled(4, "b", "x"),
        ],
        [gave_up(1)],
        [result(2), result(3), result(4)],
    )
    assert offer(finished_tasks(told), keep=["a"]) == (
        Reusable("a", "", 2, "", Raw(b"2")),
        Reusable("a", "", 3, "", Raw(b"3")),
        Reusable("b", "x", 1, "", Raw(b"4")),
    )


def test_what_is_redone_is_not_offered() -> None:
    told = history([started(), scheduled(1, "a", "x"), scheduled(2, "b", "y")], [result(1), result(2)])
    assert [r.task for r in offer(finished_tasks(told), redo=["a"])] == ["b"]
    assert [r.task for r in offer(finished_tasks(told), redo=["a", "b"], keep=["a"])] == ["a"]


def test_only_the_last_execution_counts_with_what_it_took_over_itself() -> None:
    told = history(
        [started(), scheduled(1, "a", "x"), scheduled(2, "b", "y")],
        [result(1), result(2)],
        [started(2), scheduled(1, "a", "x", "v2"), TaskReused(1, Raw(b"11"))],
    )
    assert offer(finished_tasks(told)) == (Reusable("a", "x", 1, "v2", Raw(b"11")),)
