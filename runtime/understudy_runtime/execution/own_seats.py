"""A node as a worker among others: one seat for each kind of task, because each kind has slots of its own.

The seat of async tasks is closed while the work loop does not answer: what it has been given waits for the loop, and
everything else for another worker, or for the loop to answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from understudy.cluster import WorkerInfo
from understudy.definitions import TaskKind
from understudy_runtime.core.matching import Matching
from understudy_runtime.core.messages import Token
from understudy_runtime.core.needs import Need, Offer
from understudy_runtime.core.ports import Clock
from understudy_runtime.execution.executor import LocalExecutor
from understudy_runtime.execution.sessions import blocked_by
from understudy_runtime.execution.work_loop import Blocked

BLOCKED_S: Final = 1.0
"""The node's work loop gets no new work once it has not answered for so long."""

log = structlog.get_logger("understudy.workers")


class OwnSeats:
    """`held` are the attempts that run here: in which seat, and how many slots they use."""

    def __init__(self, clock: Clock, local: LocalExecutor, matching: Matching[Token], node: str) -> None:
        self._clock = clock
        self._local = local
        self._matching = matching
        self._node = node
        self._seats: dict[TaskKind, tuple[str, Offer]] = {}
        self._joined_at = 0.0
        self._blocked: Blocked | None = None
        self._blocked_since = 0.0
        self.held: dict[Token, tuple[str, int]] = {}

    def join(self, queues: Sequence[str], labels: Sequence[str]) -> None:
        self._joined_at = self._clock.now()
        for kind, (tasks, slots) in self._local.offers().items():
            seat, offer = f"{self._node}/{kind}", Offer(tasks, slots, frozenset(labels), frozenset(queues))
            self._seats[kind] = seat, offer
            self._matching.join(seat, offer)

    def fits(self, need: Need) -> bool:
        """Whether this node could ever run such a task itself."""
        return any(offer.fits(need) for _, offer in self._seats.values())

    def release(self, token: Token) -> bool:
        """The attempt runs no longer. False if it was in no seat."""
        held = self.held.pop(token, None)
        if held is None:
            return False
        self._matching.freed(*held)
        return True

    # --- the work loop

    @property
    def trouble(self) -> str:
        """What blocks the work loop; empty if nothing does."""
        return "" if self._blocked is None else blocked_by(self._blocked.task, self._blocked.where)

    def look(self, now: float) -> None:
        """See whether the work loop answers; to be called now and then as long as anything runs."""
        was, self._blocked = self._blocked, self._local.blocked(BLOCKED_S)
        blocked = self._blocked
        if (blocked is None) == (was is None):
            return
        if "async" in self._seats:
            self._matching.set_open(self._seats["async"][0], blocked is None)
        if blocked is not None:
            self._blocked_since = now - blocked.lag_s
            log.warning("work loop blocked", task=blocked.task, where=blocked.where, lag_s=round(blocked.lag_s, 1))
        else:
            log.info("work loop answers again")

    # --- for people

    def info(self, *, leaving: bool) -> list[WorkerInfo]:
        used: dict[str, int] = {}
        for seat, slots in list(self.held.values()):
            used[seat] = used.get(seat, 0) + slots
        return [
            self._info(kind, seat, offer, used.get(seat, 0), leaving) for kind, (seat, offer) in self._seats.items()
        ]

    def _info(self, kind: TaskKind, seat: str, offer: Offer, used: int, leaving: bool) -> WorkerInfo:
        info = WorkerInfo(
            seat,
            f"{self._node} ({kind} tasks)",
            "leaving" if leaving else "active",
            offer.slots,
            used,
            tuple(sorted(offer.queues)),
            tuple(sorted(offer.labels)),
            joined_at=self._joined_at,
        )
        blocked = self._blocked
        if blocked is None or kind != "async":
            return info
        return msgspec.structs.replace(
            info,
            status="blocked",
            blocked_since=self._blocked_since,
            blocked_task=blocked.task,
            blocked_at=blocked.where,
            trouble=self.trouble,
        )
