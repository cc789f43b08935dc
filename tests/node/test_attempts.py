"""What a node does with attempts in its pool, and on the workers connected to it, when their actors come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import anyio
import msgspec
import pytest
from msgspec import Raw

from tests.execution.test_pool import Worker, World
from understudy_runtime.actors.sharding import Sharding
from understudy_runtime.core.away import ADOPT_S, LAPSE_S
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.membership import Member, Owner, View
from understudy_runtime.core.messages import AnyMessage, AttemptEnded, AttemptProgressed, Token
from understudy_runtime.core.ports import Report
from understudy_runtime.core.transport import Adopt, Envelope, Keeping, Noted, Stop, Unknown
from understudy_runtime.core.transport import Report as ReportEnvelope
from understudy_runtime.core.workers import FromWorker
from understudy_runtime.node import attempts as module
from understudy_runtime.node.attempts import NOTED_S, Attempts
from understudy_runtime.storage.memory import MemoryData, MemoryStore

pytestmark = pytest.mark.anyio

ANN, BOB = Owner("ann", "a-1"), Owner("bob", "b-1")
_read = msgspec.json.Decoder(Report).decode


class Engine:
    """Stands for an engine that runs what is open in `sharding`."""

    def __init__(self, attempts: Attempts, sharding: Sharding) -> None:
        self._attempts = attempts
        self._sharding = sharding
        self.written_off: list[Token] = []
        self.delivered: list[AnyMessage] = []

    def report(self, reports: Sequence[Report]) -> None:
        for report in reports:
            if self._sharding.has(report.token.key):
                self.deliver(report.token.key, report)
            else:
                self._attempts.pass_on(report)

    def write_off(self, token: Token) -> None:
        self.written_off.append(token)

    def deliver(self, key: str, message: AnyMessage) -> None:
        self.delivered.append(message)


class House(World):
    """A node that has all shards; `sent` is what others were told."""

    def __init__(self) -> None:
        super().__init__()
        sharding = Sharding(MemoryStore(MemoryData(1)))
        self.attempts = Attempts(self.pool, sharding, self.clock, ANN)
        self.engine = Engine(self.attempts, sharding)
        self.sharding = sharding
        self.sent: list[tuple[str, Envelope]] = []
        self.takes = True
        self.attempts.serve(self.engine)
        self.attempts.connect(self._send)
        self.pool.open(self.attempts.report)
        self.sharding.open([0])

    def _send(self, node: str, envelope: Envelope) -> bool:
        if self.takes:
            self.sent.append((node, envelope))
        return self.takes

    def seal(self) -> None:
        self.sharding.close([0])
        self.attempts.sealed([0])

    def adopt(self, *tokens: Token) -> None:
        self.attempts.on_envelope("bob", Adopt(tokens))

    def told(self) -> list[Report]:
        return [_read(envelope.body) for _, envelope in self.sent if isinstance(envelope, ReportEnvelope)]

    def of(self, kind: type[Envelope]) -> list[tuple[str, Envelope]]:
        return [(node, envelope) for node, envelope in self.sent if isinstance(envelope, kind)]


@pytest.fixture
def house() -> House:
    return House()


def full(house: House) -> tuple[Worker, list[Token], list[Token]]:
    """A worker with two slots in use, and what waits for it."""
    worker = house.worker(slots=2, credits=2)
    tokens = house.start(5)
    assert worker.tokens == tokens[:2]
    return worker, tokens[:2], tokens[2:]


async def test_what_runs_goes_on_and_what_waits_is_never_begun(house: House) -> None:
    worker, running, waiting = full(house)
    house.seal()
    house.pass_time(0.0)
    assert (worker.cancels, house.told(), house.engine.delivered) == ([], [], [])
    assert house.engine.written_off == waiting, "they are out no longer, and nobody hears of them"
    worker.finish(*running, credits=2)
    assert worker.tokens == running
    assert next(iter(house.pool.info().workers)).used == 0


async def test_its_reports_go_to_whoever_has_adopted_it(house: House) -> None:
    worker, (first, second), _ = full(house)
    house.seal()
    house.adopt(first, second)
    assert house.of(Unknown) == [("bob", Unknown(()))], "the answer is a sign of life, too"
    worker.link.take(FromWorker(progress=[AttemptProgressed(first, Raw(b"7"))]))
    worker.finish(first)
    house.adopt(second)
    ended = house.told()
    assert ended[0] == AttemptProgressed(first, Raw(b"7"))
    assert isinstance(ended[1], AttemptEnded)
    assert (ended[1].token, bytes(ended[1].result)) == (first, b"1")
    assert {node for node, _ in house.sent} == {"bob"}


async def test_the_loss_of_its_worker_and_its_timeout_are_told_like_any_end(house: House) -> None:
    worker, (first, second), _ = full(house)
    house.seal()
    house.adopt(first, second)
    worker.finish(first)
    worker.link.take(FromWorker(leaving=True))
    worker.link.closed()
    lost = house.told()[-1]
    assert isinstance(lost, AttemptEnded)
    assert (lost.token, lost.failure and lost.failure.kind) == (second, "lost")


async def test_stopped_from_afar_it_is_cancelled_and_says_so(house: House) -> None:
    worker, (first, _), _ = full(house)
    house.seal()
    house.adopt(first)
    house.attempts.on_envelope("bob", Stop((first,)))
    assert worker.cancels == [first]
    cancelled = AttemptEnded(first, failure=Failure("CancelledError", kind="cancelled"))
    worker.link.take(FromWorker(0, [cancelled]))
    assert [report.token for report in house.told()] == [first]


async def test_taken_away_all_of_it_is_cancelled_and_nobody_is_told(house: House) -> None:
    worker, running, waiting = full(house)
    house.sharding.close([0])
    house.attempts.dropped([0])
    house.pass_time(0.0)
    assert worker.cancels == running
    worker.finish(*running)
    assert sorted(house.engine.written_off, key=lambda token: token.call) == [*running, *waiting]
    assert (house.sent, house.engine.delivered, house.attempts.kept) == ([], [], 0)


async def test_what_nobody_adopts_is_cancelled_after_a_while(house: House) -> None:
    worker, (first, second), _ = full(house)
    house.seal()
    for _ in range(4):
        house.stay_alive(worker, ADOPT_S)
        house.adopt(first)
    assert worker.cancels == [second]
    house.adopt(second)
    assert house.of(Unknown)[-1] == ("bob", Unknown((second,)))
    house.stay_alive(worker, LAPSE_S + ADOPT_S)
    assert worker.cancels == [second, first]
    worker.finish(first, second)
    house.pass_time(ADOPT_S)
    assert (house.told(), house.attempts.kept) == ([], 0)


async def test_an_end_that_cannot_be_sent_is_no_end(house: House) -> None:
    """As one that is too large for an envelope."""
    worker, (first, _), _ = full(house)
    house.seal()
    worker.finish(first)
    house.takes = False
    house.adopt(first)
    house.takes = True
    house.adopt(first)
    assert house.of(Unknown) == [("bob", Unknown((first,)))]


async def test_an_end_that_its_owner_left_too_early_to_hear_is_kept_for_the_next_owner(house: House) -> None:
    worker, (first, _), _ = full(house)
    house.seal()
    house.adopt(first)
    house.takes = False
    house.attempts.members(View(members={"ann": Member("ann", "a-1", "")}))
    worker.finish(first)
    house.takes = True
    house.attempts.on_envelope("cyd", Adopt((first,)))
    assert [end.token for end in house.told() if isinstance(end, AttemptEnded)] == [first]


async def test_the_next_owner_is_told_in_envelopes_of_bounded_size(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOKENS_AT_ONCE", 2)
    worker = house.worker(slots=5, credits=5)
    tokens = house.start(5)
    house.seal()
    handing = asyncio.create_task(house.attempts.hand_over([0], "bob"))
    await anyio.wait_all_tasks_blocked()
    keeping = [envelope for _, envelope in house.of(Keeping) if isinstance(envelope, Keeping)]
    assert [each.tokens for each in keeping] == [tuple(tokens[:2]), tuple(tokens[2:4]), tuple(tokens[4:])]
    assert {each.keeper for each in keeping} == {ANN}
    for each in keeping:
        assert not handing.done()
        house.attempts.on_envelope("bob", Noted(each.number))
        await anyio.wait_all_tasks_blocked()
    assert handing.done()
    assert worker.tokens == tokens


async def test_who_does_not_answer_gets_its_shards_all_the_same(house: House) -> None:
    full(house)
    house.seal()
    handing = asyncio.create_task(house.attempts.hand_over([0], "bob"))
    await anyio.wait_all_tasks_blocked()
    assert not handing.done()
    house.pass_time(NOTED_S)
    await handing


async def test_with_nothing_under_way_nothing_is_said_and_nobody_waits(house: House) -> None:
    house.seal()
    await house.attempts.hand_over([0], "bob")
    assert house.sent == []


async def test_what_is_said_too_late_is_stopped_where_it_is(house: House) -> None:
    token = Token("default/run/late", 1, 1, 1, 1)
    house.attempts.on_envelope("bob", Keeping(3, BOB, (token,)))
    assert house.sent == [("bob", Stop((token,))), ("bob", Noted(3))]
    assert not house.attempts.under_way(token.key)


async def test_a_node_that_leaves_waits_no_longer_although_its_timers_come_early(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a cluster, where a commit may set the time back a little."""
    worker, (running, _), _ = full(house)
    house.seal()
    worker.finish(running)
    call_at = house.clock.call_at

    def early(at: float, callback: Callable[[], None]) -> Callable[[], None]:
        return call_at(at - 0.1, callback)

    monkeypatch.setattr(house.clock, "call_at", early)
    leaving = asyncio.create_task(house.attempts.give_back())
    until = house.clock.now() + module.TOLD_S + 0.5
    while house.clock.now() < until:
        await asyncio.sleep(0)
        house.pass_time(0.05)
    assert leaving.done()
