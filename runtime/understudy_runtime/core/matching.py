"""Matching: which ready task goes to which waiting worker. One decision, made here and nowhere else.

Tasks that ask the same of a worker (a `Need`) stand in one line, so the decision looks at the head of each line and
not at every task. The most urgent head that somebody has room for is given to the worker with the lowest share of its
slots in use, ties to the one that was left alone for longest; then the next, one task at a time.

Urgency is the time of arrival, moved forward by `AGE_S` for each point of priority. That is priority with aging: a
task of any priority is passed by a bounded number of others. Nobody is kept idle while a task fits, but for one
case: a task of many slots that has been passed over for `PATIENCE_S` keeps the roomiest worker for itself, because
small ones would otherwise take each slot as it comes free, for ever.

The caller says who joins, what comes free and what time it is, and carries out the assignments.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from understudy_runtime.core.keys import namespace_of
from understudy_runtime.core.messages import Dispatch

AGE_S: Final = 10.0
"""Seconds of waiting that are worth one point of priority."""
PATIENCE_S: Final = 5.0
"""After so long a task of many slots is no longer passed over by smaller ones."""
UNLIMITED: Final = 2**62
MAX_GONE: Final = 64
"""So many more tasks may have been taken back from a line than stand in it, before it is cleared of them."""

K = TypeVar("K", bound=Hashable)


class Need(NamedTuple):
    """What a task asks of a worker."""

    task: str
    queue: str = "default"
    slots: int = 1
    labels: tuple[str, ...] = ()
    namespace: str = "default"


def need_of(dispatch: Dispatch) -> Need:
    options = dispatch.options
    return Need(dispatch.task, options.queue, options.slots, options.labels, namespace_of(dispatch.token.key))


class Offer(msgspec.Struct, frozen=True):
    """What a worker brings. No queues are every queue, no namespace is every namespace."""

    tasks: frozenset[str]
    slots: int
    labels: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    namespace: str = ""

    def fits(self, need: Need) -> bool:
        """Whether it could ever take such a task."""
        return (
            need.task in self.tasks
            and need.slots <= self.slots
            and self.labels.issuperset(need.labels)
            and (not self.queues or need.queue in self.queues)
            and self.namespace in ("", need.namespace)
        )


class Assignment(NamedTuple, Generic[K]):
    task: K
    worker: str


class Waiting(msgspec.Struct, frozen=True):
    """A line as people see it. `since` is when its most urgent task came.

    `workers` is how many could take such a task if they had room: 0 is worth a look.
    """

    need: Need
    count: int
    since: float
    workers: int


class _Seat:
    """A worker at the table. `touched` orders workers by when they were last given or rid of something."""

    __slots__ = ("credit", "name", "offer", "open", "touched", "used")

    def __init__(self, name: str, offer: Offer, used: int, credit: int, touched: int) -> None:
        self.name = name
        self.offer = offer
        self.used = used
        self.credit = credit
        self.open = True
        self.touched = touched

    @property
    def free(self) -> int:
        return min(self.offer.slots - self.used, self.credit) if self.open else 0


class _Task(Generic[K]):
    """A task in a line, as long as `Matching` knows it by its key."""

    __slots__ = ("arrival", "key", "line", "rank", "since")

    def __init__(self, key: K, line: _Line[K], rank: float, arrival: int, since: float) -> None:
        self.key = key
        self.line = line
        self.rank = rank
        self.arrival = arrival
        self.since = since


class _Line(Generic[K]):
    """Tasks of one need, the most urgent first; those that were taken back are skipped when they come up."""

    __slots__ = ("count", "heap", "need", "seats")

    def __init__(self, need: Need, seats: list[_Seat]) -> None:
        self.need = need
        self.seats = seats
        self.heap: list[tuple[float, int, _Task[K]]] = []
        self.count = 0


class Matching(Generic[K]):
    """Ready tasks, each known by a key of the caller's, and the workers that wait for them."""

    def __init__(self) -> None:
        self._lines: dict[Need, _Line[K]] = {}
        self._ready: dict[K, _Task[K]] = {}
        self._seats: dict[str, _Seat] = {}
        self._arrivals = 0
        self._touches = 0

    # --- tasks

    def add(self, key: K, need: Need, priority: int, now: float) -> None:
        line = self._lines.get(need)
        if line is None:
            line = self._lines[need] = _Line(need, self._fitting(need))
        self._arrivals += 1
        task = _Task(key, line, now - priority * AGE_S, self._arrivals, now)
        heapq.heappush(line.heap, (task.rank, task.arrival, task))
        line.count += 1
        self._ready[key] = task

    def remove(self, key: K) -> bool:
        """Take back a task that nobody has been given. False if it is not here."""
        task = self._ready.pop(key, None)
        if task is None:
            return False
        line = task.line
        line.count -= 1
        if not line.count:
            del self._lines[line.need]
        elif line.heap[0][2] is task:
            self._advance(line)
        elif len(line.heap) > 2 * line.count + MAX_GONE:
            line.heap = [entry for entry in line.heap if self._is_ready(entry[2])]
            heapq.heapify(line.heap)
        return True

    def __contains__(self, key: K) -> bool:
        return key in self._ready

    def __len__(self) -> int:
        return len(self._ready)

    def waiting(self) -> Iterator[Waiting]:
        """May be read from any thread."""
        for line in list(self._lines.values()):
            head = line.heap[:1]
            yield Waiting(line.need, line.count, head[0][2].since if head else 0.0, len(line.seats))

    # --- workers

    def join(self, worker: str, offer: Offer, used: int = 0, credit: int = UNLIMITED) -> None:
        """A worker comes, or comes again. `used` are the slots of the tasks it already has.

        `credit` is how many slots it may be given until it grants more, for those that do.
        """
        self._touches += 1
        self._seats[worker] = _Seat(worker, offer, used, credit, self._touches)
        self._reseat()

    def grant(self, worker: str, credit: int) -> None:
        seat = self._seats[worker]
        seat.credit = min(seat.credit + credit, UNLIMITED)

    def change(self, worker: str, offer: Offer) -> None:
        """It keeps what it has, and its credit."""
        self._seats[worker].offer = offer
        self._reseat()

    def leave(self, worker: str) -> None:
        if self._seats.pop(worker, None) is not None:
            self._reseat()

    def set_open(self, worker: str, is_open: bool) -> None:
        """A worker that is not open keeps what it has and gets nothing more."""
        self._seats[worker].open = is_open

    def freed(self, worker: str, slots: int) -> None:
        """A task has left the worker. If the worker itself has gone, there is nothing to note."""
        seat = self._seats.get(worker)
        if seat is not None:
            seat.used -= slots
            self._touch(seat)

    # --- the decision

    def match(self, now: float) -> list[Assignment[K]]:
        """Everything that can be handed out now. It counts as handed out when this returns."""
        assignments: list[Assignment[K]] = []
        if not self._ready or not any(seat.free > 0 for seat in self._seats.values()):
            return assignments
        heads = [line.heap[0] for line in self._lines.values() if line.seats]
        heapq.heapify(heads)
        kept: _Seat | None = None
        while heads:
            task = heads[0][2]
            line = task.line
            slots = line.need.slots
            seat = min((s for s in line.seats if s.free >= slots and s is not kept), key=_share, default=None)
            if seat is None:
                heapq.heappop(heads)
                if kept is None and now - task.since >= PATIENCE_S:
                    kept = max(line.seats, key=_room)
                continue
            seat.used += slots
            seat.credit -= slots
            self._touch(seat)
            assignments.append(Assignment(task.key, seat.name))
            self.remove(task.key)
            if line.count:
                heapq.heapreplace(heads, line.heap[0])
            else:
                heapq.heappop(heads)
        return assignments

    # ---

    def _advance(self, line: _Line[K]) -> None:
        """Let the head of the line be a task that is ready."""
        while not self._is_ready(line.heap[0][2]):
            heapq.heappop(line.heap)

    def _is_ready(self, task: _Task[K]) -> bool:
        return self._ready.get(task.key) is task

    def _fitting(self, need: Need) -> list[_Seat]:
        return [seat for seat in self._seats.values() if seat.offer.fits(need)]

    def _reseat(self) -> None:
        for line in self._lines.values():
            line.seats = self._fitting(line.need)

    def _touch(self, seat: _Seat) -> None:
        self._touches += 1
        seat.touched = self._touches


def _share(seat: _Seat) -> tuple[float, int]:
    return seat.used / seat.offer.slots, seat.touched


def _room(seat: _Seat) -> int:
    return seat.free
