"""Rates of operations hold over any window of time, whenever calls come, and over restarts."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.resources import Bench, options
from understudy import Resource, operation
from understudy.resourcing import OperationOptions
from understudy_runtime.core.records.resources import OperationStarted, OperationTaken

ROUNDING_S = 1e-6
"""Times are floats: a sum of many of them is no more exact than that."""


def with_rate(rate: float, burst: int = 0) -> Bench:
    call = OperationOptions(rate=rate, burst=burst, idempotent=True)
    return Bench(options(capacity=8, idle_timeout_s=None, operations={"call": call})).ready()


def starts_of(bench: Bench) -> list[float]:
    return [
        at
        for _, at, record in bench.journal
        if isinstance(record, OperationStarted) or (isinstance(record, OperationTaken) and record.started)
    ]


def invoke(bench: Bench, count: int, first: int = 10) -> None:
    for n in range(count):
        bench.invoke("a", bench.grant("a").fence, "call", call=first + n)


def assert_holds(starts: list[float], rate: float, burst: int) -> None:
    for first, since in enumerate(starts):
        for last in range(first, len(starts)):
            assert last - first + 1 <= (starts[last] - since + ROUNDING_S) * rate + burst


@settings(deadline=None)
@given(
    rate=st.sampled_from([0.1, 2.0, 4.0, 60.0, 1000.0]),
    burst=st.integers(0, 7),
    steps=st.lists(
        st.tuples(st.integers(0, 9), st.floats(0, 4), st.sampled_from(["", "", "crash", "move"])), max_size=12
    ),
)
def test_a_rate_holds_over_any_window(rate: float, burst: int, steps: list[tuple[int, float, str]]) -> None:
    bench = with_rate(rate, burst)
    lost = 0
    for n, (count, pause, what) in enumerate(steps):
        invoke(bench, count, 100 * n)
        bench.wait(pause / rate * 3)
        lost += len(bench.out) if what == "crash" else 0
        if what:
            getattr(bench, what)()
    bench.wait(1000 / rate)
    at_once = bench.machine.options.operations["call"].at_once
    assert_holds(starts_of(bench), rate, at_once + lost)
    assert not bench.state.lines or not bench.state.lines["call"].waiting, "all have their turn"


def test_ten_in_five_seconds_is_ten_in_five_seconds() -> None:
    class Api(Resource[str, str]):
        @operation(rate="10/5s")
        async def call(self, handle: str, fence: int = 0) -> None: ...

    rules = Api.call.options
    assert rules.rate is not None
    bench = with_rate(rules.rate, rules.burst)
    began = bench.now
    invoke(bench, 30)
    bench.wait(4.99)
    assert len(starts_of(bench)) == 10
    bench.wait(5)
    assert len(starts_of(bench)) == 20
    assert [at - began for at in starts_of(bench)[:3]] == [0.0, 0.5, 1.0]


def test_what_no_start_has_used_is_not_saved_up_beyond_the_burst() -> None:
    bench = with_rate(4.0, burst=3)
    bench.wait(1000)
    invoke(bench, 10)
    assert len(starts_of(bench)) == 3
    bench.wait(0.25)
    assert len(starts_of(bench)) == 4


def test_a_journal_of_an_earlier_release_counts_as_a_full_burst() -> None:
    bench = with_rate(4.0, burst=2)
    invoke(bench, 1)
    older = msgspec.json.decode(bench.machine.encode(bench.state))
    del older["lines"]["call"]["clear_at"]
    bench.state = bench.machine.decode(msgspec.json.encode(older))
    invoke(bench, 1, 20)
    assert len(starts_of(bench)) == 1
    bench.wait(0.25)
    assert len(starts_of(bench)) == 2


def test_a_faster_rate_of_new_code_counts_at_once() -> None:
    bench = with_rate(1 / 86_400)
    invoke(bench, 1)
    bench.machine.options.operations["call"] = OperationOptions(rate=10.0)  # type: ignore[index]
    bench.wait(0.1)
    invoke(bench, 1, 20)
    assert len(starts_of(bench)) == 2
