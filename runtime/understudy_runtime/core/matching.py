"""Matching: which ready task goes to which waiting worker. One decision, made here and nowhere else.

Tasks that ask the same of a worker (a `Need`) stand in one line, so the decision looks at the head of each line and
not at every task. The most urgent head that somebody has room for is given to the worker with the lowest share of its
slots in use, ties to the one that was left alone for longest; then the next, one task at a time.

Urgency is the time of arrival, moved forward by `AGE_S` for each point of priority. That is priority with aging: a
task of any priority is passed by a bounded number of others. Nobody is kept idle while a task fits, but for one
case: a task of many slots that has been passed over for `PATIENCE_S` keeps the roomiest worker for itself, because
small ones would otherwise take each slot as it comes free, for ever.

Workers with equal offers are a group, in order of their shares, so that a decision costs the logarithm of how many
there are; there are no more lines and groups than kinds of tasks and workers. Only a task of many slots may have to
look at many workers, because the one with the lowest share need not have the room.

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

    __slots__ = ("credit", "group", "name", "open", "touched", "used")

    def __init__(self, name: str, group: _Group, used: int, credit: int, touched: int) -> None:
        self.name = name
        self.group = group
        self.used = used
        self.credit = credit
        self.open = True
        self.touched = touched

    @property
    def free(self) -> int:
        return min(self.group.offer.slots - self.used, self.credit) if self.open else 0


class _Group:
    """Workers with the same offer. The heap has an entry for each that has room; entries that no longer hold are
    passed over when they come up: (used, touched) says of when they are.
    """

    __slots__ = ("heap", "offer", "seats")

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.seats: set[_Seat] = set()
        self.heap: list[tuple[int, int, _Seat]] = []

    def note(self, seat: _Seat) -> None:
        """Something about the seat has changed."""
        if seat.free <= 0:
            return
        if len(self.heap) > 2 * len(self.seats) + MAX_GONE:
            self.heap = [_entry(each) for each in self.seats if each.free > 0]
            heapq.heapify(self.heap)
        else:
            heapq.heappush(self.heap, _entry(seat))

    def first(self, slots: int = 1, kept: _Seat | None = None) -> _Seat | None:
        """The seat with the lowest share that has so many slots free and is not `kept`."""
        passed: list[tuple[int, int, _Seat]] = []
        found: _Seat | None = None
        while self.heap:
            seat = self.heap[0][2]
            if seat.free <= 0 or self.heap[0] != _entry(seat) or seat.group is not self:
                heapq.heappop(self.heap)
            elif seat.free >= slots and seat is not kept:
                found = seat
                break
            else:
                passed.append(heapq.heappop(self.heap))
        for entry in passed:
            heapq.heappush(self.heap, entry)
        return found


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

    __slots__ = ("count", "groups", "heap", "need")

    def __init__(self, need: Need, groups: list[_Group]) -> None:
        self.need = need
        self.groups = groups
        self.heap: list[tuple[float, int, _Task[K]]] = []
        self.count = 0

    @property
    def workers(self) -> int:
        return sum(len(group.seats) for group in list(self.groups))

    def first(self, kept: _Seat | None) -> _Seat | None:
        """Whoever is to have the next task, if anybody has room for it."""
        slots = self.need.slots
        firsts = [seat for group in self.groups if (seat := group.first(slots, kept)) is not None]
        return min(firsts, key=_share, default=None)


class Matching(Generic[K]):
    """Ready tasks, each known by a key of the caller's, and the workers that wait for them."""

    def __init__(self) -> None:
        self._lines: dict[Need, _Line[K]] = {}
        self._ready: dict[K, _Task[K]] = {}
        self._seats: dict[str, _Seat] = {}
        self._groups: dict[Offer, _Group] = {}
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

    def able(self, need: Need) -> int:
        """How many workers could take such a task if they had room."""
        return sum(len(group.seats) for group in self._fitting(need))

    def waiting(self) -> Iterator[Waiting]:
        """May be read from any thread."""
        for line in list(self._lines.values()):
            head = line.heap[:1]
            yield Waiting(line.need, line.count, head[0][2].since if head else 0.0, line.workers)

    # --- workers

    def join(self, worker: str, offer: Offer, used: int = 0, credit: int = UNLIMITED) -> None:
        """A worker comes, or comes again. `used` are the slots of the tasks it already has.

        `credit` is how many slots it may be given until it grants more, for those that do.
        """
        self.leave(worker)
        self._touches += 1
        seat = self._seats[worker] = _Seat(worker, self._group(offer), used, credit, self._touches)
        seat.group.seats.add(seat)
        seat.group.note(seat)

    def grant(self, worker: str, credit: int) -> None:
        seat = self._seats[worker]
        seat.credit = min(seat.credit + credit, UNLIMITED)
        seat.group.note(seat)

    def change(self, worker: str, offer: Offer) -> None:
        """It keeps what it has, and its credit."""
        seat = self._seats[worker]
        self._part(seat)
        seat.group = self._group(offer)
        seat.group.seats.add(seat)
        seat.group.note(seat)

    def leave(self, worker: str) -> None:
        seat = self._seats.pop(worker, None)
        if seat is not None:
            seat.open = False
            self._part(seat)

    def set_open(self, worker: str, is_open: bool) -> None:
        """A worker that is not open keeps what it has and gets nothing more."""
        seat = self._seats[worker]
        seat.open = is_open
        seat.group.note(seat)

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
        if not self._ready or all(group.first() is None for group in self._groups.values()):
            return assignments
        heads = [line.heap[0] for line in self._lines.values() if line.groups]
        heapq.heapify(heads)
        kept: _Seat | None = None
        while heads:
            task = heads[0][2]
            line = task.line
            slots = line.need.slots
            seat = line.first(kept)
            if seat is None:
                heapq.heappop(heads)
                if kept is None and now - task.since >= PATIENCE_S:
                    kept = max((seat for group in line.groups for seat in group.seats), key=_room)
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

    def _fitting(self, need: Need) -> list[_Group]:
        return [group for group in self._groups.values() if group.offer.fits(need)]

    def _group(self, offer: Offer) -> _Group:
        group = self._groups.get(offer)
        if group is None:
            group = self._groups[offer] = _Group(offer)
            for line in self._lines.values():
                if offer.fits(line.need):
                    line.groups.append(group)
        return group

    def _part(self, seat: _Seat) -> None:
        """The seat belongs to its group no longer; nor does the group to anybody, if that was its last."""
        group = seat.group
        group.seats.discard(seat)
        if not group.seats:
            del self._groups[group.offer]
            for line in self._lines.values():
                if group in line.groups:
                    line.groups.remove(group)

    def _touch(self, seat: _Seat) -> None:
        self._touches += 1
        seat.touched = self._touches
        seat.group.note(seat)


def _entry(seat: _Seat) -> tuple[int, int, _Seat]:
    return seat.used, seat.touched, seat


def _share(seat: _Seat) -> tuple[float, int]:
    return seat.used / seat.group.offer.slots, seat.touched


def _room(seat: _Seat) -> tuple[int, int]:
    """Ties to the one left alone for longest: sets have no order that would last."""
    return seat.free, -seat.touched
