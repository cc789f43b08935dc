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
from collections.abc import Hashable, Iterable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from understudy.options import TaskOptions

AGE_S: Final = 10.0
"""Seconds of waiting that are worth one point of priority."""
PATIENCE_S: Final = 5.0
"""After so long a task of many slots is no longer passed over by smaller ones."""

K = TypeVar("K", bound=Hashable)


class Need(NamedTuple):
    """What a task asks of a worker."""

    task: str
    queue: str = "default"
    slots: int = 1
    labels: tuple[str, ...] = ()


def need_of(task: str, options: TaskOptions) -> Need:
    return Need(task, options.queue, options.slots, options.labels)


class Offer(msgspec.Struct, frozen=True):
    """What a worker brings: tasks it has, slots, labels, and the queues it takes from (none given: every queue)."""

    tasks: frozenset[str]
    slots: int
    labels: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()

    def fits(self, need: Need) -> bool:
        """Whether it could ever take such a task."""
        return (
            need.task in self.tasks
            and need.slots <= self.slots
            and self.labels.issuperset(need.labels)
            and (not self.queues or need.queue in self.queues)
        )


class Assignment(NamedTuple, Generic[K]):
    task: K
    worker: str


class Waiting(msgspec.Struct, frozen=True):
    """A line as people see it. `workers` is how many could take such a task if they had room: 0 is worth a look."""

    need: Need
    count: int
    since: float
    workers: int


class _Seat:
    """A worker at the table. `touched` orders workers by when they were last given or rid of something."""

    __slots__ = ("name", "offer", "open", "touched", "used")

    def __init__(self, name: str, offer: Offer, touched: int) -> None:
        self.name = name
        self.offer = offer
        self.used = 0
        self.open = True
        self.touched = touched

    @property
    def free(self) -> int:
        return self.offer.slots - self.used if self.open else 0

    @property
    def share(self) -> tuple[float, int]:
        return self.used / self.offer.slots, self.touched


class _Line(Generic[K]):
    """Tasks of one need, the most urgent first. Entries whose task has left are skipped when they come up."""

    __slots__ = ("count", "entries", "need", "seats")

    def __init__(self, need: Need, seats: list[_Seat]) -> None:
        self.need = need
        self.seats = seats
        self.entries: list[tuple[float, int, float, K]] = []
        self.count = 0


class Matching(Generic[K]):
    """Ready tasks, each known by a key of the caller's, and the workers that wait for them."""

    def __init__(self) -> None:
        self._lines: dict[Need, _Line[K]] = {}
        self._ready: dict[K, _Line[K]] = {}
        self._seats: dict[str, _Seat] = {}
        self._arrivals = 0
        self._touches = 0

    # --- tasks

    def add(self, task: K, need: Need, priority: int, now: float) -> None:
        line = self._lines.get(need)
        if line is None:
            line = self._lines[need] = _Line(need, self._fitting(need))
        self._arrivals += 1
        heapq.heappush(line.entries, (now - priority * AGE_S, self._arrivals, now, task))
        line.count += 1
        self._ready[task] = line

    def remove(self, task: K) -> bool:
        """Take back a task that nobody has been given. False if it is not here."""
        line = self._ready.pop(task, None)
        if line is None:
            return False
        line.count -= 1
        self._tidy(line)
        return True

    def __contains__(self, task: K) -> bool:
        return task in self._ready

    def __len__(self) -> int:
        return len(self._ready)

    def waiting(self) -> Iterator[Waiting]:
        for line in self._lines.values():
            since = min(entry[2] for entry in line.entries if entry[3] in self._ready)
            yield Waiting(line.need, line.count, since, len(line.seats))

    # --- workers

    def join(self, worker: str, offer: Offer, held: Iterable[int] = ()) -> None:
        """A worker comes, or comes again with another offer; `held` are the slots of each task it already has."""
        self._touches += 1
        seat = _Seat(worker, offer, self._touches)
        seat.used = sum(held)
        self._seats[worker] = seat
        self._reseat()

    def leave(self, worker: str) -> None:
        if self._seats.pop(worker, None) is not None:
            self._reseat()

    def set_open(self, worker: str, is_open: bool) -> None:
        """A worker that is not open keeps what it has and gets nothing more."""
        self._seats[worker].open = is_open

    def freed(self, worker: str, slots: int) -> None:
        """A task has left the worker. One that has gone itself is nobody's concern."""
        seat = self._seats.get(worker)
        if seat is not None:
            seat.used -= slots
            self._touch(seat)

    def used(self, worker: str) -> int:
        return self._seats[worker].used

    # --- the decision

    def match(self, now: float) -> list[Assignment[K]]:
        """Everything that can be handed out now. It counts as handed out when this returns."""
        assignments: list[Assignment[K]] = []
        if not self._ready or not any(seat.free > 0 for seat in self._seats.values()):
            return assignments
        kept: set[_Seat] = set()
        heads = [(line.entries[0], line) for line in self._lines.values() if line.seats]
        heads.sort(key=_urgency)
        while heads:
            (_, _, since, task), line = heads[0]
            seat = min((s for s in line.seats if s.free >= line.need.slots and s not in kept), key=_share, default=None)
            if seat is None:
                if now - since >= PATIENCE_S:
                    kept.add(max(line.seats, key=_room))
                heads.pop(0)
                continue
            seat.used += line.need.slots
            self._touch(seat)
            assignments.append(Assignment(task, seat.name))
            self.remove(task)
            heads.pop(0)
            if line.count:
                _insert(heads, (line.entries[0], line))
        return assignments

    # ---

    def _fitting(self, need: Need) -> list[_Seat]:
        return [seat for seat in self._seats.values() if seat.offer.fits(need)]

    def _reseat(self) -> None:
        for line in self._lines.values():
            line.seats = self._fitting(line.need)

    def _touch(self, seat: _Seat) -> None:
        self._touches += 1
        seat.touched = self._touches

    def _tidy(self, line: _Line[K]) -> None:
        """Let the head of the line be a task that is ready, or the line be gone."""
        if not line.count:
            del self._lines[line.need]
            return
        while line.entries[0][3] not in self._ready:
            heapq.heappop(line.entries)


def _urgency(head: tuple[tuple[float, int, float, K], _Line[K]]) -> tuple[float, int]:
    return head[0][:2]


def _share(seat: _Seat) -> tuple[float, int]:
    return seat.share


def _room(seat: _Seat) -> int:
    return seat.free
