"""What a task asks of a worker, and what a worker brings: two sides that fit or do not."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from understudy_runtime.core.keys import namespace_of
from understudy_runtime.core.messages import Dispatch

Reach = Literal["far", "stranded", "home"]
"""Whether a task may go to another node: whenever it is better off there, only if nobody here could take it, never."""


class Need(NamedTuple):
    """What a task asks of a worker, and how far it may go to find one."""

    task: str
    queue: str = "default"
    slots: int = 1
    labels: tuple[str, ...] = ()
    namespace: str = "default"
    reach: Reach = "far"


def need_of(dispatch: Dispatch, reach: Reach = "far") -> Need:
    options = dispatch.options
    return Need(dispatch.task, options.queue, options.slots, options.labels, namespace_of(dispatch.token.key), reach)


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


class Offered(msgspec.Struct, frozen=True):
    """What the workers of one node with the same offer have: so many open ones, `slots` of all of them, how many of
    these are in use, and `room`, which is what is free at one of them."""

    offer: Offer
    workers: int
    slots: int
    used: int
    room: int
