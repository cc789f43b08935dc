"""The application whose journals are kept.

Journals of every release are loaded with it for ever: add to it, never change it.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Final

from understudy import Actor, App, Retry, handler, readonly, wait_until

app = App("shop")

PACKING_BEGAN: Final = threading.Event()
PACKING_MAY_END: Final = threading.Event()
LARGE: Final = "x" * 40_000


class OutOfStock(Exception):
    pass


@app.task
async def price(item: str) -> int:
    return len(item) * 100


@app.task(retry=Retry(attempts=3, first="1ms"))
async def flaky(item: str) -> str:
    raise OutOfStock(item)


@app.task
async def label(item: str) -> str:
    return item + LARGE


@app.task
def pack(item: str) -> str:
    PACKING_BEGAN.set()
    PACKING_MAY_END.wait()
    return f"packed {item}"


@app.workflow
async def quote(items: list[str]) -> int:
    """Ends at once: tasks side by side, a child run for each price, a timer."""
    prices = await asyncio.gather(*(child_quote(item) for item in items))
    await asyncio.sleep(0.001)
    return sum(prices)


@app.workflow
async def child_quote(item: str) -> int:
    return await price(item)


@app.workflow
async def out_of_stock(item: str) -> str:
    """Fails, after three attempts."""
    return await flaky(item)


@app.workflow
async def labelled(item: str) -> int:
    """Has a result too large for the journal's row."""
    return len(await label(item))


@app.workflow
class Purchase:
    """Waits for a person, in a parked run; then for a task."""

    def __init__(self) -> None:
        self.verdict: str | None = None

    async def run(self, item: str) -> str:
        cents = await price(item)
        verdict = await wait_until(lambda: self.verdict)
        return f"{verdict} at {cents}: {await pack(item)}"

    @handler
    def decide(self, verdict: str) -> None:
        self.verdict = verdict


@app.actor
class Stock(Actor):
    count: int = 0

    @handler
    async def add(self, n: int) -> int:
        self.count += n
        return self.count

    @readonly
    def current(self) -> int:
        return self.count
