"""The conversation of two incarnations: numbers, acknowledgements and credit, over streams that come and go.

    offer ──► waiting ──next──► on the way ──acknowledged──► gone
                 ▲                  │
                 └──── a new stream begins: from the first that has not arrived

Each direction numbers its envelopes from 1. A batch says the number of its first envelope, which envelopes of the
other direction have been handed over (all up to `acknowledged`), and how many beyond these may be on the way
(`credit`). All of this is absolute, so that a batch which is lost is made good by any later one. The receiver hands
over what is next and drops what it has had: whatever is lost with a stream is sent again on the next, and nothing is
handed over twice.

A conversation is remembered for longer than its streams last, though not for ever. `memory` numbers what a node has
begun anew with nothing remembered: whoever sees the other's memory change knows that it cannot be told any longer what
of the things sent had arrived, so they are given up, and counting begins again at 1 both ways.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class BadPeer(Exception):
    """The other end breaks the rules: a fault of ours, in one of the two releases."""


class Bounds(msgspec.Struct, frozen=True):
    """What one conversation may hold, per direction, and one batch carry. Bytes are of envelopes as they are sent.

    `queue` and `queue_bytes` count what has not been acknowledged; `window` is the credit given to the other end.
    A batch ends with the envelope that makes it larger than `batch_bytes`.
    """

    queue: int = 50_000
    queue_bytes: int = 16 * 2**20
    window: int = 10_000
    batch: int = 500
    batch_bytes: int = 2**18


class Opening(msgspec.Struct, frozen=True):
    """What each end says first on a stream.

    `resume_after`: the number of the last envelope that it has been sent in the conversation that the other end calls
    `of_memory` (0: it remembers none). `credit` as in a batch.
    """

    memory: int
    of_memory: int
    resume_after: int
    credit: int


class Batch(msgspec.Struct, Generic[T], frozen=True):
    """Some of the conversation. `first` is the number of the first of `items`, if there are any."""

    first: int
    items: Sequence[T]
    acknowledged: int
    credit: int


class Conversation(Generic[T]):
    """One end of it. `memory`, above 0, is different from that of all that this life of the node began before."""

    def __init__(self, memory: int, bounds: Bounds) -> None:
        self._memory = memory
        self._bounds = bounds
        self._their_memory = 0
        # Out. What is on the way has the numbers after `acknowledged`, and what waits those after that.
        self._on_the_way: deque[tuple[T, int]] = deque()
        self._waiting: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._acknowledged = 0
        self._allowed = 0
        self._ever_sent = 0
        # In.
        self._received = 0
        self._told = 0

    @property
    def unacknowledged(self) -> int:
        """How many envelopes are not known to have been handed over."""
        return len(self._on_the_way) + len(self._waiting)

    @property
    def has_news(self) -> bool:
        """Whether `next` has anything to say."""
        return self._received > self._told or (bool(self._waiting) and self._sent < self._allowed)

    @property
    def _sent(self) -> int:
        return self._acknowledged + len(self._on_the_way)

    def offer(self, item: T, size: int) -> bool:
        """Take it for sending; False if the queue is full."""
        if self.unacknowledged >= self._bounds.queue or self._bytes + size > self._bounds.queue_bytes:
            return False
        self._waiting.append((item, size))
        self._bytes += size
        return True

    # --- a stream

    def opening(self) -> Opening:
        """What to say first on a new stream."""
        return Opening(self._memory, self._their_memory, self._received, self._bounds.window)

    def begin(self, theirs: Opening) -> int:
        """A stream has begun, and whatever was on the way on another will not arrive any more.

        Returns how many envelopes are given up, because nobody can say whether they were handed over. BadPeer if the
        other end says what cannot be.
        """
        self._on_the_way.reverse()
        self._waiting.extendleft(self._on_the_way)
        self._on_the_way.clear()
        lost = 0
        if theirs.memory != self._their_memory:
            lost = self._begin_anew(theirs.memory)
        if theirs.of_memory == self._memory:
            self._acknowledge(theirs.resume_after)
        elif self._acknowledged > 0:
            raise BadPeer("the peer does not remember what it acknowledged")
        self._allowed = self._acknowledged + theirs.credit
        self._told = self._received
        return lost

    def _begin_anew(self, memory: int) -> int:
        lost = self._ever_sent - self._acknowledged
        for _ in range(lost):
            self._bytes -= self._waiting.popleft()[1]
        self._acknowledged = self._ever_sent = self._received = 0
        self._their_memory = memory
        return lost

    # --- out

    def next(self) -> Batch[T] | None:
        """What to send next; None if there is nothing new to say, or no credit to say it."""
        return self.now() if self.has_news else None

    def now(self) -> Batch[T]:
        """What to send next, even if there is nothing new in it."""
        first = self._sent + 1
        items: list[T] = []
        room, size = min(self._bounds.batch, self._allowed - self._sent), 0
        while self._waiting and len(items) < room and size <= self._bounds.batch_bytes:
            entry = self._waiting.popleft()
            self._on_the_way.append(entry)
            items.append(entry[0])
            size += entry[1]
        self._ever_sent = max(self._ever_sent, self._sent)
        self._told = self._received
        return Batch(first, items, self._received, self._bounds.window)

    def _acknowledge(self, number: int) -> None:
        """All up to `number` have been handed over."""
        if number > self._ever_sent:
            raise BadPeer(f"the peer acknowledges envelope {number}, and only {self._ever_sent} were sent")
        for _ in range(number - self._acknowledged):
            # What was on the way on the last stream waits to be sent again.
            queue = self._on_the_way or self._waiting
            self._bytes -= queue.popleft()[1]
            self._acknowledged += 1

    # --- in

    def take(self, batch: Batch[T]) -> Sequence[T]:
        """The envelopes that are to be handed over now: each is returned once. BadPeer if the batch cannot be."""
        self._acknowledge(batch.acknowledged)
        self._allowed = max(self._allowed, batch.acknowledged + batch.credit)
        if not batch.items:
            return batch.items
        last = batch.first + len(batch.items) - 1
        if not 0 < batch.first <= self._received + 1:
            raise BadPeer(f"the peer sends envelope {batch.first} after {self._received}")
        if last > self._told + self._bounds.window:
            raise BadPeer(f"the peer sends envelope {last}, for which it has no credit")
        seen = self._received + 1 - batch.first
        self._received = max(self._received, last)
        return list(islice(batch.items, seen, None)) if seen else batch.items
