"""The load: clients that go on starting runs and telling things, and what they were told in return.

Only what was acknowledged counts as promised. A call that ended in an error may have been carried out or not; the
checks allow both.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter as Counts
from collections.abc import Coroutine

import msgspec

from benchmarks.chaos.app import LOCKS, OUTSIDE, Counter, Diary, Listener, chain, family, locked, naps
from understudy import Client, lock
from understudy.errors import LeaseLost, UnderstudyError

COUNTERS = 8
TOLD = 5
"""Things that each listener hears."""
PAGE_WORDS = 50
"""Words in one diary."""
HOLDERS = 4
"""Programs outside that want the same locks."""
TTL = "3s"
CANCELLED = "cancelled"


class Promised(msgspec.Struct):
    """`runs`: what each acknowledged run is to return (None: whatever it is; CANCELLED: it was told to end). `heard`:
    what each listener was told. `added`: to each counter, acknowledged, and `unsure` ones, whose call failed. `noted`:
    in each diary, in their order. `failed`: calls, by the kind of error."""

    runs: dict[str, object] = {}
    heard: dict[str, list[int]] = {}
    added: dict[str, int] = {}
    unsure: dict[str, int] = {}
    noted: dict[str, list[str]] = {}
    failed: Counts[str] = msgspec.field(default_factory=Counts[str])


class Witness:
    """Sees who is inside of which lock, without asking the cluster. `wrong` is what must never be seen."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.grants = 0
        self._inside: dict[str, int] = {}
        self._last: dict[str, int] = {}

    def enter(self, name: str, fence: int) -> None:
        self.grants += 1
        if name in self._inside:
            self.wrong.append(f"{name} was had with fences {self._inside[name]} and {fence} at once")
        if fence <= self._last.get(name, 0):
            self.wrong.append(f"{name} was had with fence {fence} after {self._last[name]}")
        self._inside[name] = self._last[name] = fence

    def leave(self, name: str, fence: int) -> None:
        if self._inside.get(name) == fence:
            del self._inside[name]


class Load:
    """`pace_s` between two runs of one of the users."""

    def __init__(self, client: Client, seed: int, pace_s: float = 0.05) -> None:
        self.promised = Promised()
        self.witness = Witness()
        self._client = client
        self._random = random.Random(f"load {seed}")
        self._pace_s = pace_s
        self._count = 0
        self._over = asyncio.Event()

    def stop(self) -> None:
        self._over.set()

    async def run(self, users: int) -> None:
        """Until it is stopped, and all that was asked has been answered."""
        async with asyncio.TaskGroup() as group:
            for number in range(users):
                group.create_task(self._user(number))
            for _ in range(HOLDERS):
                group.create_task(self._holder())

    async def _user(self, user: int) -> None:
        words = 0
        while not self._over.is_set():
            for act in (self._start, self._listen, self._add, self._cancel):
                await self._try(act())
            await self._try(self._note(f"diary-{user}-{words // PAGE_WORDS}", f"{words}"))
            words += 1
            await asyncio.sleep(self._pace_s * self._random.uniform(0.5, 1.5))

    async def _try(self, act: Coroutine[None, None, None]) -> None:
        try:
            await act
        except UnderstudyError as error:
            self.promised.failed[type(error).__name__] += 1

    def _next(self, shape: str) -> str:
        self._count += 1
        return f"{shape}-{self._count}"

    async def _start(self) -> None:
        steps, run_id = self._random.randint(1, 20), self._next("run")
        match self._random.randrange(4):
            case 0:
                await self._client.start(chain, steps, id=run_id)
                self.promised.runs[run_id] = steps
            case 1:
                await self._client.start(naps, 1 + steps // 4, id=run_id)
                self.promised.runs[run_id] = 1 + steps // 4
            case 2:
                await self._client.start(family, 3, steps, id=run_id)
                self.promised.runs[run_id] = 3 * steps
            case _:
                name = f"lock-{self._random.randrange(LOCKS)}"
                await self._client.start(locked, name, 3, run_id, id=run_id)
                self.promised.runs[run_id] = None

    async def _listen(self) -> None:
        run_id = self._next("listener")
        listener = await self._client.start(Listener, TOLD, id=run_id)
        self.promised.runs[run_id] = list(range(TOLD))
        heard = self.promised.heard[run_id] = []
        for number in range(TOLD):
            while True:
                try:
                    await listener.tell(Listener.hear, number)
                    heard.append(number)
                    break
                except UnderstudyError as error:
                    # Told again under another key: the first may have been heard, so its order is not promised.
                    self.promised.failed[type(error).__name__] += 1
                    self.promised.runs[run_id] = None

    async def _add(self) -> None:
        name = f"counter-{self._random.randrange(COUNTERS)}"
        try:
            await self._client.ask(Counter.at(name), Counter.add, 1)
        except UnderstudyError:
            self.promised.unsure[name] = self.promised.unsure.get(name, 0) + 1
            raise
        self.promised.added[name] = self.promised.added.get(name, 0) + 1

    async def _cancel(self) -> None:
        run_id = self._next("cancelled")
        run = await self._client.start(naps, 1_000, id=run_id)
        self.promised.runs[run_id] = CANCELLED
        while True:
            try:
                await run.cancel("no longer wanted")
                return
            except UnderstudyError as error:
                self.promised.failed[type(error).__name__] += 1

    async def _note(self, diary: str, word: str) -> None:
        await self._client.tell(Diary.at(diary), Diary.note, word)
        self.promised.noted.setdefault(diary, []).append(word)

    async def _holder(self) -> None:
        while not self._over.is_set():
            name = f"outside-{self._random.randrange(OUTSIDE)}"
            try:
                async with self._client.lease(lock(name), ttl=TTL) as held:
                    self.witness.enter(name, held.fence)
                    try:
                        await asyncio.sleep(self._random.uniform(0.0, 0.3))
                    finally:
                        self.witness.leave(name, held.fence)
            except LeaseLost:
                pass  # while no node was there to renew it
            except UnderstudyError as error:
                self.promised.failed[type(error).__name__] += 1
