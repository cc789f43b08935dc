"""What must be true of leases, whatever happens: by the journals of what is shared, and by what was really done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import msgspec

from tests.actors.lease_shapes import GUARDED
from tests.actors.world import Effect
from understudy_runtime.core.records import AnyRecord, Turn
from understudy_runtime.core.records.resources import (
    LeaseAwaited,
    LeaseGranted,
    LeaseOver,
    QueueFailed,
    ResourceMoved,
    WaitEnded,
)
from understudy_runtime.core.resource.state import holder_name

CAPACITIES: Final = {"lock": 1, "semaphore": 3, "resource.Database": 3, "resource.Cluster": 2, "resource.Unmakable": 1}


@dataclass
class Books:
    """Of one shared thing, kept from its journal alone."""

    capacity: int
    state: str = "absent"
    fence: int = 0
    held: dict[int, LeaseGranted] = field(default_factory=dict[int, LeaseGranted])
    waiting: dict[str, tuple[float, int]] = field(default_factory=dict[str, tuple[float, int]])
    """By holder, its place in the queue."""
    ever: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])

    def take(self, record: AnyRecord) -> Iterator[str]:
        match record:
            case ResourceMoved(state=state):
                self.state = state
                self.fence = max(self.fence, record.fence or 0)
            case LeaseAwaited(holder=holder, rank=rank, number=number):
                self.waiting[holder_name(holder)] = (rank, number)
            case WaitEnded(holder=name):
                self.waiting.pop(name)
            case QueueFailed():
                self.waiting.clear()
            case LeaseOver(fence=fence):
                del self.held[fence]
            case LeaseGranted():
                yield from self._granted(record)
            case _:
                pass

    def _granted(self, lease: LeaseGranted) -> Iterator[str]:
        what = f"lease {lease.fence}"
        if lease.fence <= self.fence:
            yield f"{what} was granted after {self.fence}"
        if self.state != "ready":
            yield f"{what} was granted while it was {self.state}"
        if self.held and (lease.exclusive or any(each.exclusive for each in self.held.values())):
            yield f"{what} was granted beside {list(self.held)}, and one of them is exclusive"
        if lease.units + sum(each.units for each in self.held.values()) > self.capacity:
            yield f"{what} is more than there is, beside {list(self.held)}"
        name = holder_name(lease.holder)
        place = self.waiting.pop(name, None)
        if place is not None and any(other < place for other in self.waiting.values()):
            yield f"{what} was granted out of turn"
        if (name, lease.number) in self.ever:
            yield f"{what} is a second one for {name}"
        self.ever.add((name, lease.number))
        self.fence = lease.fence
        self.held[lease.fence] = lease


def wrong_leases(histories: Mapping[str, Sequence[Turn]]) -> list[str]:
    """What is wrong in the journals of everything that is shared; by the end nobody has anything or waits for it."""
    wrong: list[str] = []
    for key, turns in histories.items():
        capacity = CAPACITIES.get(key.split("/")[1])
        if capacity is None:
            continue
        books = Books(capacity)
        for turn in turns:
            for record in turn.records:
                wrong += [f"{key}: {each}" for each in books.take(record)]
        wrong += [f"{key}: lease {fence} was never given back" for fence in books.held]
        wrong += [f"{key}: {name} waits for ever" for name in books.waiting]
    return wrong


def disturbed(effects: Sequence[Effect]) -> list[str]:
    """Attempts under one lock, of different holders, that were really made at the same time."""
    by_lock: dict[str, list[Effect]] = {}
    for effect in effects:
        if effect.task == GUARDED:
            by_lock.setdefault(msgspec.json.decode(effect.args)["args"][0], []).append(effect)
    return [
        f"{after.key} began at {after.at} under the lock {name}, which {before.key} left at {before.until}"
        for name, under in by_lock.items()
        if name
        for before, after in pairwise(sorted(under, key=lambda effect: effect.at))
        if before.token.key != after.token.key and after.at < before.until
    ]
