"""Cutting a journal into activations, and telling how what a program asks for now differs from then."""

from __future__ import annotations

from msgspec import Raw

from understudy_runtime.core.kinds import NULL, Failure
from understudy_runtime.core.messages import ReplayFrom
from understudy_runtime.core.records import AnyRecord, Turn
from understudy_runtime.core.records.actors import StateSet
from understudy_runtime.core.records.calls import AttemptFailed, CallCancelled, TaskScheduled, TaskSucceeded
from understudy_runtime.core.records.deliveries import Delivered, Replied
from understudy_runtime.core.records.programs import Fired, Held, Released, TimerSet, Warned
from understudy_runtime.core.records.runs import Completed, ContinuedAsNew, Ended, ExecutionStarted, TaskReused
from understudy_runtime.core.replay import MAX_SHOWN, MAX_VALUE_SHOWN, activations, difference

START = ExecutionStarted("w", NULL)
A = TaskScheduled(1, "a", NULL, "d1")
B = TaskScheduled(2, "b", NULL, "d2")
A_DONE = TaskSucceeded(1, NULL)
B_DONE = TaskSucceeded(2, NULL)
FAILED = AttemptFailed(1, 1, Failure("E"), 5.0)
HELD = Held("stalled", "")


def cut(
    *turns: list[AnyRecord], start: ReplayFrom | None = None
) -> list[tuple[list[AnyRecord], list[AnyRecord], bool]]:
    rows = [Turn(seq, float(seq), records) for seq, records in enumerate(turns, 1)]
    return [(a.inputs, a.commands, a.complete) for a in activations(rows, start or ReplayFrom(1, execution=1))]


def test_a_turn_is_an_activation_and_notes_are_none() -> None:
    assert cut([START, A], [FAILED], [A_DONE, FAILED, B], [B_DONE]) == [
        ([START], [A], True),
        ([A_DONE], [B], True),
        ([B_DONE], [], True),
    ]


def test_a_turn_may_hold_several_activations() -> None:
    reused = TaskReused(1, NULL)
    assert cut([START, A, reused, B]) == [([START], [A], True), ([reused], [B], True)]


def test_an_execution_begins_where_it_begins() -> None:
    second = ExecutionStarted("w", NULL, execution=2, cause="continued")
    turns: list[list[AnyRecord]] = [[START, A], [A_DONE, ContinuedAsNew(NULL, "d"), second, B], [B_DONE]]
    assert cut(*turns, start=ReplayFrom(1, execution=2)) == [([second], [B], True), ([B_DONE], [], True)]


def test_a_handler_begins_with_its_delivery() -> None:
    first, second = Delivered(1, "h", NULL), Delivered(2, "h", NULL)
    turns: list[list[AnyRecord]] = [[first, Replied(1), second, A], [A_DONE]]
    assert cut(*turns, start=ReplayFrom(1, delivery=2)) == [([second], [A], True), ([A_DONE], [], True)]


def test_what_comes_in_while_held_is_handed_over_with_the_release() -> None:
    told, released = Delivered(1, "h", NULL), Released()
    assert cut([START, A], [A_DONE, HELD], [told], [released, B], [B_DONE]) == [
        ([START], [A], True),
        ([A_DONE, told, released], [B], True),
        ([B_DONE], [], True),
    ]


def test_what_was_never_handed_over_is_left_at_the_end() -> None:
    told = Delivered(1, "h", NULL)
    assert cut([START, A], [A_DONE, HELD], [told])[1:] == [([A_DONE, told], [], False)]
    ended = Ended("terminated", Failure("Terminated"))
    assert cut([START, A], [A_DONE, HELD], [ended])[1:] == [([A_DONE], [], False)]
    assert cut([START, A], [A_DONE, ended])[1:] == [([A_DONE], [], False)]


def test_held_in_the_second_activation_of_a_turn() -> None:
    reused = TaskReused(1, NULL)
    assert cut([START, A, reused, HELD], [Released(), B]) == [([START], [A], True), ([reused, Released()], [B], True)]


def test_held_between_two_turns() -> None:
    assert cut([START, A], [HELD], [Released()], [A_DONE, B])[1:] == [([Released()], [], True), ([A_DONE], [B], True)]


def test_the_same_is_no_difference() -> None:
    assert difference([A, B, TimerSet(5.0)], [A, B, TimerSet(5.0)], strict=True) is None


def test_warnings_are_no_difference() -> None:
    assert difference([A, Warned("garbage")], [A]) is None


def test_other_arguments_are_a_difference_that_shows_both() -> None:
    then, now = (TaskScheduled(1, "a", Raw(args), args.decode()) for args in (b'{"args":[1]}', b'{"args":[2]}'))
    assert difference([B, then], [B, now]) == "\n".join(
        [
            "the journal says (-), the code now does (+):",
            "  call 2: task b",
            '- call 1: task a {"args":[1]}',
            '+ call 1: task a {"args":[2]}',
        ]
    )


def test_arguments_are_shown_up_to_a_bound() -> None:
    then, now = (TaskScheduled(1, "a", Raw(b"1" * 9_000), digest) for digest in ("then", "now"))
    diff = difference([then], [now])
    assert diff is not None
    assert len(diff) < 3 * MAX_VALUE_SHOWN


def test_what_came_of_the_code_counts_only_when_strict() -> None:
    for then, now in (
        (Completed(Raw(b"1")), Completed(Raw(b"2"))),
        (Replied(1, Raw(b"1")), Replied(1, Raw(b"2"))),
        (StateSet(Raw(b"1")), StateSet(Raw(b"2"))),
    ):
        assert difference([then], [now]) is None
        assert difference([then], [now], strict=True) is not None


def test_a_difference_shows_what_stands_around_it() -> None:
    told: list[AnyRecord] = [TaskScheduled(n, "a", NULL, "d") for n in range(10)]
    now = [*told[:5], TaskScheduled(5, "b", NULL, "d"), *told[6:]]
    diff = difference(told, now)
    assert diff is not None
    lines = diff.splitlines()
    assert lines[0] == "the journal says (-), the code now does (+):"
    assert lines[1 : 1 + MAX_SHOWN] == [f"  call {n}: task a" for n in (2, 3, 4)]
    assert lines[1 + MAX_SHOWN :] == [
        "- call 5: task a", "- call 6: task a", "- call 7: task a",
        "+ call 5: task b", "+ call 6: task a", "+ call 7: task a",
    ]  # fmt: skip


def test_more_or_less_than_then_is_a_difference() -> None:
    assert difference([A, B], [A]) == "\n".join(
        ["the journal says (-), the code now does (+):", "  call 1: task a", "- call 2: task b", "+ (nothing)"]
    )
    assert difference([], [Completed(Raw(b"1"))]) == "\n".join(
        ["the journal says (-), the code now does (+):", "- (nothing)", "+ return"]
    )


def test_other_timers_states_and_ends_are_differences() -> None:
    for told, now in (
        (TimerSet(5.0), TimerSet(6.0)),
        (TimerSet(5.0), TimerSet()),
        (CallCancelled(1), CallCancelled(2)),
        (Completed(NULL), ContinuedAsNew(NULL, "d")),
        (Replied(1), Replied(1, failure=Failure("E"))),
        (Fired(), Completed(NULL)),
    ):
        assert difference([told], [now]) is not None
