"""What was promised, against what became of it."""

from __future__ import annotations

import asyncio
from collections import Counter as Counts
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.chaos.app import LOCKS, OUTSIDE, Counter, Diary
from benchmarks.chaos.load import CANCELLED, Load, Promised
from understudy import Client
from understudy.errors import RunCancelled, RunHeld, UnderstudyError, UnknownName
from understudy.remote.door import RemoteDoor

PAGE = 1_000
LOOKS = 32
"""Histories that are read at once."""


class Found(msgspec.Struct):
    """`lost`: acknowledged, and not there, or not as it was acknowledged, or not in the history: runs, what they were
    told, what was added and noted.

    `stuck`: runs and calls that had not ended in time after everything was healed, and runs that are held. `repeated`:
    attempts of tasks that were begun again, as they may be. `doubled`: things that were done twice although they must
    not be: told, added or noted twice, a fence given to two users, a lock that two had at once, by its journal or by
    what those saw who had it. `why` has the first few of all that is wrong.
    """

    lost: int = 0
    stuck: int = 0
    repeated: int = 0
    doubled: int = 0
    why: list[str] = []

    def wrong(self, kind: str, why: str) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.why) < 20:
            self.why.append(f"{kind}: {why}")


async def check(client: Client, load: Load, folder: Path, within_s: float) -> Found:
    found, promised = Found(), load.promised
    await asyncio.gather(*(_run(client, promised, name, found, within_s) for name in promised.runs))
    looking = asyncio.Semaphore(LOOKS)
    await asyncio.gather(*(_history(client, promised, name, found, looking) for name in promised.runs))
    for name in promised.added.keys() | promised.unsure.keys():
        await _counter(client, promised, name, found)
    for name, words in promised.noted.items():
        await _diary(client, name, words, found)
    for name in (*(f"lock-{number}" for number in range(LOCKS)), *(f"outside-{number}" for number in range(OUTSIDE))):
        await _lock(client, f"lock/{name}", found)
    _uses(folder, found)
    for wrong in load.witness.wrong:
        found.wrong("doubled", wrong)
    began = Counts(_lines(folder / "began.txt"))
    found.repeated = sum(began.values()) - len(began)
    return found


async def _run(client: Client, promised: Promised, name: str, found: Found, within_s: float) -> None:
    wanted = promised.runs[name]
    try:
        async with asyncio.timeout(within_s):
            result = await client.handle(name).result()
    except TimeoutError:
        try:
            described = await client.handle(name).describe()
            last = (await client.handle(name).history())[-2:]
            found.wrong("stuck", f"{name} is {described.status}: {described}; last: {last}")
        except UnknownName as error:
            found.wrong("lost", f"{name}: {error}")
        return
    except RunHeld as error:
        found.wrong("stuck", f"{name}: {error}")
        return
    except UnderstudyError as error:
        if not (wanted == CANCELLED and isinstance(error, RunCancelled)):
            found.wrong("lost", f"{name}: {type(error).__name__}: {error}")
        return
    if wanted is not None and result != wanted:
        found.wrong("lost" if _is_less(result, wanted) else "doubled", f"{name} came to {result}, not {wanted}")


def _is_less(result: Any, wanted: Any) -> bool:
    """Whether something is missing: in a list, or the end of what was to be cancelled."""
    if isinstance(wanted, list):
        return len(set(result)) < len(wanted)  # pyright: ignore[reportUnknownArgumentType]
    return bool(wanted == CANCELLED)


async def _history(client: Client, promised: Promised, name: str, found: Found, looking: asyncio.Semaphore) -> None:
    """What was acknowledged is in the journal: that it began, what it was told, that it was cancelled."""
    async with looking:
        turns = await client.handle(name).history()
    records = [record for turn in turns for record in turn.records]
    kinds = Counts(record["t"] for record in records)
    if kinds["ExecutionStarted"] != 1:
        found.wrong("lost" if not kinds["ExecutionStarted"] else "doubled", f"{name} began so often: {kinds}")
    if promised.runs[name] == CANCELLED and not kinds["CancelRequested"]:
        found.wrong("lost", f"{name} was cancelled, and its history says nothing of it: {kinds}")
    told = [record["args"]["args"][0] for record in records if record["t"] == "Delivered"]
    for number in promised.heard.get(name, ()):
        if number not in told:
            found.wrong("lost", f"{name} was told {number}, and its history has only {told}")


async def _diary(client: Client, name: str, words: list[str], found: Found) -> None:
    noted = await client.ask(Diary.at(name), Diary.read)
    known = set(words)
    if len(noted) != len(set(noted)):
        found.wrong("doubled", f"{name} has {noted}, of {words}")
    elif [word for word in noted if word in known] != words:
        found.wrong("lost", f"{name} has {noted}, of {words}")


async def _counter(client: Client, promised: Promised, name: str, found: Found) -> None:
    value = await client.ask(Counter.at(name), Counter.add, 0)
    added, unsure = promised.added.get(name, 0), promised.unsure.get(name, 0)
    if value < added:
        found.wrong("lost", f"{name} is {value}, and {added} were acknowledged")
    if value > added + unsure:
        found.wrong("doubled", f"{name} is {value}, of {added} acknowledged and {unsure} unsure ones")


async def _lock(client: Client, address: str, found: Found) -> None:
    """By its journal, as one after the other had it."""
    assert isinstance(client.door, RemoteDoor)
    held: set[int] = set()
    seq, last = 0, 0
    while True:
        try:
            turns = await client.door.resource_history(address, seq, PAGE)
        except UnknownName:
            return  # nobody wanted it
        if not turns:
            return
        for turn in turns:
            seq = turn.seq
            for record in turn.records:
                if record["t"] == "LeaseGranted":
                    if held or record["fence"] <= last:
                        found.wrong("doubled", f"{address} turn {seq}: {record} while {held} held it, after {last}")
                    last = record["fence"]
                    held.add(last)
                elif record["t"] == "LeaseOver":
                    held.discard(record["fence"])


def _uses(folder: Path, found: Found) -> None:
    """A fence that two users had; what was done under a smaller fence after a larger one had been seen is refused by
    the system that is told the fence, and is not counted."""
    users: dict[tuple[str, int], str] = {}
    for line in _lines(folder / "used.txt"):
        name, fence, user, *_ = line.split()
        if users.setdefault((name, int(fence)), user) != user:
            found.wrong("doubled", f"fence {fence} of {name} was {users[name, int(fence)]}'s and {user}'s")


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
