"""The load: clients that go on starting runs and telling things, and what they were told in return.

Only what was acknowledged counts as promised. A call that ended in an error may have been carried out or not; the
checks allow both.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter as Counts

import msgspec

from benchmarks.chaos.app import LOCKS, Counter, Listener, chain, family, locked, naps
from understudy import Client
from understudy.errors import UnderstudyError

COUNTERS = 8
TOLD = 5
"""Things that each listener hears."""


class Promised(msgspec.Struct):
    """`runs`: what each acknowledged run is to return (None: whatever it is). `added`: to each counter, acknowledged,
    and `unsure` ones, whose call failed. `failed`: calls, by the kind of error."""

    runs: dict[str, object] = {}
    added: dict[str, int] = {}
    unsure: dict[str, int] = {}
    failed: Counts[str] = msgspec.field(default_factory=Counts[str])


class Load:
    """`pace_s` between two runs of one of the `users`."""

    def __init__(self, client: Client, seed: int, pace_s: float = 0.05) -> None:
        self.promised = Promised()
        self._client = client
        self._random = random.Random(f"load {seed}")
        self._pace_s = pace_s
        self._count = 0
        self._over = asyncio.Event()

    def stop(self) -> None:
        self._over.set()

    async def run(self, users: int) -> None:
        """Until it is stopped."""
        async with asyncio.TaskGroup() as group:
            for _ in range(users):
                group.create_task(self._user())

    async def _user(self) -> None:
        while not self._over.is_set():
            for act in (self._start, self._listen, self._add):
                try:
                    await act()
                except UnderstudyError as error:
                    self.promised.failed[type(error).__name__] += 1
            await asyncio.sleep(self._pace_s * self._random.uniform(0.5, 1.5))

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
        for number in range(TOLD):
            while True:
                try:
                    await listener.tell(Listener.hear, number)
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
