"""A run whose turn calls C code that neither returns nor lets any other thread of its process run; and others."""

from __future__ import annotations

import asyncio
import ctypes

from understudy import App

app = App("wedging")


@app.task
async def add(a: int, b: int) -> int:
    return a + b


@app.workflow
async def wedges() -> None:
    await add(1, 1)
    # As a pattern that backtracks for ever does, but without taking a core from the nodes that are to take over.
    ctypes.PyDLL(None).sleep(1_000_000)


@app.workflow
async def patient(number: int) -> int:
    await asyncio.sleep(2)
    for _ in range(10):
        number = await add(number, 1)
    return number
