"""What runs while nodes die: each shape leaves behind what tells whether anything was lost, or done twice.

What happens outside is written to files of the folder that all nodes run in: each line with one `write`, so that lines
of several processes do not mix.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

from understudy import Actor, App, handler, lock, task_info, wait_until

app = App("chaos")

LOCKS = 5
"""Names of locks that runs share."""
OUTSIDE = 2
"""Names of locks that programs outside share."""


def write(file: str, *words: object) -> None:
    line = " ".join(map(str, words)) + "\n"
    with Path(file).open("ab", buffering=0) as out:
        out.write(line.encode())


@app.task
async def step(number: int) -> int:
    write("began.txt", task_info().key)
    await asyncio.sleep(0.01)
    return number + 1


@app.task
async def use(name: str, fence: int, user: str) -> int:
    """Something that is done under a lock, in a system that is told the fence."""
    write("began.txt", task_info().key)
    accepted = accept(name, fence)
    write("used.txt" if accepted else "refused.txt", name, fence, user, task_info().key, os.getpid())
    await asyncio.sleep(0.02)
    return fence


def accept(name: str, fence: int) -> bool:
    """The outside system, which knows nothing of us: it takes no fence that is smaller than one it has seen."""
    with Path(f"{name}.fence").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        seen = [int(line) for line in file.read().split()]
        if seen and fence < seen[-1]:
            return False
        file.write(f"{fence}\n")
        return True


@app.workflow
async def chain(steps: int) -> int:
    number = 0
    for _ in range(steps):
        number = await step(number)
    return number


@app.workflow
async def naps(count: int) -> int:
    for _ in range(count):
        await asyncio.sleep(0.3)
    return await step(count - 1)


@app.workflow
async def family(children: int, steps: int) -> int:
    return sum(await asyncio.gather(*(chain(steps) for _ in range(children))))


@app.workflow
async def locked(name: str, times: int, user: str) -> list[int]:
    """The fences it had, each from a lease of its own."""
    fences: list[int] = []
    for _ in range(times):
        async with lock(name) as held:
            fences.append(await use(name, held.fence, user))
    return fences


@app.workflow
class Listener:
    """Ends when it has been told so many things; what they were, in the order in which it heard them."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    async def run(self, count: int) -> list[int]:
        await wait_until(lambda: len(self.heard) >= count)
        return self.heard

    @handler
    def hear(self, number: int) -> None:
        self.heard.append(number)


@app.actor
class Counter(Actor):
    value: int = 0

    @handler
    async def add(self, n: int) -> int:
        self.value += n
        return self.value


@app.actor
class Diary(Actor):
    words: list[str] = []

    @handler
    def note(self, word: str) -> None:
        self.words.append(word)

    @handler
    def read(self) -> list[str]:
        return self.words
