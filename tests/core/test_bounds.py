"""Every bound of the machines, at the bound: what still goes, and how what no longer goes is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.tracing import Bench
from understudy_runtime.core import actor, deliveries
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.runs import ExecutionStarted, TaskReused
from understudy_runtime.core.run import commands
from understudy_runtime.core.run.decide import MAX_TURNS, TURNS_WARNING

TASKS = commands.MAX_ROUNDS + 10


def run() -> Bench:
    bench = Bench(["run", "one"])
    bench.turn(["@10 start loops"])
    return bench


def tally() -> Bench:
    return Bench(["actor", "Tally", "one"])


def has(out: list[str], start: str) -> bool:
    return any(line.startswith(start) for line in out)


# --- turns of a run


def test_a_run_is_warned_of_its_length_once() -> None:
    bench = run()
    bench.cell.state.turns = TURNS_WARNING - 1
    assert not has(bench.turn(["deliver note"]), "+ Cautioned")
    assert has(bench.turn(["deliver note"]), "+ Cautioned")
    assert not has(bench.turn(["deliver note"]), "+ Cautioned")


def test_a_run_is_warned_even_if_that_very_turn_does_not_concern_its_code() -> None:
    bench = run()
    bench.turn(["deliver note", "> task 1 a delays=5"])
    bench.cell.state.turns = TURNS_WARNING
    assert not has(bench.turn(["ended 1.1.1 failure=OSError"]), "+ Cautioned")
    assert has(bench.turn(["deliver note"]), "+ Cautioned")


def test_a_run_that_is_too_long_fails_and_says_what_to_do() -> None:
    bench = run()
    bench.turn(["ask slowly", "> task 1 a"])
    bench.cell.state.turns = MAX_TURNS - 1
    assert has(bench.turn(["deliver note"]), "= running")
    out = bench.turn(["ended 1.1.1 result=1"])
    assert has(out, "+ TaskSucceeded")
    assert has(out, "+ Ended status=failed failure=(Failure type=TooManyTurns")
    assert has(out, "settled Settled delivery=1 failure=(Failure type=RunEnded")
    assert has(out, "closed")
    assert "continue_as_new" in str(bench.cell.state.failure)


@pytest.mark.parametrize("message", ["ask slowly", "deliver note"])
def test_whoever_sends_the_message_that_is_too_much_is_told(message: str) -> None:
    bench = run()
    bench.cell.state.turns = MAX_TURNS
    out = bench.turn([message])
    assert has(out, "+ Ended status=failed")
    assert not has(out, "+ Delivered")
    assert has(out, "reply Refused error=RunEnded")


def test_an_actor_whose_ask_is_too_much_gets_an_answer() -> None:
    bench = run()
    bench.cell.state.turns = MAX_TURNS
    assert has(
        bench.turn(["ask slowly sender=default/run/other:1:7"]), "send default/run/other Answer execution=1 call=7 f"
    )


def test_a_run_that_was_too_long_can_be_retried() -> None:
    bench = run()
    bench.cell.state.turns = MAX_TURNS
    bench.turn(["deliver note"])
    assert bench.turn(["retry", "> task 1 a"])[-1] == "= running, duty never, open"
    assert bench.cell.state.turns == 1


# --- activations of one turn


def test_a_run_that_reuses_many_results_one_by_one_takes_several_turns() -> None:
    bench = run()
    bench.turn(["terminate"])
    reuse = ",".join(f"a:{n}:1::{n}" for n in range(1, TASKS + 1))
    asked = ["> task 1 a digest=1", *(line for n in range(2, TASKS + 1) for line in (">", f"> task {n} a digest={n}"))]
    first, rest = asked[: 2 * commands.MAX_ROUNDS - 1], asked[2 * commands.MAX_ROUNDS :]
    out = bench.turn([f"retry reuse={reuse}", *first])
    assert out[-1] == "= running, duty 0, open"
    assert has(out, "timer 10")
    out = bench.turn(["due", *rest, ">", "> return 1"])
    assert out[-1] == "= succeeded, duty never"
    assert [record.call for record in records(bench, TaskReused)] == list(range(1, TASKS + 1))


def test_a_run_that_continues_as_new_without_end_takes_a_turn_for_some() -> None:
    bench = run()
    asked = ["> continue 0", *(line for n in range(1, commands.MAX_ROUNDS) for line in (">", f"> continue {n}"))]
    out = bench.turn(["deliver go", *asked])
    assert out[-1] == "= running, duty 0"
    assert has(out, "timer 10")
    assert records(bench, ExecutionStarted)[-1].execution == commands.MAX_ROUNDS
    out = bench.turn(["due", "> task 1 a"])
    assert out[0] == "< ExecutionStarted"
    assert out[-1] == "= running, duty never, open"


def test_a_run_that_is_held_between_two_executions_begins_the_next_with_its_release() -> None:
    bench = run()
    asked = ["> continue 0", *(line for n in range(1, commands.MAX_ROUNDS) for line in (">", f"> continue {n}"))]
    bench.turn(["deliver go", *asked])
    assert bench.turn(['hold poisoned "killed its node"'])[-1] == "= held, duty never, open"
    assert bench.turn(["due"]) == ["= held, duty never, open"]
    out = bench.turn(["release", "> task 1 a"])
    assert out[0] == "< ExecutionStarted Released"
    assert out[-1] == "= running, duty never, open"


def test_a_message_that_comes_between_two_executions_is_for_the_next() -> None:
    bench = run()
    asked = ["> continue 0", *(line for n in range(1, commands.MAX_ROUNDS) for line in (">", f"> continue {n}"))]
    bench.turn(["deliver go", *asked])
    out = bench.turn(["ask status", "> reply 2 1"])
    assert out[0] == "< ExecutionStarted Delivered"
    assert out[-1] == "= running, duty never"


def test_an_actor_handles_so_many_queued_messages_in_one_turn() -> None:
    bench = tally()
    bench.turn(["@10 deliver slowly", "> task 1 a"])
    for _ in range(TASKS):
        bench.turn(["deliver add"])
    replies = [line for n in range(1, TASKS + 2) for line in (f"> reply {n} null", ">")][:-1]
    out = bench.turn(["ended 1.1.1 result=1", *replies[: 2 * actor.MAX_ROUNDS - 1]])
    assert out[-1] == "= active, duty 0"
    assert has(out, "timer 10")
    assert bench.turn(["due", *replies[2 * actor.MAX_ROUNDS :]])[-1] == "= active, duty never"
    assert not bench.cell.state.queue


# --- deliveries


@pytest.mark.parametrize("make", [run, tally])
def test_so_many_messages_may_be_open(make: Any) -> None:
    bench = make()
    bench.now = 10
    bench.turn(["ask slowly", "> task 1 a"])
    for _ in range(deliveries.MAX_OPEN - 1):
        bench.turn(["deliver slowly"])
    assert bench.turn(["ask slowly"])[0].startswith("reply Refused error=Overloaded")
    assert bench.turn(["deliver slowly"])[0].startswith("reply Refused error=Overloaded")
    out = bench.turn(["ask slowly sender=default/run/other:1:7"])
    assert out[0].startswith("send default/run/other Answer execution=1 call=7 failure=(Failure type=Overloaded")
    bench.turn(["ended 1.1.1 result=1", "> reply 1 null"])
    assert has(bench.turn(["ask slowly"]), "reply Later")


def test_commands_are_remembered_for_ten_minutes() -> None:
    bench = run()
    bench.turn(["deliver note key=k", "> reply 1 null"])
    bench.now += deliveries.REMEMBERED_S - 1
    bench.turn(["deliver note key=other", "> reply 2 null"])
    assert not has(bench.turn(["deliver note key=k"]), "+")
    bench.now += 1
    bench.turn(["deliver note key=third", "> reply 3 null"])
    assert "k" not in bench.cell.state.deliveries.remembered
    assert has(bench.turn(["deliver note key=k", "> reply 4 null"]), "+ Delivered")


def test_so_many_commands_are_remembered() -> None:
    bench = run()
    for n in range(deliveries.MAX_REMEMBERED + 1):
        bench.turn([f"deliver note key={n}", f"> reply {n + 1} null"])
    remembered = bench.cell.state.deliveries.remembered
    assert len(remembered) == deliveries.MAX_REMEMBERED
    assert next(iter(remembered)) == "1"


def records(bench: Bench, kind: type[AnyRecord]) -> list[Any]:
    return [record for turn in bench.journal for record in turn.records if type(record) is kind]
