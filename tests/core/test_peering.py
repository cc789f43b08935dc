"""The conversation of two nodes: in order, at most once, and all of it, whatever becomes of the streams."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from understudy_runtime.core.peering import BadPeer, Batch, Bounds, Conversation, Opening

TIGHT = Bounds(queue=8, queue_bytes=100, window=4, batch=3, batch_bytes=20)
SIDES = (0, 1)


class Wire(RuleBasedStateMachine):
    """Two ends, and streams between them that lose whatever is on the way when they break.

    What is on the way arrives in order, as TCP has it; batches of an earlier stream never do, as `PeerStream` has it.
    Now and then an end forgets the other, as it does with nodes that it has not seen for long.
    """

    def __init__(self) -> None:
        super().__init__()
        self.memories = 0
        self.ends = [self.fresh(), self.fresh()]
        self.ways: list[deque[Batch[int]]] = [deque(), deque()]
        self.up = False
        self.sent: list[list[int]] = [[], []]
        self.handed_over: list[list[int]] = [[], []]
        self.given_up = [0, 0]
        self.forgot = False

    def fresh(self) -> Conversation[int]:
        self.memories += 1
        return Conversation(self.memories, TIGHT)

    @rule(side=st.sampled_from(SIDES), size=st.integers(0, 30))
    def send(self, side: int, size: int) -> None:
        before = self.ends[side].unacknowledged
        number = len(self.sent[side])
        if self.ends[side].offer(number, size):
            self.sent[side].append(number)
        else:
            assert before > 0

    @rule(side=st.sampled_from(SIDES))
    @precondition(lambda self: self.up)
    def write(self, side: int) -> None:
        batch = self.ends[side].next()
        if batch is not None:
            assert len(batch.items) <= TIGHT.batch
            self.ways[side].append(batch)

    @rule(side=st.sampled_from(SIDES))
    @precondition(lambda self: self.up)
    def ping(self, side: int) -> None:
        self.ways[side].append(self.ends[side].now())

    @rule(side=st.sampled_from(SIDES))
    @precondition(lambda self: self.up)
    def arrive(self, side: int) -> None:
        """Something that `side` has sent."""
        if self.ways[side]:
            self.handed_over[side] += self.ends[1 - side].take(self.ways[side].popleft())

    @rule()
    def cut(self) -> None:
        self.up = False
        for way in self.ways:
            way.clear()

    @rule(halfway=st.booleans())
    def connect(self, halfway: bool) -> None:
        """End 0 dials. `halfway`: the stream breaks before it has the answer."""
        self.cut()
        hello = self.ends[0].opening()
        self.given_up[1] += self.ends[1].begin(hello)
        if not halfway:
            self.given_up[0] += self.ends[0].begin(self.ends[1].opening())
            self.up = True

    @rule(side=st.sampled_from(SIDES))
    @precondition(lambda self: not self.up)
    def forget(self, side: int) -> None:
        self.forgot = True
        self.given_up[side] += self.ends[side].unacknowledged
        self.ends[side] = self.fresh()

    @invariant()
    def nothing_twice_and_all_in_order(self) -> None:
        for side in SIDES:
            assert self.handed_over[side] == sorted(set(self.handed_over[side]))
            if not self.forgot:
                assert self.handed_over[side] == self.sent[side][: len(self.handed_over[side])]

    @invariant()
    def bounded(self) -> None:
        for side in SIDES:
            assert self.ends[side].unacknowledged <= TIGHT.queue
            assert sum(len(batch.items) for batch in self.ways[side]) <= TIGHT.window

    def teardown(self) -> None:
        """Once there is a stream that lasts, everything gets through but what somebody was told of."""
        self.connect(False)
        for _ in range(200):
            for side in SIDES:
                self.write(side)
                self.arrive(side)
        for side in SIDES:
            assert self.ends[side].unacknowledged == 0
            assert not self.ends[side].has_news
            missing = len(self.sent[side]) - len(self.handed_over[side])
            assert missing <= self.given_up[side]
            if not self.forgot:
                assert self.handed_over[side] == self.sent[side]
                assert self.given_up[side] == 0


TestWire = Wire.TestCase
TestWire.settings = settings(max_examples=60, stateful_step_count=40)


def talking(bounds: Bounds = TIGHT) -> tuple[Conversation[int], Conversation[int]]:
    one, other = Conversation[int](1, bounds), Conversation[int](1, bounds)
    other.begin(one.opening())
    one.begin(other.opening())
    return one, other


def test_no_more_is_on_the_way_than_there_is_credit_for() -> None:
    one, other = talking()
    assert all(one.offer(number, 1) for number in range(8))
    batches = [one.now(), one.now()]
    assert [list(batch.items) for batch in batches] == [[0, 1, 2], [3]]
    assert one.next() is None
    assert other.take(batches[0])
    answer = other.next()
    assert answer is not None
    one.take(answer)
    more = one.next()
    assert more is not None
    assert list(more.items) == [4, 5, 6]


@pytest.mark.parametrize(("size", "taken"), [(0, 8), (50, 2), (100, 1), (101, 0)])
def test_a_full_queue_takes_nothing_and_what_is_acknowledged_makes_room(size: int, taken: int) -> None:
    one, other = talking()
    assert [one.offer(number, size) for number in range(9)].count(True) == taken
    while (batch := one.next()) is not None:
        other.take(batch)
        one.take(other.now())
    assert one.unacknowledged == 0
    assert one.offer(0, min(size, 100))


def test_a_batch_ends_with_what_makes_it_too_large() -> None:
    one, _ = talking()
    for number in range(4):
        one.offer(number, 11)
    assert list(one.now().items) == [0, 1]


@given(st.integers(1, 3), st.integers(1, 3))
def test_what_was_seen_is_dropped_wherever_the_repetition_begins(taken: int, from_: int) -> None:
    _, other = talking()
    assert list(other.take(Batch(1, [1, 2, 3][:taken], 0, 4))) == [1, 2, 3][:taken]
    fresh = other.take(Batch(min(from_, taken + 1), [1, 2, 3, 4][min(from_, taken + 1) - 1 :], 0, 4))
    assert list(fresh) == [1, 2, 3, 4][taken:]


@pytest.mark.parametrize(
    ("batch", "why"),
    [
        (Batch(2, [1], 0, 4), "sends envelope 2 after 0"),
        (Batch(0, [1], 0, 4), "sends envelope 0 after 0"),
        (Batch(1, [1] * 5, 0, 4), "envelope 5, for which it has no credit"),
        (Batch[int](1, [], 1, 4), "acknowledges envelope 1, and only 0 were sent"),
    ],
)
def test_a_peer_that_breaks_the_rules_is_found_out(batch: Batch[int], why: str) -> None:
    _, other = talking()
    with pytest.raises(BadPeer, match=why):
        other.take(batch)


def test_a_peer_that_forgot_without_saying_so_is_found_out() -> None:
    one, other = talking()
    one.offer(1, 1)
    other.take(one.now())
    one.take(other.now())
    with pytest.raises(BadPeer, match="does not remember what it acknowledged"):
        one.begin(Opening(memory=1, of_memory=0, resume_after=0, credit=4))


def test_who_has_forgotten_everything_is_listened_to_from_the_beginning() -> None:
    one, other = talking()
    for number in range(3):
        one.offer(number, 1)
    assert list(other.take(one.now())) == [0, 1, 2]
    again = Conversation[int](2, TIGHT)
    again.offer(3, 1)
    assert other.begin(again.opening()) == 0
    assert again.begin(other.opening()) == 0
    assert list(other.take(again.now())) == [3]


def test_what_was_sent_on_any_stream_is_not_sent_to_who_has_forgotten_what_arrived() -> None:
    one, other = talking()
    for number in range(5):
        one.offer(number, 1)
    assert list(other.take(one.now())) == [0, 1, 2]
    assert list(other.take(one.now())) == [3]
    # None of it was acknowledged as far as `one` can tell, and the next stream carries less before it breaks, too.
    one.begin(Opening(memory=1, of_memory=1, resume_after=0, credit=1))
    assert list(one.now().items) == [0]
    again = Conversation[int](2, TIGHT)
    again.begin(one.opening())
    assert one.begin(again.opening()) == 4
    assert list(again.take(one.now())) == [4]
