"""Attempts of one node's actors on the workers of others: pools and posts of several nodes, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import anyio
import msgspec
import pytest
from msgspec import Raw

from tests.execution.test_pool import NoTasks, Worker
from understudy.options import TaskOptions
from understudy_runtime.actors.sharding import Sharding
from understudy_runtime.core import lending
from understudy_runtime.core.away import ADOPT_S, LAPSE_S
from understudy_runtime.core.distant import WINDOW
from understudy_runtime.core.keys import shard_of
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.membership import Member, Owner, View
from understudy_runtime.core.messages import AnyMessage, AttemptEnded, AttemptProgressed, Dispatch, Token
from understudy_runtime.core.ports import Report
from understudy_runtime.core.transport import Envelope, Lend, Offers, Receiver
from understudy_runtime.core.transport import Report as ReportEnvelope
from understudy_runtime.core.workers import FromWorker, Hello
from understudy_runtime.execution import lending as pool_lending
from understudy_runtime.execution.pool import LOOK_EVERY_S, WorkerPool
from understudy_runtime.execution.ready import RECONNECT_S
from understudy_runtime.node import attempts as attempts_module
from understudy_runtime.node.attempts import Attempts
from understudy_runtime.node.post import Post
from understudy_runtime.node.virtual import VirtualClock
from understudy_runtime.storage.memory import MemoryData, MemoryStore

pytestmark = pytest.mark.anyio

NAMES = ("ann", "bob", "cyd")
SHARDS = 3
"""One of each node's."""
_read = msgspec.json.Decoder(Report).decode


class Node:
    """A pool, its attempts and its post; stands for the engine, the routes and the transport of these."""

    def __init__(self, street: Street, name: str) -> None:
        self.name = name
        self.street = street
        self.pool = WorkerPool(street.clock, NoTasks({}, street.clock), node=name)
        self.sharding = Sharding(MemoryStore(MemoryData(SHARDS)))
        self.me = Owner(name, f"{name}-1")
        self.attempts = Attempts(self.pool, self.sharding, street.clock, self.me, self.pool.lending)
        self.attempts.serve(self)
        self.attempts.connect(self.send)
        self.post = Post(self, self, self, self.attempts, scan=lambda: None, lost=lambda shards: None)
        self.sharding.elsewhere, self.sharding.attempts = self.post, self.attempts
        self.pool.open(self.attempts.report)
        self.out = 0
        self.reports: list[Report] = []
        self.sent: list[Envelope] = []
        self.largest = 2**20

    def open(self, *shards: int) -> None:
        self.sharding.open(shards)
        self.attempts.opened(shards)

    # --- what a run does

    def start(
        self, count: int = 1, task: str = "t", dispatch: int = 1, of: int | None = None, **options: object
    ) -> list[Token]:
        key = self.street.key(NAMES.index(self.name) if of is None else of)
        tokens = [self.street.token(key, dispatch) for _ in range(count)]
        self.dispatch(tokens, task, **options)
        return tokens

    def dispatch(self, tokens: Sequence[Token], task: str = "t", **options: object) -> None:
        self.out += len(tokens)
        given = msgspec.convert(options, TaskOptions)
        self.attempts.start([Dispatch(token, task, Raw(b"{}"), given, "key") for token in tokens])

    @property
    def ends(self) -> dict[Token, AttemptEnded]:
        return {report.token: report for report in self.reports if isinstance(report, AttemptEnded)}

    def failure(self, token: Token) -> str:
        failure = self.ends[token].failure
        return "" if failure is None else failure.kind

    # --- the engine

    def report(self, reports: Sequence[Report]) -> None:
        for report in reports:
            if isinstance(report, AttemptEnded):
                self.write_off(report.token)
            self.deliver(report.token.key, report)

    def write_off(self, token: Token) -> None:
        self.out -= 1

    def deliver(self, key: str, message: AnyMessage) -> None:
        if not self.sharding.has(key):
            self.sharding.pass_on(key, message, None, None)
            return
        assert isinstance(message, Report)
        assert message.token not in self.ends, "reported twice"
        self.reports.append(message)

    @property
    def hosting(self) -> Node:
        return self

    def wake(self, keys: Collection[str]) -> None: ...

    # --- the transport

    def listen(self, receiver: Receiver) -> None: ...
    def members(self, view: View) -> None: ...

    def send(self, node: str, envelope: Envelope) -> bool:
        if node not in self.street.nodes or self.street.is_cut(self.name, node):
            return False
        if isinstance(envelope, ReportEnvelope):
            end = _read(envelope.body)
            if isinstance(end, AttemptEnded) and len(end.result) > self.largest:
                return False
        self.sent.append(envelope)
        self.street.on_the_way.append((self.name, node, envelope))
        return True

    # --- routes

    def here(self, key: str) -> bool:
        return self.sharding.has(key)

    def where(self, key: str) -> Member | None:
        return None

    def coming(self, key: str) -> bool:
        return False

    def member(self, node: str) -> Member | None:
        return None

    async def changed(self, timeout_s: float) -> None: ...

    # ---

    def worker(
        self, name: str, *, slots: int = 1, tasks: Collection[str] = ("t",), queues: Collection[str] = ("default",)
    ) -> Hand:
        return Hand(self, Hello(name, name, frozenset(tasks), slots, queues=frozenset(queues)))

    def of(self, kind: type[Envelope]) -> list[Envelope]:
        return [envelope for envelope in self.sent if isinstance(envelope, kind)]


class Hand(Worker):
    """A worker of one of the nodes."""

    def __init__(self, node: Node, hello: Hello) -> None:
        super().__init__(node, hello)  # type: ignore[arg-type]  # what it needs of a world is the pool
        self.grant(hello.slots)


class Street:
    """Nodes that reach each other, and what they have said that has not arrived."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.nodes: dict[str, Node] = {}
        self.on_the_way: list[tuple[str, str, Envelope]] = []
        self.cuts: set[frozenset[str]] = set()
        self._calls = 0
        self._keys = {shard_of(key, SHARDS): key for key in (f"default/run/r{n}" for n in range(100))}

    def key(self, shard: int) -> str:
        return self._keys[shard]

    def token(self, key: str, dispatch: int = 1) -> Token:
        self._calls += 1
        return Token(key, 1, self._calls, 1, dispatch)

    def begin(self) -> None:
        for number, name in enumerate(NAMES):
            self.nodes[name] = Node(self, name)
            self.nodes[name].open(number)
        self.view()
        for one in NAMES:
            for other in NAMES:
                if one != other:
                    self.nodes[one].post.on_reach(other, True)

    def view(self, *gone: str) -> None:
        members = {name: Member(name, node.me.incarnation, "") for name, node in self.nodes.items() if name not in gone}
        for name, node in self.nodes.items():
            if name not in gone:
                node.attempts.members(View(members=members))

    def kill(self, name: str) -> None:
        """It is gone, and the others see that its streams are, and a while later that its session is."""
        del self.nodes[name]
        for other in self.nodes.values():
            other.post.on_reach(name, False)
        self.view()

    def is_cut(self, one: str, other: str) -> bool:
        return frozenset((one, other)) in self.cuts

    def cut(self, one: str, other: str) -> None:
        self.cuts.add(frozenset((one, other)))
        self.nodes[one].post.on_reach(other, False)
        self.nodes[other].post.on_reach(one, False)

    async def settle(self) -> None:
        """Until nobody says anything more; no time passes but what is waited for before something is told."""
        for _ in range(1_000):
            await anyio.wait_all_tasks_blocked()
            if self.on_the_way:
                arriving, self.on_the_way = self.on_the_way, []
                for from_node, to, envelope in arriving:
                    if to in self.nodes:
                        self.nodes[to].post.on_envelope(from_node, envelope)
                continue
            due = self.clock.next()
            if due is None or due > self.clock.now() + 0.1:
                return
            self.clock.advance_to(due)
        raise AssertionError("they go on for ever")

    async def pass_time(self, seconds: float, *workers: Worker) -> None:
        """These workers say that they are there."""
        until = self.clock.now() + seconds
        while self.clock.now() < until:
            await self.settle()
            due = self.clock.next()
            self.clock.advance_to(min(until, self.clock.now() + LOOK_EVERY_S if due is None else due))
            for worker in workers:
                worker.link.take(FromWorker())
        await self.settle()


@pytest.fixture
async def street() -> Street:
    made = Street()
    made.begin()
    await made.pass_time(RECONNECT_S)
    return made


async def test_a_queue_whose_only_worker_is_at_one_node_serves_runs_of_all(street: Street) -> None:
    ann, bob, cyd = street.nodes.values()
    gpu = ann.worker("gpu", queues=["gpu"])
    await street.settle()
    tokens = [*bob.start(3, queue="gpu"), *cyd.start(3, queue="gpu"), *ann.start(3, queue="gpu")]
    await street.settle()
    for _ in tokens:
        gpu.finish(gpu.tokens[-1], credits=1)
        await street.settle()
    assert sorted(gpu.tokens, key=lambda token: token.call) == tokens
    for node in (ann, bob, cyd):
        assert len(node.ends) == 3
        assert (node.out, node.attempts.kept, node.attempts.away) == (0, 0, 0)
        assert {end.node for end in node.ends.values()} == {"ann"}


async def test_five_tasks_on_five_workers_at_three_nodes_are_one_each_round_after_round(street: Street) -> None:
    ann, bob, cyd = street.nodes.values()
    workers = [ann.worker("a1"), bob.worker("b1"), bob.worker("b2"), cyd.worker("c1"), cyd.worker("c2")]
    await street.settle()
    for number in range(100):
        tokens = list(street.nodes.values())[number % 3].start(5)
        await street.settle()
        latest = [worker.tokens[-1] for worker in workers]
        assert sorted(latest, key=lambda token: token.call) == tokens
        for worker, token in zip(workers, latest, strict=True):
            worker.finish(token, credits=1)
        await street.settle()
    assert all(len(worker.tokens) == 100 for worker in workers)
    assert [node.out for node in street.nodes.values()] == [0, 0, 0]


@pytest.mark.parametrize("count", [3, 15, 30])
async def test_a_fan_out_at_one_node_is_spread_over_all(street: Street, count: int) -> None:
    workers = [node.worker(f"at {node.name}", slots=10) for node in street.nodes.values()]
    await street.settle()
    street.nodes["bob"].start(count)
    await street.settle()
    assert [len(worker.tokens) for worker in workers] == [count // 3] * 3


async def test_what_is_left_of_the_slots_of_all_is_used_before_anything_waits(street: Street) -> None:
    ann, bob, cyd = street.nodes.values()
    workers = [ann.worker("a", slots=10), bob.worker("b", slots=10), cyd.worker("c", slots=10)]
    await street.settle()
    ann.start(20)
    bob.start(20)  # before either has heard of the other's
    await street.settle()
    assert [len(worker.tokens) for worker in workers] == [10, 10, 10]
    assert sum(len(node.pool.info().waiting) for node in (ann, bob, cyd)) >= 1
    for _ in range(2):
        for worker in workers:
            done = [token for token in worker.tokens if token not in [settled.token for settled in worker.settled]]
            worker.finish(*done, credits=len(done))
        await street.settle()
    assert (len(ann.ends), len(bob.ends)) == (20, 20)
    assert len(ann.of(Lend)) + len(bob.of(Lend)) < 20, "they do not send things back and forth"


# --- ends


async def lent(street: Street, *, slots: int = 1, of: str = "bob", count: int = 1) -> tuple[Hand, Node, list[Token]]:
    """Attempts of one node's on ann's worker, which nobody else could take; those beyond its slots wait there."""
    hand = street.nodes["ann"].worker("a", slots=slots)
    await street.settle()
    tokens = street.nodes[of].start(count)
    await street.settle()
    assert hand.tokens == tokens[:slots]
    return hand, street.nodes[of], tokens


async def test_progress_and_the_end_come_home_and_nothing_is_kept(street: Street) -> None:
    hand, bob, (token,) = await lent(street)
    hand.link.take(FromWorker(progress=[AttemptProgressed(token, Raw(b"7"))]))
    hand.finish(token, result=b'"done"')
    await street.settle()
    assert bob.reports[0] == AttemptProgressed(token, Raw(b"7"))
    assert (bytes(bob.ends[token].result), bob.ends[token].worker, bob.ends[token].node) == (b'"done"', "a", "ann")
    assert [(node.out, node.attempts.kept, node.attempts.away) for node in street.nodes.values()] == [(0, 0, 0)] * 3
    assert not street.nodes["ann"].pool.lending.borrowed


async def test_it_is_cancelled_where_it_runs_and_where_it_waits(street: Street) -> None:
    hand, bob, (running, waiting) = await lent(street, count=2)
    bob.attempts.cancel([running, waiting])
    await street.settle()
    assert hand.cancels == [running]
    assert bob.failure(waiting) == "cancelled"
    hand.link.take(FromWorker(0, [AttemptEnded(running, failure=Failure("CancelledError", kind="cancelled"))]))
    await street.settle()
    assert bob.failure(running) == "cancelled"
    assert bob.out == 0


async def test_cancelled_while_it_is_on_its_way_back_it_is_not_begun_again(street: Street) -> None:
    ann, bob, _ = street.nodes.values()
    hand = ann.worker("a")
    await street.settle()
    ann.start()
    (token,) = bob.start()  # bob believes that there is room
    bob.attempts.cancel([token])
    bob.worker("b")
    await street.settle()
    assert bob.failure(token) == "cancelled"
    assert (token not in hand.tokens, bob.out) == (True, 0)


async def test_its_queue_timeout_counts_from_when_it_was_ready_at_home(street: Street) -> None:
    ann = street.nodes["ann"]
    hand = ann.worker("a")
    await street.settle()
    ann.start()
    await street.settle()
    bob = street.nodes["bob"]
    (token,) = bob.start(queue_timeout_s=20.0)
    await street.pass_time(10.0, hand)
    assert not bob.ends
    await street.pass_time(10.0 + LOOK_EVERY_S, hand)
    assert bob.failure(token) == "timeout"


async def test_its_worker_lost_at_the_other_node_is_a_loss_like_any(street: Street) -> None:
    hand, bob, (token,) = await lent(street)
    hand.link.take(FromWorker(leaving=True))
    hand.link.closed()
    await street.settle()
    assert bob.failure(token) == "lost"


async def test_the_more_urgent_goes_first_whoever_it_belongs_to(street: Street) -> None:
    hand, _, _ = await lent(street, count=2)
    urgent = street.nodes["ann"].start(priority=5)
    await street.settle()
    street.nodes["cyd"].start(priority=9)
    await street.settle()
    for _ in range(3):
        hand.finish(hand.tokens[-1], credits=1)
        await street.settle()
    assert [token.key for token in hand.tokens] == [street.key(shard) for shard in (1, 2, 0, 1)]
    assert hand.tokens[2] == urgent[0]


# --- bounds


async def test_no_more_than_a_window_waits_elsewhere(street: Street) -> None:
    _, bob, _ = await lent(street, count=100)
    ann = street.nodes["ann"]
    assert len(ann.pool.lending.borrowed) == WINDOW
    assert sum(line.count for line in bob.pool.info().waiting) == 100 - WINDOW
    assert {line.workers for line in bob.pool.info().waiting} == {1}, "it is known who could take them"


async def test_what_nobody_at_home_can_do_waits_for_a_worker_to_come_anywhere(street: Street) -> None:
    bob = street.nodes["bob"]
    (token,) = bob.start(queue="late")
    await street.settle()
    assert {line.workers for line in bob.pool.info().waiting} == {0}
    hand = street.nodes["cyd"].worker("c", queues=["late"])
    await street.settle()
    assert hand.tokens == [token]


async def test_it_is_asked_back_when_there_is_room_somewhere_else(street: Street) -> None:
    hand, bob, tokens = await lent(street, count=4)
    other = street.nodes["cyd"].worker("c")
    own = bob.worker("b")
    await street.pass_time(LOOK_EVERY_S, hand, other, own)
    assert len(hand.tokens) == len(other.tokens) == len(own.tokens) == 1
    for _ in range(3):
        for each in (hand, other, own):
            each.finish(each.tokens[-1], credits=1)
        await street.pass_time(LOOK_EVERY_S, hand, other, own)
    assert sorted(bob.ends, key=lambda token: token.call) == tokens


async def test_what_was_begun_before_stays_at_home_if_somebody_there_can_do_it(street: Street) -> None:
    ann, bob, _ = street.nodes.values()
    hand, own = ann.worker("a", slots=10), bob.worker("b", slots=10)
    await street.settle()
    bob.start(4, dispatch=2)
    await street.settle()
    assert (len(hand.tokens), len(own.tokens)) == (0, 4)


async def test_arguments_that_are_too_large_stay_at_home(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lending, "MAX_LENT_BYTES", 1)
    hand = street.nodes["ann"].worker("a")
    await street.settle()
    (token,) = street.nodes["bob"].start()
    await street.settle()
    assert hand.tokens == []
    assert street.nodes["bob"].worker("b").tokens == [token]


async def test_more_than_a_node_may_borrow_is_declined(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_lending, "MAX_BORROWED", 2)
    hand = street.nodes["ann"].worker("a", slots=5)
    await street.settle()
    tokens = street.nodes["bob"].start(5)
    await street.settle()
    assert hand.tokens == tokens[:2]
    for _ in range(3):
        hand.finish(*[token for token in hand.tokens if token not in street.nodes["bob"].ends], credits=2)
        await street.pass_time(LOOK_EVERY_S, hand)
    assert len(street.nodes["bob"].ends) == 5


async def test_a_loan_that_cannot_be_sent_is_kept_and_tried_again(street: Street) -> None:
    hand = street.nodes["ann"].worker("a")
    await street.settle()
    bob = street.nodes["bob"]
    street.cuts.add(frozenset(("ann", "bob")))  # bob has not noticed yet
    (token,) = bob.start()
    await street.settle()
    assert hand.tokens == []
    street.cuts.clear()
    await street.pass_time(2 * LOOK_EVERY_S, hand)
    assert hand.tokens == [token]


async def test_nothing_is_told_while_nothing_changes(street: Street) -> None:
    hand = street.nodes["ann"].worker("a")
    await street.settle()
    told = len(street.nodes["ann"].of(Offers))
    await street.pass_time(30.0, hand)
    assert len(street.nodes["ann"].of(Offers)) == told


# --- the other node, or this one, goes


async def test_when_the_borrower_is_gone_it_is_lost_and_begun_anew_elsewhere(street: Street) -> None:
    _, bob, (token,) = await lent(street)
    street.kill("ann")
    await street.settle()
    assert bob.failure(token) == "lost"
    other = street.nodes["cyd"].worker("c")
    await street.settle()
    again = msgspec.structs.replace(token, dispatch=2)
    bob.dispatch([again])
    await street.settle()
    assert other.tokens == [again]


async def test_when_the_lender_is_gone_what_it_lent_is_cancelled_soon(street: Street) -> None:
    hand, _, (running, _) = await lent(street, count=2)
    street.kill("bob")
    await street.pass_time(ADOPT_S, hand)
    assert hand.cancels == [running]
    hand.finish(running, credits=1)
    await street.settle()
    assert len(hand.tokens) == 1, "what waited is not begun"
    ann = street.nodes["ann"]
    assert (ann.out, ann.attempts.kept, len(ann.pool.lending.borrowed)) == (0, 0, 0)


async def test_a_node_that_leaves_declines_what_waits_and_gives_back_what_runs_too_long(street: Street) -> None:
    _, bob, (running, waiting) = await lent(street, count=2)
    ann, cyd = street.nodes["ann"], street.nodes["cyd"]
    draining = asyncio.create_task(ann.pool.drain(5.0))
    await street.settle()
    assert bob.out == 2
    other = cyd.worker("c", slots=2)
    await street.settle()
    assert other.tokens == [waiting], "under the token that it had"
    draining.cancel()
    await ann.attempts.give_back()
    await street.settle()
    assert bob.failure(running) == "returned"
    bob.dispatch([msgspec.structs.replace(running, dispatch=2)])
    await street.settle()
    assert [token.dispatch for token in other.tokens] == [1, 2]


async def leave(street: Street, bob: Node, to: str) -> None:
    """His shard goes to another node, as planned; who has not opened it yet."""
    bob.sharding.close([1])
    bob.attempts.sealed([1])
    moving = asyncio.create_task(bob.attempts.hand_over([1], to))
    await street.settle()
    await moving


async def test_when_its_actor_moves_it_goes_on_and_its_next_owner_gets_the_end(street: Street) -> None:
    hand, bob, (token,) = await lent(street)
    cyd = street.nodes["cyd"]
    await leave(street, bob, "cyd")
    assert (bob.out, bob.attempts.away) == (0, 0)
    cyd.open(1)
    assert list(cyd.attempts.under_way(token.key)) == [token]
    hand.finish(token)
    await street.settle()
    assert list(cyd.ends) == [token]
    assert not bob.ends


async def test_when_its_actor_moves_to_where_it_runs_it_is_at_home(street: Street) -> None:
    hand, bob, (token,) = await lent(street)
    ann = street.nodes["ann"]
    await leave(street, bob, "ann")
    ann.open(1)
    assert list(ann.attempts.under_way(token.key)) == [token]
    hand.finish(token)
    await street.settle()
    assert (list(ann.ends), ann.out, bob.out) == ([token], 0, 0)


async def test_what_is_declined_after_its_actor_has_left_is_begun_by_the_next_owner(street: Street) -> None:
    _, bob, (_, waiting) = await lent(street, count=2)
    ann, cyd = street.nodes["ann"], street.nodes["cyd"]
    await leave(street, bob, "cyd")
    ann.pool.lending.decline_all()
    cyd.open(1)
    await street.settle()
    assert cyd.failure(waiting) == "returned"
    assert waiting not in bob.pool.having(lambda key: True).unbegun


async def test_what_is_declined_while_its_actor_is_leaving_is_not_begun_where_it_was(street: Street) -> None:
    hand, bob, (_, waiting) = await lent(street, count=2)
    cyd = street.nodes["cyd"]
    bob.sharding.close([1])
    bob.attempts.sealed([1])
    own = bob.worker("b")
    street.nodes["ann"].pool.lending.decline_all()
    await street.settle()
    assert own.tokens == []
    moving = asyncio.create_task(bob.attempts.hand_over([1], "cyd"))
    await street.settle()
    await moving
    cyd.open(1)
    await street.settle()
    assert cyd.failure(waiting) == "returned"
    assert len(hand.tokens) == 1


async def test_shards_taken_away_end_what_was_lent_for_them(street: Street) -> None:
    hand, bob, (running, _) = await lent(street, count=2)
    bob.sharding.close([1])
    bob.attempts.dropped([1])
    await street.settle()
    assert hand.cancels == [running]
    hand.finish(running)
    await street.settle()
    assert bob.out == 0


async def test_begun_anew_it_is_stopped_where_it_was(street: Street) -> None:
    hand, bob, (token,) = await lent(street)
    bob.dispatch([msgspec.structs.replace(token, dispatch=2)])
    await street.settle()
    assert hand.cancels == [token]


async def test_cut_off_for_long_it_is_lost_here_and_cancelled_there(street: Street) -> None:
    hand, bob, (token,) = await lent(street)
    street.cut("ann", "bob")
    await street.pass_time(LAPSE_S + 2 * ADOPT_S, hand)
    assert bob.failure(token) == "lost"
    assert hand.cancels == [token]


async def test_a_moment_without_a_way_changes_nothing(street: Street) -> None:
    hand, bob, (token,) = await lent(street)
    street.cut("ann", "bob")
    await street.pass_time(1.0, hand)
    street.cuts.clear()
    for one, other in (("ann", "bob"), ("bob", "ann")):
        street.nodes[one].post.on_reach(other, True)
    await street.settle()
    hand.finish(token, credits=1)
    await street.settle()
    assert list(bob.ends) == [token]
    bob.start()
    await street.settle()
    assert len(hand.tokens) == 2


async def test_a_result_that_cannot_be_sent_is_repeated_at_home_and_where_nobody_can_it_fails(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts_module, "MAX_RESULT_BYTES", 10)
    ann = street.nodes["ann"]
    ann.largest = 10
    hand, bob, (token,) = await lent(street)
    hand.finish(token, result=b'"too large"', credits=1)
    await street.settle()
    assert bob.failure(token) == "returned"
    again = msgspec.structs.replace(token, dispatch=2)
    bob.dispatch([again])
    await street.settle()
    hand.finish(again, result=b'"too large"')
    await street.settle()
    failure = bob.ends[again].failure
    assert failure is not None
    assert (failure.final, failure.type) == (True, "BadInput")
