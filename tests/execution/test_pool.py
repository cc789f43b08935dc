"""The pool keeps its promises to the engine and to workers, over streams that are method calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from tests.execution import sample
from understudy.errors import BadRequest, Overloaded
from understudy.options import TaskOptions
from understudy_runtime.core.messages import AttemptEnded, AttemptProgressed, Dispatch, Token
from understudy_runtime.core.ports import Report
from understudy_runtime.core.workers import (
    HEARTBEAT_S,
    MAX_WORKER_SLOTS,
    OVERDUE_S,
    SESSION_TIMEOUT_S,
    FromWorker,
    GivenBack,
    Health,
    Hello,
    Settled,
    ToWorker,
)
from understudy_runtime.execution import pool as pool_module
from understudy_runtime.execution.executor import Limits, LocalExecutor
from understudy_runtime.execution.pool import LOOK_EVERY_S, SHOW_LOST_S, WorkerPool
from understudy_runtime.execution.processes import LOAD_TIMEOUT_S
from understudy_runtime.execution.ready import RECONNECT_S
from understudy_runtime.node.virtual import VirtualClock

pytestmark = pytest.mark.anyio


class Worker:
    """One stream of a remote worker, and what has come over it."""

    def __init__(self, world: World, hello: Hello) -> None:
        self.said: list[ToWorker] = []
        self.ended_because = ""
        self.link = world.pool.connect(hello, self.said.append, self._end)

    def _end(self, why: str) -> None:
        self.ended_because = why
        self.link.closed()

    @property
    def dispatched(self) -> list[Dispatch]:
        return [dispatch for batch in self.said for dispatch in batch.dispatches]

    @property
    def tokens(self) -> list[Token]:
        return [dispatch.token for dispatch in self.dispatched]

    @property
    def cancels(self) -> list[Token]:
        return [token for batch in self.said for token in batch.cancels]

    @property
    def settled(self) -> list[Settled]:
        return [settled for batch in self.said for settled in batch.settled]

    def grant(self, credits: int) -> None:
        self.link.take(FromWorker(credits))

    def finish(self, *tokens: Token, result: bytes = b"1", credits: int = 0) -> None:
        self.link.take(FromWorker(credits, [AttemptEnded(token, Raw(result)) for token in tokens]))


class NoTasks(LocalExecutor):
    """The executor of a node that has no tasks of its own, and so needs no work loop."""

    def open(self, report: Callable[[list[Report]], None]) -> None: ...

    def blocked(self, threshold_s: float = 0.1) -> None: ...


class World:
    """A pool on virtual time, and what it has reported."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.local: LocalExecutor = NoTasks({}, self.clock)
        self.pool = WorkerPool(self.clock, self.local, node="n1")
        self.reports: list[Report] = []
        self.pool.open(self.reports.extend)
        self._calls = 0

    def start(self, count: int = 1, task: str = "t", **options: object) -> list[Token]:
        tokens = [Token("default/run/r1", 1, self._calls + n, 1, 1) for n in range(1, count + 1)]
        self._calls += count
        given = msgspec.convert(options, TaskOptions)
        self.pool.start([Dispatch(token, task, Raw(b"{}"), given, "key") for token in tokens])
        return tokens

    def worker(self, name: str = "w1", *, slots: int = 5, credits: int = 5, holds: tuple[Token, ...] = ()) -> Worker:
        worker = Worker(self, Hello(name, f"worker {name}", frozenset({"t"}), slots, holds=holds))
        if credits:
            worker.grant(credits)
        return worker

    def restart(self) -> None:
        """The node's next incarnation, which knows nothing of workers."""
        self.pool = WorkerPool(self.clock, NoTasks({}, self.clock), node="n2")
        self.reports = []
        self.pool.open(self.reports.extend)

    def again(self, *tokens: Token, task: str = "t") -> list[Token]:
        """Runs give out again what was out when the last node ended."""
        newer = [msgspec.structs.replace(token, dispatch=token.dispatch + 1) for token in tokens]
        self.pool.start([Dispatch(token, task, Raw(b"{}"), TaskOptions(), "key") for token in newer])
        return newer

    def stay_alive(self, worker: Worker, seconds: float) -> None:
        """Time passes, in which the worker says nothing but that it is there."""
        until = self.clock.now() + seconds
        while (left := until - self.clock.now()) > 0:
            self.pass_time(min(LOOK_EVERY_S, left))
            worker.link.take(FromWorker())

    def pass_time(self, seconds: float) -> None:
        until = self.clock.now() + seconds
        while (due := self.clock.next()) is not None and due <= until:
            self.clock.advance_to(due)
        self.clock.advance_to(until)

    @property
    def ends(self) -> list[AttemptEnded]:
        return [report for report in self.reports if isinstance(report, AttemptEnded)]

    @property
    def failures(self) -> list[tuple[Token, str]]:
        return [(end.token, end.failure.kind) for end in self.ends if end.failure is not None]


@pytest.fixture
def world() -> World:
    return World()


# --- work


def test_a_ready_task_goes_to_a_worker_that_has_granted_credit_and_its_end_is_reported(world: World) -> None:
    (token,) = world.start()
    worker = world.worker(credits=0)
    assert worker.dispatched == []
    worker.grant(1)
    assert worker.tokens == [token]
    worker.finish(token, result=b'"done"')
    (end,) = world.ends
    assert (end.token, bytes(end.result), end.worker, end.node) == (token, b'"done"', "worker w1", "n1")
    assert worker.settled == [Settled(token, stale=False)]


def test_what_a_worker_has_has_begun_and_what_waits_for_one_has_not(world: World) -> None:
    tokens = world.start(3)
    worker = world.worker(slots=2, credits=2)
    assert world.pool.having(lambda key: True) == (tokens[:2], tokens[2:])
    worker.finish(*tokens[:2], credits=2)
    assert world.pool.having(lambda key: True) == (tokens[2:], [])
    assert world.pool.having(lambda key: False) == ([], [])


def test_five_tasks_on_five_idle_workers_are_one_each(world: World) -> None:
    workers = [world.worker(f"w{n}") for n in range(5)]
    for _ in range(10):
        world.start(5)
        latest = [worker.tokens[-1] for worker in workers]
        assert len({len(worker.tokens) for worker in workers}) == 1
        for worker, token in zip(workers, latest, strict=True):
            worker.finish(token, credits=1)


def test_a_worker_is_never_given_more_than_its_slots(world: World) -> None:
    worker = world.worker(slots=2, credits=10)
    tokens = world.start(5)
    assert worker.tokens == tokens[:2]
    worker.finish(tokens[0])
    assert worker.tokens == tokens[:3]


def test_the_end_of_an_attempt_makes_room_at_once_for_one_that_waits(world: World) -> None:
    worker = world.worker(slots=1, credits=1)
    first, second = world.start(2)
    worker.finish(first, credits=1)
    assert worker.tokens == [first, second]


def test_a_task_nobody_has_stays_ready_and_in_sight(world: World) -> None:
    world.worker()
    world.start(2, task="unknown")
    (line,) = world.pool.info().waiting
    assert (line.need.task, line.count, line.workers) == ("unknown", 2, 0)
    world.pass_time(3600)
    assert world.reports == []


def test_only_the_holder_may_report_and_only_once(world: World) -> None:
    holder, other = world.worker("w1"), world.worker("w2", credits=0)
    (token,) = world.start()
    other.finish(token)
    assert world.ends == []
    assert other.settled == [Settled(token, stale=True)]
    holder.finish(token, token)
    assert len(world.ends) == 1
    assert holder.settled == [Settled(token, stale=False), Settled(token, stale=True)]


def test_progress_is_passed_on_at_most_once_a_second_and_the_last_before_the_end(world: World) -> None:
    worker = world.worker()
    (token,) = world.start()
    for row in range(10):
        worker.link.take(FromWorker(progress=[AttemptProgressed(token, Raw(b"%d" % row))]))
    worker.finish(token)
    shown = [bytes(report.progress) for report in world.reports if isinstance(report, AttemptProgressed)]
    assert shown == [b"0", b"9"]


def test_attempts_of_other_workers_are_in_the_figures(world: World) -> None:
    worker = world.worker()
    first, second = world.start(2)
    began = world.clock.now()
    worker.link.take(FromWorker(0, [AttemptEnded(first, Raw(b"1"), started_at=began, ended_at=began + 3)]))
    world.stay_alive(worker, 7)
    worker.link.closed()
    world.pass_time(SESSION_TIMEOUT_S + LOOK_EVERY_S)
    assert world.failures == [(second, "lost")]
    figures = world.local.figures["t"]
    assert figures.ended == {"succeeded": 1, "lost": 1}
    assert figures.seconds.total == pytest.approx(3 + 7 + SESSION_TIMEOUT_S, abs=2 * LOOK_EVERY_S)


def test_how_long_attempts_waited_is_in_the_figures(world: World) -> None:
    world.start(2)
    world.pass_time(4)
    world.worker(slots=1, credits=1)
    assert sum(world.pool.waits.counts) == 1
    assert world.pool.waits.total == pytest.approx(4)


# --- cancellation


def test_cancelling_a_task_that_waits_ends_it_without_any_worker(world: World) -> None:
    (token,) = world.start()
    world.pool.cancel([token])
    assert world.reports == [], "never from within the call"
    world.pass_time(0)
    assert world.failures == [(token, "cancelled")]
    assert world.worker().dispatched == []


def test_cancelling_reaches_the_worker_and_its_report_counts(world: World) -> None:
    worker = world.worker()
    (token,) = world.start()
    world.pool.cancel([token])
    world.pool.cancel([token])
    assert worker.cancels == [token]
    worker.finish(token)
    assert [end.token for end in world.ends] == [token]


def test_a_cancellation_reaches_a_worker_that_was_away(world: World) -> None:
    worker = world.worker()
    (token,) = world.start()
    worker.link.closed()
    world.pool.cancel([token])
    assert world.worker(holds=(token,)).cancels == [token]


# --- loss


def test_a_worker_that_does_not_come_back_has_lost_what_it_held(world: World) -> None:
    worker = world.worker()
    (token,) = world.start()
    worker.link.closed()
    world.pass_time(SESSION_TIMEOUT_S - LOOK_EVERY_S)
    assert world.ends == []
    world.pass_time(2 * LOOK_EVERY_S)
    assert world.failures == [(token, "lost")]
    (shown,) = world.pool.info().workers
    assert (shown.worker_id, shown.status) == ("w1", "lost")
    assert "did not come back" in shown.trouble


def test_a_lost_worker_is_shown_for_some_minutes_or_until_it_is_back(world: World) -> None:
    for name in ("w1", "w2"):
        world.worker(name).link.closed()
    world.pass_time(SESSION_TIMEOUT_S + LOOK_EVERY_S)
    assert [(info.worker_id, info.status) for info in world.pool.info().workers] == [("w1", "lost"), ("w2", "lost")]
    back = world.worker("w1")
    assert [(info.worker_id, info.status) for info in world.pool.info().workers] == [("w1", "active"), ("w2", "lost")]
    back.link.take(FromWorker(leaving=True))
    back.link.closed()
    world.pass_time(SHOW_LOST_S)
    assert world.pool.info().workers == ()


def test_a_silent_worker_is_lost_and_its_stream_ended(world: World) -> None:
    worker = world.worker()
    (token,) = world.start()
    world.pass_time(SESSION_TIMEOUT_S + LOOK_EVERY_S)
    assert world.failures == [(token, "lost")]
    assert "silent" in worker.ended_because
    worker.finish(token)
    assert len(world.ends) == 1


def test_an_empty_batch_is_a_sign_of_life_in_both_directions(world: World) -> None:
    worker = world.worker()
    world.start()
    for _ in range(10):
        world.pass_time(HEARTBEAT_S)
        worker.link.take(FromWorker())
    assert world.ends == []
    assert worker.said.count(ToWorker()) >= 5


def test_a_node_that_was_away_itself_calls_nobody_silent(world: World) -> None:
    worker = world.worker()
    world.start()
    world.clock.advance_to(world.clock.now() + 10 * SESSION_TIMEOUT_S)
    worker.link.take(FromWorker())
    world.pass_time(LOOK_EVERY_S)
    assert world.ends == []


def test_a_worker_that_is_away_gets_nothing(world: World) -> None:
    worker = world.worker()
    worker.link.closed()
    world.start()
    assert worker.dispatched == []


# --- an attempt whose worker does not see to its timeout


def test_the_node_does_not_wait_for_ever_for_a_worker_that_ignores_a_timeout(world: World) -> None:
    worker = world.worker(slots=1, credits=3)
    (token,) = world.start(timeout_s=60.0)
    (waiting,) = world.start()
    world.stay_alive(worker, 60 + OVERDUE_S - LOOK_EVERY_S)
    assert world.ends == []
    world.stay_alive(worker, 2 * LOOK_EVERY_S)
    assert world.failures == [(token, "timeout")]
    assert worker.cancels == [token]
    assert worker.tokens == [token], "its only slot is used until it says otherwise"
    worker.finish(token, credits=1)
    assert worker.settled == [Settled(token, stale=True)]
    assert world.failures == [(token, "timeout")], "a late report changes nothing"
    assert len(world.ends) == 1
    assert worker.tokens == [token, waiting]
    assert [info.used for info in world.pool.info().workers] == [1]


def test_an_attempt_in_its_own_process_may_take_the_time_to_load_on_top(world: World) -> None:
    worker = world.worker()
    (token,) = world.start(timeout_s=1.0, isolate="process")
    world.stay_alive(worker, 1 + OVERDUE_S + LOAD_TIMEOUT_S - LOOK_EVERY_S)
    assert world.ends == []
    world.stay_alive(worker, 2 * LOOK_EVERY_S)
    assert world.failures == [(token, "timeout")]


def test_an_attempt_without_a_timeout_may_take_for_ever(world: World) -> None:
    worker = world.worker()
    world.start()
    world.stay_alive(worker, 1_000)
    assert world.ends == []


def test_a_worker_that_is_lost_loses_what_was_given_up_before_only_once(world: World) -> None:
    worker = world.worker()
    (token,) = world.start(timeout_s=1.0)
    world.stay_alive(worker, 1 + OVERDUE_S + LOOK_EVERY_S)
    worker.link.closed()
    world.pass_time(SESSION_TIMEOUT_S + LOOK_EVERY_S)
    assert world.failures == [(token, "timeout")]


def test_a_worker_that_comes_back_with_what_was_given_up_is_told_that_it_is_stale(world: World) -> None:
    worker = world.worker()
    (token,) = world.start(timeout_s=1.0)
    world.stay_alive(worker, 1 + OVERDUE_S + LOOK_EVERY_S)
    worker.link.closed()
    again = world.worker(holds=(token,))
    assert again.link.welcome.stale == (token,)
    assert [info.used for info in world.pool.info().workers] == [0]


async def test_a_drain_does_not_wait_for_what_was_given_up(world: World) -> None:
    worker = world.worker()
    world.start(timeout_s=1.0)
    world.stay_alive(worker, 1 + OVERDUE_S + LOOK_EVERY_S)
    async with asyncio.timeout(30):
        await world.pool.drain(3_600)


def test_time_in_which_the_node_itself_was_away_makes_nothing_overdue(world: World) -> None:
    worker = world.worker()
    world.start(timeout_s=1.0)
    world.clock.advance_to(world.clock.now() + 10 * OVERDUE_S)
    world.stay_alive(worker, OVERDUE_S / 2)
    assert world.ends == []


# --- queue timeouts


def test_an_attempt_nobody_begins_with_in_time_has_failed_and_says_why(world: World) -> None:
    worker = world.worker(slots=1, credits=5)
    first, late = world.start(2, queue_timeout_s=5.0)
    (nobodys,) = world.start(task="unknown", queue_timeout_s=5.0)
    world.stay_alive(worker, 5 - LOOK_EVERY_S)
    assert world.ends == []
    world.stay_alive(worker, 2 * LOOK_EVERY_S)
    assert world.failures == [(late, "timeout"), (nobodys, "timeout")]
    why = [end.failure.message for end in world.ends if end.failure is not None]
    assert "workers that take such tasks: 1, none with room" in why[0]
    assert "no worker takes such tasks" in why[1]
    worker.finish(first, credits=1)
    assert worker.tokens == [first], "what has failed is handed to nobody"


# --- coming back after the node was away


def test_what_a_worker_has_goes_on_after_a_restart_of_the_node(world: World) -> None:
    (old,) = world.start()
    world.restart()
    (new,) = world.again(old)
    world.pass_time(RECONNECT_S / 2)
    worker = world.worker(holds=(old,))
    assert worker.link.welcome.stale == ()
    worker.link.take(FromWorker(progress=[AttemptProgressed(old, Raw(b"7"))]))
    worker.finish(old, result=b'"done"', credits=1)
    progress, end = world.reports
    assert isinstance(progress, AttemptProgressed)
    assert isinstance(end, AttemptEnded)
    assert (progress.token, end.token, bytes(end.result)) == (new, new, b'"done"')
    assert worker.settled == [Settled(old, stale=False)]
    worker.finish(old)
    assert worker.settled[-1] == Settled(old, stale=True)
    world.pass_time(2 * RECONNECT_S)
    assert worker.dispatched == []


def test_what_no_worker_comes_back_with_is_given_out_again(world: World) -> None:
    (old,) = world.start()
    world.restart()
    (new,) = world.again(old)
    worker = world.worker()
    world.stay_alive(worker, RECONNECT_S - 1)
    assert worker.tokens == []
    world.stay_alive(worker, 2)
    assert worker.tokens == [new]
    assert world.worker("w2", holds=(old,)).link.welcome.stale == (old,)


def test_a_cancellation_reaches_an_adopted_attempt_under_the_token_that_its_worker_knows(world: World) -> None:
    (old,) = world.start()
    world.restart()
    (new,) = world.again(old)
    worker = world.worker(holds=(old,))
    world.pool.cancel([new])
    assert worker.cancels == [old]


def test_an_adopted_attempt_is_lost_with_its_worker(world: World) -> None:
    (old,) = world.start()
    world.restart()
    (new,) = world.again(old)
    worker = world.worker(holds=(old,))
    worker.link.closed()
    world.pass_time(SESSION_TIMEOUT_S + LOOK_EVERY_S)
    assert world.failures == [(new, "lost")]


def test_what_was_cancelled_before_its_worker_came_back_is_stale(world: World) -> None:
    (old,) = world.start()
    world.restart()
    (new,) = world.again(old)
    world.pool.cancel([new])
    world.pass_time(0)
    assert world.failures == [(new, "cancelled")]
    assert world.worker(holds=(old,)).link.welcome.stale == (old,)


def test_only_one_of_two_workers_that_have_the_same_attempt_goes_on_with_it(world: World) -> None:
    (old,) = world.start()
    world.restart()
    (new,) = world.again(old)
    newer = msgspec.structs.replace(old, dispatch=2)
    world.restart()
    world.again(new)
    assert world.worker("w1", holds=(old,)).link.welcome.stale == ()
    assert world.worker("w2", holds=(newer,)).link.welcome.stale == (newer,)


def test_a_worker_adopts_nothing_that_it_could_not_be_given(world: World) -> None:
    (other,) = world.start(task="unknown")
    world.restart()
    world.again(other, task="unknown")
    assert world.worker(holds=(other,)).link.welcome.stale == (other,)


@given(st.data())
@settings(max_examples=100)
def test_however_workers_come_and_go_over_restarts_each_attempt_ends_once(data: st.DataObject) -> None:
    """Runs as they are: they take the report under their latest token and no other, and give out again what is lost."""
    world = World()
    latest = {token.call: token for token in world.start(3)}
    ended: list[int] = []
    holds: dict[str, dict[Token, str]] = {"w1": {}, "w2": {}}
    workers: dict[str, Worker] = {}
    done_by: list[tuple[int, str]] = []

    def hear() -> None:
        for name, worker in workers.items():
            for batch in worker.said:
                holds[name].update({dispatch.token: "running" for dispatch in batch.dispatches})
                for token, _ in batch.settled:
                    holds[name].pop(token, None)
            worker.said.clear()
        reports, world.reports[:] = list(world.ends), []
        again: list[Token] = []
        for report in reports:
            token = report.token
            assert latest.get(token.call) == token, "nobody else may report, and nobody twice"
            if report.failure is None:
                ended.append(token.call)
                del latest[token.call]
            else:
                assert report.failure.kind == "lost"
                again.append(token)
        for newer in world.again(*again) if again else []:
            latest[newer.call] = newer
        if again:
            hear()

    for _ in range(data.draw(st.integers(1, 25))):
        step = data.draw(st.sampled_from(["join", "break", "finish", "restart", "die", "time"]))
        name = data.draw(st.sampled_from(["w1", "w2"]))
        worker = workers.get(name)
        if step == "join":
            unsettled = tuple(holds[name])
            workers[name] = worker = world.worker(name, slots=3, credits=0, holds=unsettled)
            for stale in worker.link.welcome.stale:
                del holds[name][stale]
            finished = [token for token, state in holds[name].items() if state == "done"]
            worker.grant(3 - len(holds[name]))
            worker.finish(*finished)
        elif step == "break" and worker is not None:
            workers.pop(name).link.closed()
        elif step == "finish" and holds[name]:
            token = data.draw(st.sampled_from(sorted(holds[name], key=str)))
            holds[name][token] = "done"
            done_by.append((token.call, name))
            if worker is not None:
                worker.finish(token, credits=1)
        elif step == "restart":
            workers.clear()
            world.restart()
            for newer in world.again(*latest.values()):
                latest[newer.call] = newer
        elif step == "die":
            holds[name].clear()
            if worker is not None:
                workers.pop(name).link.closed()
        else:
            world.pass_time(data.draw(st.sampled_from([0.5, RECONNECT_S, SESSION_TIMEOUT_S + 1])))
        for gone in [name for name, worker in workers.items() if worker.ended_because]:
            del workers[gone]
        hear()
    for name in ("w1", "w2"):
        holds[name].clear()
    world.pass_time(2 * SESSION_TIMEOUT_S)
    workers.clear()
    hear()
    workers["w3"], holds["w3"] = world.worker("w3", slots=3, credits=3), {}
    world.stay_alive(workers["w3"], 2 * RECONNECT_S)
    hear()
    workers["w3"].finish(*holds["w3"])
    hear()
    assert (sorted(ended), latest) == ([1, 2, 3], {}), "nothing is done twice, and nothing is left undone"


def test_first_dispatches_wait_for_nobody_after_a_restart(world: World) -> None:
    world.restart()
    worker = world.worker()
    (token,) = world.start()
    assert worker.tokens == [token]


# --- coming back


def test_attempts_of_a_worker_that_comes_back_in_time_go_on(world: World) -> None:
    worker = world.worker()
    (token,) = world.start()
    worker.link.closed()
    world.pass_time(SESSION_TIMEOUT_S / 2)
    again = world.worker(holds=(token,))
    assert again.link.welcome.stale == ()
    world.pass_time(1)
    again.finish(token)
    (end,) = world.ends
    assert end.failure is None


def test_what_is_no_longer_its_own_is_stale_when_a_worker_comes_back_too_late(world: World) -> None:
    worker = world.worker()
    (token,) = world.start()
    worker.link.closed()
    world.pass_time(2 * SESSION_TIMEOUT_S)
    assert world.worker(holds=(token,)).link.welcome.stale == (token,)


def test_what_a_worker_does_not_have_when_it_comes_back_is_lost_to_it(world: World) -> None:
    worker = world.worker()
    first, second = world.start(2)
    worker.link.closed()
    world.worker(holds=(second,))
    assert world.failures == [(first, "lost")]


def test_a_newer_stream_replaces_the_one_before_which_counts_no_more(world: World) -> None:
    old = world.worker()
    (token,) = world.start()
    new = world.worker(holds=(token,), credits=0)
    assert "newer stream" in old.ended_because
    old.grant(5)
    old.finish(token)
    assert world.ends == []
    (later,) = world.start()
    assert old.tokens == [token]
    new.grant(1)
    assert new.tokens == [later]


# --- leaving, resting, giving back


def test_what_a_leaving_worker_gives_back_is_returned_and_it_gets_nothing_more(world: World) -> None:
    worker = world.worker()
    first, second = world.start(2)
    worker.link.take(FromWorker(leaving=True))
    world.start()
    assert worker.tokens == [first, second]
    worker.finish(first)
    worker.link.take(FromWorker(given_back=[GivenBack(second, "shutting down")]))
    worker.link.closed()
    assert world.failures == [(second, "returned")]
    assert world.pool.info().workers == ()


def test_a_leaving_worker_whose_stream_ends_has_lost_the_rest_at_once(world: World) -> None:
    worker = world.worker()
    (token,) = world.start()
    worker.link.take(FromWorker(leaving=True))
    worker.link.closed()
    assert world.failures == [(token, "lost")]


def test_a_worker_that_gives_a_task_back_but_stays_does_not_get_that_task_again(world: World) -> None:
    worker = world.worker()
    (token,) = world.start()
    worker.link.take(FromWorker(given_back=[GivenBack(token, "cannot run it")]))
    world.start()
    assert world.failures == [(token, "returned")]
    assert worker.tokens == [token]


def test_a_blocked_worker_gets_nothing_and_is_named_until_it_answers_again(world: World) -> None:
    worker = world.worker()
    (token,) = world.start()
    worker.link.take(FromWorker(health=Health(2.0, token, "app.py:7 in spin")))
    (more,) = world.start()
    (info,) = world.pool.info().workers
    assert (info.status, info.trouble) == ("blocked", "blocked by task t at app.py:7 in spin")
    worker.link.take(FromWorker(health=Health()))
    assert worker.tokens == [token, more]


async def test_draining_hands_out_nothing_more_and_waits_for_what_workers_run(world: World) -> None:
    worker = world.worker(slots=1, credits=5)
    held, _ = world.start(2)
    draining = asyncio.ensure_future(world.pool.drain(30))
    await asyncio.sleep(0)
    assert not draining.done()
    worker.finish(held)
    await draining
    assert [batch.drain.grace_s for batch in worker.said if batch.drain is not None] == [30]
    assert (worker.tokens, [end.token for end in world.ends]) == ([held], [held])
    with pytest.raises(Overloaded):
        world.worker("w2")


# --- bounds


@pytest.mark.parametrize(
    "hello",
    [
        Hello("", "nameless", frozenset({"t"}), 1),
        Hello("w", "no slots", frozenset({"t"}), 0),
        Hello("w", "too many slots", frozenset({"t"}), MAX_WORKER_SLOTS + 1),
        Hello("w", "no tasks", frozenset(), 1),
    ],
    ids=lambda hello: hello.name,
)
def test_a_hello_that_cannot_be_is_refused(world: World, hello: Hello) -> None:
    with pytest.raises(BadRequest):
        Worker(world, hello)
    assert world.pool.info().workers == ()


def test_there_is_a_bound_on_workers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_WORKERS", 2)
    world.worker("w1")
    world.worker("w2")
    with pytest.raises(Overloaded):
        world.worker("w3")
    world.worker("w2")


def test_an_idle_pool_has_no_timers(world: World) -> None:
    worker = world.worker()
    (token,) = world.start()
    worker.finish(token)
    worker.link.take(FromWorker(leaving=True))
    worker.link.closed()
    world.pass_time(2 * LOOK_EVERY_S)
    assert world.clock.next() is None


# --- this node as a worker


class RealClock:
    """Real time, because the node's own tasks run in it."""

    def now(self) -> float:
        return time.time()

    def call_at(self, at: float, callback: Callable[[], None]) -> Callable[[], None]:
        return asyncio.get_running_loop().call_later(at - self.now(), callback).cancel

    def new_id(self) -> str:
        raise AssertionError("the pool makes no ids")


class Own(World):
    def __init__(self) -> None:
        self.local = LocalExecutor(sample.app.tasks, RealClock(), node="n1", limits=Limits(100, 2, 1))
        self.pool = WorkerPool(RealClock(), self.local, node="n1")
        self.reports = []
        self._calls = 0
        self._changed = asyncio.Event()
        self.pool.open(self._take)

    def _take(self, reports: list[Report]) -> None:
        self.reports += reports
        self._changed.set()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not true():
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def own() -> AsyncIterator[Own]:
    own = Own()
    yield own
    await own.pool.close(5)


async def eventually(true: Callable[[], bool]) -> None:
    """For what is found out by looking now and then, and not announced."""
    async with asyncio.timeout(30):
        while True:
            if true():
                return
            await asyncio.sleep(0.02)


def call(own: Own, task: str, *args: object, number: int = 1) -> Token:
    token = Token("default/run/r1", 1, number, 1, 1)
    raw = Raw(msgspec.json.encode({"args": args, "kwargs": {}}))
    own.pool.start([Dispatch(token, task, raw, sample.app.tasks[task].options, "key")])
    return token


async def test_the_node_is_a_worker_like_any_other(own: Own) -> None:
    token = call(own, "echo", 7)
    await own.until(lambda: bool(own.ends))
    assert [(end.token, bytes(end.result)) for end in own.ends] == [(token, b"7")]


async def test_each_kind_of_task_has_slots_of_its_own(own: Own) -> None:
    seats = {info.worker_id: info.slots for info in own.pool.info().workers}
    assert seats == {"n1/async": 100, "n1/thread": 2, "n1/process": 1}


async def test_a_cancellation_reaches_the_nodes_own_attempts(own: Own) -> None:
    token = call(own, "forever")
    await own.until(lambda: bool(own.reports))
    own.pool.cancel([token])
    await own.until(lambda: bool(own.ends))
    assert own.failures == [(token, "cancelled")]


async def test_a_blocked_work_loop_is_named_and_gets_no_new_work_until_it_answers(own: Own) -> None:
    sample.gate.clear()
    call(own, "waits_for_gate", number=1)
    await eventually(lambda: bool(own.pool.trouble))
    assert "task waits_for_gate at" in own.pool.trouble
    later = call(own, "echo", 7, number=2)
    other = Worker(own, Hello("w1", "remote", frozenset({"echo"}), 1))
    other.grant(1)
    assert other.tokens == [later], "what the blocked loop was not given goes to whoever has room"
    sample.gate.set()
    await own.until(lambda: bool(own.ends))
    await eventually(lambda: not own.pool.trouble)
    third = call(own, "echo", 8, number=3)
    await own.until(lambda: third in [end.token for end in own.ends])
