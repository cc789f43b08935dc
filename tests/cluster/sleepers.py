"""Runs that wait for longer than any test: half of them for somebody to say something, half of them for a time."""

from __future__ import annotations

import asyncio

from understudy import App, handler, wait_until

app = App("sleepers")


@app.workflow
async def sleeper() -> None:
    await asyncio.sleep(30 * 86_400)


@app.workflow
class Waiter:
    """Ends with the word that it is told."""

    def __init__(self) -> None:
        self.word: str | None = None

    async def run(self) -> str:
        return await wait_until(lambda: self.word)

    @handler
    def hear(self, word: str) -> None:
        self.word = word
