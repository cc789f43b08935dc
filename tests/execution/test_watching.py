"""Watching outside things: what is news is reported once, and everything else costs a poll and nothing more."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from understudy import App
from understudy.definitions import TaskDefinition
from understudy.errors import BadInput
from understudy.options import TaskOptions
from understudy_runtime.core.messages import AttemptEnded, Dispatch, Token, Watch
from understudy_runtime.core.ports import Report
from understudy_runtime.execution import watching
from understudy_runtime.execution.executor import LocalExecutor

pytestmark = pytest.mark.anyio

T0 = 1_000.0
PENDING = Raw(b'"pending"')

app = App("outside")
polls: dict[str, list[Any]] = {}
"""What the next polls of each thing find; the last one stays. An exception is raised."""
polled: list[tuple[str, ...]] = []


def look(name: str) -> Any:
    found = polls.get(name, ["pending"])
    result = found.pop(0) if len(found) > 1 else found[0]
    if isinstance(result, Exception):
        raise result
    return result


@app.task
async def check(name: str) -> Any:
    polled.append((name,))
    return look(name)


@app.task
def check_in_a_thread(name: str) -> Any:
    assert threading.current_thread().name.startswith("understudy-task-")
    return look(name)


@app.task
async def check_for_ever(name: str) -> Any:
    await asyncio.sleep(3600)


@app.task
async def check_all(names: list[str]) -> list[Any]:
    polled.append(tuple(names))
    return [look(name) for name in names]


@app.task
async def check_too_few(names: list[str]) -> list[Any]:
    return []


def tasks() -> dict[str, TaskDefinition]:
    change = msgspec.structs.replace
    made = dict(app.tasks)
    made["limited"] = change(made["check"], name="limited", rate=("emr", 2.0))
    made["together"] = change(made["check"], name="together", batch=made["check_all"])
    made["too_few"] = change(made["check"], name="too_few", batch=made["check_too_few"])
    return made


class Clock:
    """Implements `Clock`. Time stands still until `advance`."""

    def __init__(self) -> None:
        self.time = T0
        self.alarms: list[tuple[float, int, Callable[[], None]]] = []
        self._gone: set[int] = set()
        self._numbers = itertools.count()

    def now(self) -> float:
        return self.time

    def call_at(self, at: float, callback: Callable[[], None]) -> Callable[[], None]:
        number = next(self._numbers)
        heapq.heappush(self.alarms, (at, number, callback))
        return lambda: self._gone.add(number)

    def new_id(self) -> str:
        raise AssertionError("the executor makes no ids")

    def next(self) -> float | None:
        while self.alarms and self.alarms[0][1] in self._gone:
            heapq.heappop(self.alarms)
        return self.alarms[0][0] if self.alarms else None

    def advance(self) -> None:
        self.time = max(self.time, self.alarms[0][0])
        heapq.heappop(self.alarms)[2]()


class Post:
    """Watches things as the engine does."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.executor = LocalExecutor(tasks(), self.clock, node="n1")
        self.news: list[AttemptEnded] = []
        self._numbers = itertools.count(1)
        self.executor.open(self._report)

    def watch(self, task: str, *names: str, timeout_s: float | None = None, **how: Any) -> list[Token]:
        given: dict[str, Any] = {"every_s": 10.0, "jitter": 0.0, "known": PENDING} | how
        options = TaskOptions(timeout_s=timeout_s)
        dispatches = [
            Dispatch(
                Token("test/run/r1", 1, next(self._numbers), 1, 1),
                task,
                Raw(msgspec.json.encode({"args": [name], "kwargs": {}})),
                options,
                "key",
                watch=Watch(**given),
            )
            for name in names
        ]
        self.executor.start(dispatches)
        return [dispatch.token for dispatch in dispatches]

    async def settle(self) -> None:
        await asyncio.sleep(0)
        while self.executor.polling:  # noqa: ASYNC110 - polls end in real time; nobody announces that
            await asyncio.sleep(0.0005)

    async def until(self, end: float) -> None:
        """Let time pass until then."""
        await self.settle()
        while (at := self.clock.next()) is not None and at <= end:
            self.clock.advance()
            await self.settle()
        self.clock.time = end

    def _report(self, reports: list[Report]) -> None:
        self.news += [report for report in reports if isinstance(report, AttemptEnded)]


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    polls.clear()
    polled.clear()
    post = Post()
    yield post
    await post.executor.close(1.0)


def results(post: Post) -> list[Any]:
    return [msgspec.json.decode(news.result) for news in post.news]


async def test_what_is_unchanged_is_looked_at_again_and_not_reported(post: Post) -> None:
    post.watch("check", "a")
    await post.until(T0 + 95)
    assert len(polled) == 9
    assert post.news == []
    assert post.executor.load == (0, 0)


@pytest.mark.parametrize("task", ["check", "check_in_a_thread", "together"])
async def test_news_is_reported_once_and_ends_the_watch(post: Post, task: str) -> None:
    polls["a"] = ["pending", "pending", "done"]
    [token] = post.watch(task, "a")
    await post.until(T0 + 1_000)
    [news] = post.news
    assert (news.token, news.failure, news.node) == (token, None, "n1")
    assert (news.started_at, news.ended_at) == (T0, T0 + 30)
    assert results(post) == ["done"]
    assert post.executor.watches == 0
    assert post.clock.next() is None


async def test_interval_grows_to_its_cap_while_there_is_no_news(post: Post) -> None:
    post.watch("check", "a", factor=2.0, cap_s=60.0)
    await post.until(T0 + 10 + 20 + 40 + 60 + 60)
    assert len(polled) == 5


async def test_interval_grows_from_the_first_look_on_and_with_errors_too(post: Post) -> None:
    polls["a"] = ["pending", OSError("no"), "pending"]
    post.watch("check", "a", first_s=0.0, every_s=1.0, factor=2.0, cap_s=4.0)
    await post.until(T0)
    assert len(polled) == 1
    for after_s, count in ((1.9, 1), (2.0, 2), (5.9, 2), (6.0, 3), (9.9, 3), (10.0, 4)):
        await post.until(T0 + after_s)
        assert len(polled) == count, after_s
    assert post.news == []


async def test_jitter_is_the_same_in_every_life_and_within_its_share(post: Post) -> None:
    post.watch("check", *(f"thing {i}" for i in range(50)), jitter=0.2)
    first = sorted(entry[0] for entry in post.executor._watching._heap)
    assert T0 + 8 <= first[0] < first[-1] <= T0 + 10
    again = Post()
    again.watch("check", *(f"thing {i}" for i in range(50)), jitter=0.2)
    assert sorted(entry[0] for entry in again.executor._watching._heap) == first
    await again.executor.close(1.0)


async def test_many_watches_begun_together_are_spread_over_their_interval(post: Post) -> None:
    post.watch("check", *(f"thing {i}" for i in range(watching.SPREAD_FROM * 4)), jitter=0.1)
    await post.until(T0 + 5)
    assert 0.3 < len(polled) / (watching.SPREAD_FROM * 4) < 0.7


async def test_news_must_come_as_often_in_a_row_as_patience_says(post: Post) -> None:
    polls["a"] = ["ill", "ill", "pending", "ill", "ill", "ill", "pending"]
    post.watch("check", "a", patience=3)
    await post.until(T0 + 50)
    assert post.news == []
    await post.until(T0 + 60)
    assert results(post) == ["ill"]


async def test_errors_in_a_row_are_news_and_fewer_are_not(post: Post) -> None:
    polls["a"] = [OSError("1"), OSError("2"), "pending", OSError("3"), OSError("4"), OSError("5")]
    post.watch("check", "a", errors=3)
    await post.until(T0 + 50)
    assert post.news == []
    await post.until(T0 + 60)
    [news] = post.news
    assert news.failure is not None
    assert (news.failure.type, news.failure.message) == ("OSError", "5")


async def test_poll_that_cannot_succeed_is_news_at_once(post: Post) -> None:
    post.watch("too_few", "a", errors=3)
    await post.until(T0 + 10)
    [news] = post.news
    assert news.failure is not None
    assert (news.failure.type, news.failure.final) == (BadInput.__name__, True)


async def test_poll_that_takes_too_long_counts_as_an_error(post: Post) -> None:
    post.watch("check_for_ever", "a", errors=2, timeout_s=0.02)
    await post.until(T0 + 30)
    [news] = post.news
    assert news.failure is not None
    assert news.failure.kind == "timeout"


async def test_cancelled_watch_reports_that_and_nothing_else(post: Post) -> None:
    [waiting, _other] = post.watch("check", "a", "b")
    await post.until(T0 + 15)
    post.executor.cancel([waiting])
    post.executor.cancel([waiting])
    await post.until(T0 + 25)
    [news] = post.news
    assert news.token == waiting
    assert news.failure is not None
    assert news.failure.kind == "cancelled"
    assert polled == [("a",), ("b",), ("b",)]


async def test_a_watch_has_never_begun_even_in_the_middle_of_a_poll(post: Post) -> None:
    [token] = post.watch("check_for_ever", "a")
    post.clock.advance()
    assert post.executor.polling
    assert post.executor.having(lambda key: True) == ([], [token])


async def test_watch_cancelled_in_the_middle_of_a_poll_ends_the_poll(post: Post) -> None:
    [token] = post.watch("check_for_ever", "a")
    post.clock.advance()
    assert post.executor.polling
    post.executor.cancel([token])
    await post.settle()
    assert [news.token for news in post.news] == [token]
    assert post.executor.watches == 0


async def test_polls_of_one_system_keep_to_its_rate_and_all_get_their_turn(post: Post) -> None:
    names = [f"thing {i}" for i in range(10)]
    post.watch("limited", *names)
    await post.until(T0 + 12)
    assert len(polled) == 5  # at 10, 10.5, ... 12
    await post.until(T0 + 14.5)
    assert sorted(name for (name,) in polled) == names


async def test_things_due_together_are_asked_for_in_one_call_where_there_is_one(post: Post) -> None:
    names = [f"thing {i}" for i in range(watching.SPREAD_FROM - 1)]
    polls["thing 7"] = ["done"]
    tokens = post.watch("together", *names)
    await post.until(T0 + 10)
    assert polled == [tuple(names)]
    assert [news.token for news in post.news] == [tokens[7]]
    assert results(post) == ["done"]
    await post.until(T0 + 20)
    assert len(polled[1]) == len(names) - 1


async def test_polls_under_way_are_bounded(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded = Post()
    bounded.executor._watching._runners["async"]._lane._free = 3  # type: ignore[attr-defined]
    bounded.watch("check_for_ever", *(f"thing {i}" for i in range(10)))
    bounded.clock.advance()
    runner: Any = bounded.executor._watching._runners["async"]
    assert len(runner._lane._waiting) == 7
    await bounded.executor.close(1.0)


async def test_task_that_nobody_knows_ends_the_watch(post: Post) -> None:
    post.watch("renamed", "a")
    await post.until(T0 + 1)
    assert post.news[0].failure is not None
    assert post.news[0].failure.type == "UnknownName"


async def test_executor_that_drains_looks_no_more_and_reports_nothing(post: Post) -> None:
    polls["a"] = ["done"]
    post.watch("check", "a")
    await post.executor.drain(1.0)
    await post.until(T0 + 100)
    assert (polled, post.news) == ([], [])
