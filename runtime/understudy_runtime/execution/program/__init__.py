"""Runs workflow code: a deterministic event loop per run, in which plain asyncio is durable.

    loop.py       the loop: turns, passes, callbacks, eviction
    timers.py     its timers
    tasks.py      its tasks and futures, hashed by creation number and held until they are over
    ordering.py   order where asyncio and anyio would iterate by address
    asyncio_order.py      the order of asyncio's own coroutines, the same under every CPython
    asyncio_internals.py  what all this relies on beyond asyncio's documentation
    by_hand.py    futures and tasks that user code makes without the loop
    belonging.py  locks, events and queues of other runs are refused
    refusals.py   what is not durable
    ending.py     how tasks and generators are ended
    watchdog.py   steps that take too long are interrupted

Importing the package mends asyncio and anyio as `ordering`, `asyncio_order`, `by_hand` and
`belonging` say.
"""

from __future__ import annotations

from understudy_runtime.execution.program.asyncio_order import ORDERS
from understudy_runtime.execution.program.belonging import keep_apart
from understudy_runtime.execution.program.by_hand import make_by_the_loop
from understudy_runtime.execution.program.loop import WorkflowLoop
from understudy_runtime.execution.program.ordering import keep_order
from understudy_runtime.execution.program.tasks import RunFuture, RunTask
from understudy_runtime.execution.program.watchdog import Watchdog

keep_order()
make_by_the_loop()
keep_apart()

__all__ = ["ORDERS", "RunFuture", "RunTask", "Watchdog", "WorkflowLoop"]
