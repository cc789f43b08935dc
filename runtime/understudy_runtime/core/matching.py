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

Workers of other nodes are *distant*: all that one node has with the same offer count as one, known only by what that
node told last and what was given there since. A task goes there if the share in use there is lower by `SPREAD` than
here, because the way costs something; or if there is no room here. Of tasks that nobody here could ever take, a
`WINDOW` may wait at each of the distant, so that they have their turn there by their urgency.

The caller says who joins, what comes free and what time it is, and carries out the assignments.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from understudy_runtime.core.distant import SPREAD, Distant
from understudy_runtime.core.needs import Need, Offer, Offered
from understudy_runtime.core.seats import MAX_GONE, UNLIMITED, Group, Seat

AGE_S: Final = 10.0
"""Seconds of waiting that are worth one point of priority."""
PATIENCE_S: Final = 5.0
"""After so long a task of many slots is no longer passed over by smaller ones."""
K = TypeVar("K", bound=Hashable)


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

    __slots__ = ("count", "distant", "groups", "heap", "need")

    def __init__(self, need: Need, groups: list[Group], distant: list[Distant]) -> None:
        self.need = need
        self.groups = groups
        self.distant = distant
        self.heap: list[tuple[float, int, _Task[K]]] = []
        self.count = 0

    @property
    def workers(self) -> int:
        here = sum(len(group.seats) for group in list(self.groups))
        return here + sum(each.workers for each in list(self.distant))

    def first(self, kept: Seat | None) -> Seat | Distant | None:
        """Whoever is to have the next task, if anybody has room for it."""
        slots = self.need.slots
        firsts = [seat for group in self.groups if (seat := group.first(slots, kept)) is not None]
        here = min(firsts, key=_share, default=None)
        return (self._first_distant(here) if self.distant else None) or here

    def _first_distant(self, here: Seat | None) -> Distant | None:
        """Whoever is so much better off than `here` that it is worth the way."""
        stranded = not self.groups
        if self.need.reach == "stranded" and not stranded:
            return None
        least, first = (2.0**62, 0) if here is None else (_share(here)[0] - SPREAD, 0), None
        if least[0] <= 0:
            return None
        for each in self.distant:
            share = each.share(self.need, stranded=stranded)
            if share is not None and (share, each.touched) < least:
                least, first = (share, each.touched), each
        return first


class Matching(Generic[K]):
    """Ready tasks, each known by a key of the caller's, and the workers that wait for them."""

    def __init__(self) -> None:
        self._lines: dict[Need, _Line[K]] = {}
        self._ready: dict[K, _Task[K]] = {}
        self._seats: dict[str, Seat] = {}
        self._groups: dict[Offer, Group] = {}
        self._distant: dict[str, Distant] = {}
        self._arrivals = 0
        self._touches = 0

    # --- tasks

    def add(self, key: K, need: Need, priority: int, now: float) -> None:
        line = self._lines.get(need)
        if line is None:
            line = self._lines[need] = _Line(need, self._fitting(need), self._fitting_distant(need))
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
        return _Line[K](need, self._fitting(need), self._fitting_distant(need)).workers

    def able_here(self, need: Need) -> bool:
        """Whether workers here could take such a task if they had room."""
        return any(group.offer.fits(need) for group in self._groups.values())

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
        seat = self._seats[worker] = Seat(worker, self._group(offer), used, credit, self._touches)
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
        elif (distant := self._distant.get(worker)) is not None:
            distant.freed(slots)

    # --- workers of other nodes

    def offered(self) -> list[Offered]:
        """What the workers here have."""
        return [
            Offered(group.offer, is_open, slots, slots - group.free, first.free if first is not None else 0)
            for group in self._groups.values()
            if (is_open := sum(seat.open for seat in group.seats))
            for slots, first in [(is_open * group.offer.slots, group.first())]
        ]

    def told(self, distant: str, offered: Offered, on_the_way: int) -> None:
        """What workers of another node have, which is known here by the name `distant`, of no worker's here.
        `on_the_way` are the slots of what has been given them and is not in these figures yet."""
        known = self._distant.get(distant)
        if known is None or known.offer != offered.offer:
            out = 0 if known is None else known.out
            self.untold(distant)
            known = self._distant[distant] = Distant(distant, offered.offer)
            known.out = out
            for line in self._lines.values():
                if line.need.reach != "home" and offered.offer.fits(line.need):
                    line.distant.append(known)
        known.tell(offered, on_the_way)

    def untold(self, distant: str) -> None:
        """Nothing is known of them any longer."""
        known = self._distant.pop(distant, None)
        if known is not None:
            for line in self._lines.values():
                if known in line.distant:
                    line.distant.remove(known)

    def set_distant_open(self, distant: str, is_open: bool) -> None:
        """Those that are not open are given nothing. They are open again as soon as something is told of them."""
        known = self._distant.get(distant)
        if known is not None:
            known.open = is_open

    def has_room_elsewhere(self, need: Need, than: str) -> bool:
        """Whether such a task, which waits at the distant `than`, could be begun anywhere else."""
        here = any(group.first(need.slots) is not None for group in self._fitting(need))
        return here or any(
            each.name != than and each.share(need, stranded=False) is not None for each in self._fitting_distant(need)
        )

    # --- the decision

    def match(self, now: float) -> list[Assignment[K]]:
        """Everything that can be handed out now. It counts as handed out when this returns."""
        assignments: list[Assignment[K]] = []
        if not self._ready or not (self._distant or any(group.first() for group in self._groups.values())):
            return assignments
        heads = [line.heap[0] for line in self._lines.values() if line.groups or line.distant]
        heapq.heapify(heads)
        kept: Seat | None = None
        while heads:
            task = heads[0][2]
            line = task.line
            slots = line.need.slots
            seat = line.first(kept)
            if seat is None:
                heapq.heappop(heads)
                if kept is None and line.groups and now - task.since >= PATIENCE_S:
                    kept = max((seat for group in line.groups for seat in group.seats), key=_room)
                continue
            if isinstance(seat, Distant):
                self._touches += 1
                seat.take(slots)
                seat.touched = self._touches
            else:
                self._give(seat, slots)
            assignments.append(Assignment(task.key, seat.name))
            self.remove(task.key)
            if line.count:
                heapq.heapreplace(heads, line.heap[0])
            else:
                heapq.heappop(heads)
        return assignments

    # ---

    def _give(self, seat: Seat, slots: int) -> None:
        seat.used += slots
        seat.credit -= slots
        self._touch(seat)

    def _advance(self, line: _Line[K]) -> None:
        """Let the head of the line be a task that is ready."""
        while not self._is_ready(line.heap[0][2]):
            heapq.heappop(line.heap)

    def _is_ready(self, task: _Task[K]) -> bool:
        return self._ready.get(task.key) is task

    def _fitting(self, need: Need) -> list[Group]:
        return [group for group in self._groups.values() if group.offer.fits(need)]

    def _fitting_distant(self, need: Need) -> list[Distant]:
        if need.reach == "home":
            return []
        return [each for each in self._distant.values() if each.offer.fits(need)]

    def _group(self, offer: Offer) -> Group:
        group = self._groups.get(offer)
        if group is None:
            group = self._groups[offer] = Group(offer)
            for line in self._lines.values():
                if offer.fits(line.need):
                    line.groups.append(group)
        return group

    def _part(self, seat: Seat) -> None:
        """The seat belongs to its group no longer; nor does the group to anybody, if that was its last."""
        group = seat.group
        group.seats.discard(seat)
        group.free -= seat.counted
        seat.counted = 0
        if not group.seats:
            del self._groups[group.offer]
            for line in self._lines.values():
                if group in line.groups:
                    line.groups.remove(group)

    def _touch(self, seat: Seat) -> None:
        self._touches += 1
        seat.touched = self._touches
        seat.group.note(seat)


def _share(seat: Seat) -> tuple[float, int]:
    return seat.used / seat.group.offer.slots, seat.touched


def _room(seat: Seat) -> tuple[int, int]:
    """Ties to the one left alone for longest: sets have no order that would last."""
    return seat.free, -seat.touched
