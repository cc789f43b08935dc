"""The poller: thousands of outside things looked at again and again, and only what is news reported.

    start ──► in the heap, until its time ──► one poll: an attempt on the work loop, or in a thread
                 ▲                               │       │
                 └── nothing new ────────────────┘       └─► news: reported once, and the watch is over

Between polls a watch is an entry in one heap, with one timer for all: no coroutine, task or thread, no turn and no
write. Polls have slots of their own, so that user code's tasks cannot keep them waiting, nor they those.
Time is the `Clock`'s. All state belongs to the engine's loop.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final
from zlib import crc32

import msgspec
from msgspec import Raw

from understudy.definitions import TaskDefinition, TaskKind
from understudy_runtime.core.kinds import NULL, Failure
from understudy_runtime.core.messages import AttemptEnded, Dispatch, Token, Watch
from understudy_runtime.core.ports import Clock, Report
from understudy_runtime.execution.attempt import Attempt, Runner
from understudy_runtime.execution.handover import Handover
from understudy_runtime.execution.lane import Lane
from understudy_runtime.execution.threads import Threads
from understudy_runtime.execution.work_loop import WorkLoop

POLLS_AT_ONCE: Final = 256
"""Polls of `async def` under way at a time; more that are due wait for one to end."""
POLL_THREADS: Final = 16
BATCH_MAX: Final = 100
"""Handles in one call of `poll_many`."""
BEGUN_AT_ONCE: Final = 128
"""Watches looked at before the engine's loop gets a breath."""
TICK_S: Final = 0.02
"""The timer goes off at most so often: a poll may be so much late."""
SPREAD_FROM: Final = 100
"""So many watches begun together (a node starts) are spread over their whole interval at first."""

_CANCELLED: Final = Failure("CancelledError", "the watch was cancelled", kind="cancelled")

_decode_parts: Final = msgspec.json.Decoder(list[Raw]).decode


class _Args(msgspec.Struct):
    args: tuple[Raw]


_decode_args: Final = msgspec.json.Decoder(_Args).decode


class Watched:
    """One watch. `strange` and `errors` count polls since the last that found what is known."""

    __slots__ = (
        "attempt",
        "definition",
        "dispatch",
        "errors",
        "interval_s",
        "over",
        "polls",
        "seed",
        "started_at",
        "strange",
        "watch",
    )

    def __init__(self, dispatch: Dispatch, watch: Watch, definition: TaskDefinition, now: float) -> None:
        self.dispatch = dispatch
        self.watch = watch
        self.definition = definition
        self.started_at = now
        self.interval_s = watch.every_s
        self.seed = crc32(f"{dispatch.token}".encode())
        self.polls = self.strange = self.errors = 0
        self.attempt: Attempt | None = None
        self.over = False

    def chance(self) -> float:
        """In [0, 1): the same for the same poll of the same watch."""
        return crc32(b"%d" % self.polls, self.seed) / 2**32

    def found(self, result: Raw) -> bool:
        """A poll came back. Whether it is news."""
        watch = self.watch
        if result == watch.known:
            self.strange = self.errors = 0
            self._grow()
            return False
        self.strange += 1
        self.interval_s = watch.every_s
        return self.strange >= watch.patience

    def failed(self, failure: Failure) -> bool:
        """A poll failed. Whether it is news."""
        self.errors += 1
        self._grow()
        return failure.final or self.errors >= self.watch.errors

    def _grow(self) -> None:
        watch = self.watch
        self.interval_s = min(max(watch.cap_s, watch.every_s), self.interval_s * watch.factor)


class Rates:
    """When the next call of each outside system may be made, one after the other at its rate."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def reserve(self, name: str, per_s: float, now: float) -> float:
        """Take the next place: the time at which the call may be made."""
        at = max(now, self._next.get(name, now))
        self._next[name] = at + 1.0 / per_s
        return at


class Polls:
    """A `Runner` on the work loop with slots of its own."""

    def __init__(self, work: WorkLoop, slots: int) -> None:
        self._work = work
        self._lane = Lane(slots, work.begin)

    def start(self, attempts: list[Attempt]) -> None:
        self._lane.start(attempts)

    def cancel(self, attempt: Attempt) -> None:
        self._work.cancel(attempt)

    def left(self, attempt: Attempt) -> None:
        self._lane.left()

    def fill(self) -> None:
        self._lane.fill()

    async def close(self, grace_s: float) -> None:
        """The work loop is closed by its owner."""


class Watching:
    """What the executor does with dispatches that have a `watch`."""

    def __init__(self, clock: Clock, *, node: str, build: str) -> None:
        self._clock = clock
        self._node = node
        self._build = build
        self._runners: Mapping[TaskKind, Runner] = {}
        self._rates = Rates()
        self._watches: dict[Token, Watched] = {}
        self._heap: list[tuple[float, int, tuple[Watched, ...], bool]] = []
        self._numbers = itertools.count()
        self._alarm: Callable[[], None] | None = None
        self._alarm_at = 0.0
        self._under_way = 0
        self._untold: list[Report] = []

    def open(self, work: WorkLoop, outbox: Handover[Attempt], report: Callable[[list[Report]], None]) -> None:
        """From now on `report` gets what is news, in batches, and never from within a call."""
        self._outbox = outbox
        self._report = report
        self._loop = asyncio.get_running_loop()
        polls = Polls(work, POLLS_AT_ONCE)
        threads = Threads(POLL_THREADS, work.run_coroutine)
        self._runners = {"async": polls, "thread": threads, "process": threads}

    def __len__(self) -> int:
        return len(self._watches)

    def __iter__(self) -> Iterator[Token]:
        return iter(self._watches)

    @property
    def polling(self) -> bool:
        """Whether anything is being looked at just now."""
        return self._under_way > 0

    @property
    def untold(self) -> bool:
        """Whether there is something that the engine is about to be told."""
        return bool(self._untold)

    def start(self, dispatches: Sequence[tuple[Dispatch, TaskDefinition]]) -> None:
        now = self._clock.now()
        spread = len(dispatches) >= SPREAD_FROM
        for dispatch, definition in dispatches:
            assert dispatch.watch is not None
            watched = Watched(dispatch, dispatch.watch, definition, now)
            self._watches[dispatch.token] = watched
            share = 1.0 if spread else watched.watch.jitter
            first_s = watched.interval_s if watched.watch.first_s is None else watched.watch.first_s
            self._put(now + first_s * (1 - share * watched.chance()), (watched,))
        self._arm(now)

    def cancel(self, token: Token) -> bool:
        """End the watch of this token, if there is one; a poll under way is ended too, and nobody hears of it."""
        watched = self._watches.pop(token, None)
        if watched is None:
            return False
        watched.over = True
        attempt = watched.attempt
        if attempt is not None and len(attempt.watched) == 1:
            _end_early(attempt)
        now = self._clock.now()
        self._tell(
            AttemptEnded(token, failure=_CANCELLED, node=self._node, started_at=watched.started_at, ended_at=now)
        )
        return True

    def close(self) -> None:
        """Watch nothing more and report nothing more: the next incarnation does."""
        for watched in self._watches.values():
            watched.over = True
            if watched.attempt is not None:
                _end_early(watched.attempt)
        self._watches.clear()
        self._heap.clear()
        self._untold.clear()
        if self._alarm is not None:
            self._alarm()
            self._alarm = None

    async def end(self, grace_s: float) -> None:
        for runner in dict.fromkeys(self._runners.values()):
            await runner.close(grace_s)

    def fill(self) -> None:
        """Use the slots that have become free."""
        for runner in dict.fromkeys(self._runners.values()):
            runner.fill()

    def polled(self, attempt: Attempt, reports: list[Report]) -> None:
        """A poll is over (or given up, which is the same to the watch)."""
        attempt.reported = True
        self._under_way -= 1
        failure = attempt.failure if attempt.finished else attempt.cause
        results, failure = _results(attempt, failure)
        now = self._clock.now()
        for watched, result in zip(attempt.watched, results, strict=True):
            watched.attempt = None
            if watched.over:
                continue
            news = watched.found(result) if failure is None else watched.failed(failure)
            if news:
                self._end(watched, result, failure, now, reports)
            else:
                spread = 1 + watched.watch.jitter * (2 * watched.chance() - 1)
                self._put(now + watched.interval_s * spread, (watched,))
        self._arm(now)

    def _end(self, watched: Watched, result: Raw, failure: Failure | None, now: float, reports: list[Report]) -> None:
        watched.over = True
        token = watched.dispatch.token
        del self._watches[token]
        reports.append(AttemptEnded(token, result, failure, "", self._node, watched.started_at, now, self._build))

    def _tell(self, report: Report) -> None:
        if not self._untold:
            self._loop.call_soon(self._tell_all)
        self._untold.append(report)

    def _tell_all(self) -> None:
        untold, self._untold = self._untold, []
        if untold:
            self._report(untold)

    # --- the heap and its timer

    def _put(self, at: float, watched: tuple[Watched, ...], *, granted: bool = False) -> None:
        heapq.heappush(self._heap, (at, next(self._numbers), watched, granted))

    def _arm(self, earliest: float) -> None:
        """See to it that the timer goes off when the next watch is due, but not before `earliest`."""
        if not self._heap:
            return
        at = max(self._heap[0][0], earliest)
        if self._alarm is not None:
            if self._alarm_at <= at:
                return
            self._alarm()
        self._alarm_at = at
        self._alarm = self._clock.call_at(at, self._time_passed)

    def _time_passed(self) -> None:
        self._alarm = None
        now, heap = self._clock.now(), self._heap
        ready: list[tuple[Watched, ...]] = []
        grouped: dict[str, list[Watched]] = {}
        count = 0
        while heap and heap[0][0] <= now and count < BEGUN_AT_ONCE:
            _, _, several, granted = heapq.heappop(heap)
            due = tuple([watched for watched in several if not watched.over])
            count += len(due)
            if not due:
                continue
            if granted or not _shares(due[0].definition):
                ready.append(due)
            else:
                grouped.setdefault(due[0].definition.name, []).extend(due)
        for group in grouped.values():
            ready += self._within_rate(group, now)
        self._begin(ready)
        more = bool(heap) and heap[0][0] <= now
        self._arm(now if more else now + TICK_S)

    def _within_rate(self, group: list[Watched], now: float) -> Iterable[tuple[Watched, ...]]:
        """Those that may be polled at once, put together as far as they can be; the others take places in line."""
        definition = group[0].definition
        size = 1 if definition.batch is None else BATCH_MAX
        for i in range(0, len(group), size):
            chunk = tuple(group[i : i + size])
            at = now
            if definition.rate is not None:
                at = self._rates.reserve(*definition.rate, now)
            if at <= now:
                yield chunk
            else:
                self._put(at, chunk, granted=True)

    def _begin(self, ready: list[tuple[Watched, ...]]) -> None:
        batches: dict[Runner, list[Attempt]] = {}
        for several in ready:
            definition, dispatch = several[0].definition, several[0].dispatch
            batch = definition.batch
            if batch is not None:
                definition, dispatch = batch, _together(several, batch)
            runner = self._runners[definition.kind]
            attempt = Attempt(dispatch, definition, runner, self._clock, self._outbox.put)
            attempt.watched = several
            for watched in several:
                watched.attempt = attempt
                watched.polls += 1
            batches.setdefault(runner, []).append(attempt)
        self._under_way += len(ready)
        for runner, attempts in batches.items():
            runner.start(attempts)


def _end_early(attempt: Attempt) -> None:
    if attempt.finished or attempt.cause is not None:
        return
    attempt.cause = _CANCELLED
    if attempt.placed:
        attempt.runner.cancel(attempt)
    else:
        attempt.failure = _CANCELLED
        attempt.finish()


def _shares(definition: TaskDefinition) -> bool:
    return definition.batch is not None or definition.rate is not None


def _together(several: tuple[Watched, ...], batch: TaskDefinition) -> Dispatch:
    """The call of `poll_many` with the handles of all of them."""
    first = several[0].dispatch
    handles = [_decode_args(watched.dispatch.args).args[0] for watched in several]
    args = Raw(msgspec.json.encode({"args": [handles], "kwargs": {}}))
    return Dispatch(first.token, batch.name, args, first.options, first.idempotency_key)


def _results(attempt: Attempt, failure: Failure | None) -> tuple[Sequence[Raw], Failure | None]:
    """What was found of each watch of the poll, or why nothing was."""
    count = len(attempt.watched)
    if failure is not None:
        return [NULL] * count, failure
    if attempt.definition is attempt.watched[0].definition:
        return [attempt.result], None
    results = _decode_parts(attempt.result)
    if len(results) != count:
        why = f"{attempt.definition.name} was given {count} handles and must say as many results, not {len(results)}"
        return [NULL] * count, Failure("BadInput", why, final=True)
    return results, None
