"""The order of a run's steps, the same under every version of CPython.

A journal that was written under one version is replayed under another, so the passes that asyncio's own coroutines take
are part of the format. A run follows the order of CPython 3.13, which later versions keep. Where the process has an
older one, what differs is brought to that order here:

    gather              3.11 takes one pass more where an argument is done already
    wait_for            3.11 runs what it waits for in a task of its own
    Condition.wait      before 3.13 a waiter that is cancelled after it was notified does not notify the next one

One difference stays. Before 3.13 a TaskGroup that fails while its own task is being cancelled loses that cancellation,
and `Task.uncancel` does not take back one that has not arrived; nothing outside of CPython can mend that. A run that
depends on it and is replayed under a version on the other side of 3.13 is held as diverged.

The first journals were written in whatever order the process had. So a run that does not fit the order of 3.13 is
replayed in the older ones, and goes on in the one that it fits (`ORDERS`).

Importing this module puts its functions in the place of asyncio's. Outside a run's turn they do what asyncio's do.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

from understudy_runtime.core.ports import Order
from understudy_runtime.execution.program.asyncio_internals import gathering_future, redirect, running_loop
from understudy_runtime.execution.program.loop import WorkflowLoop

T = TypeVar("T")

_VERSION: Final = sys.version_info[:2]
_OWN: Final[Order] = "3.11" if _VERSION < (3, 12) else "3.12" if _VERSION < (3, 13) else "3.13"
"""The order that asyncio itself has in this process."""

ORDERS: Final[tuple[Order, ...]] = ("3.13", "3.12", "3.11") if _OWN != "3.13" else ("3.13", "3.11")
"""All that a journal may have been written in, the usual one first. From 3.13 on only the older `gather` and `wait_for`
are brought back: what `Condition.wait` did was a fault."""


def _order() -> Order:
    """That of the calling turn's run; asyncio's own outside of turns."""
    loop = running_loop()
    return loop.order if isinstance(loop, WorkflowLoop) else _OWN


def _has(order: Order) -> bool:
    """Whether asyncio's own `gather` and `wait_for` keep this order."""
    return (order == "3.11") == (_OWN == "3.11")


# --- gather


def _gather(*coros_or_futures: Any, return_exceptions: bool = False) -> asyncio.Future[list[Any]]:
    order = _order()
    if _has(order):
        outer: asyncio.Future[list[Any]] = _gather_of_asyncio(*coros_or_futures, return_exceptions=return_exceptions)
        return outer
    return _gathered(coros_or_futures, return_exceptions, at_once=order != "3.11")


def _gathered(given: tuple[Any, ...], return_exceptions: bool, *, at_once: bool) -> asyncio.Future[list[Any]]:
    """`at_once`: what is done already counts now, not in the next pass."""
    loop = asyncio.get_running_loop()
    if not given:
        nothing: asyncio.Future[list[Any]] = loop.create_future()
        nothing.set_result([])
        return nothing
    futures = {each: asyncio.ensure_future(each, loop=loop) for each in dict.fromkeys(given)}
    children = [futures[each] for each in given]
    outer = gathering_future(children, loop)
    gathering = _Gathering(outer, children, len(futures), return_exceptions)
    for future in futures.values():
        if not (at_once and future.done()):
            future.add_done_callback(gathering.ended)
    for future in futures.values():
        if at_once and future.done():
            gathering.ended(future)
    return outer


class _Gathering:
    """What becomes of one `gather`, while its children end."""

    def __init__(
        self, outer: asyncio.Future[list[Any]], children: list[asyncio.Future[Any]], left: int, return_exceptions: bool
    ) -> None:
        self._outer = outer
        self._children = children
        self._left = left
        self._return_exceptions = return_exceptions

    def ended(self, child: asyncio.Future[Any]) -> None:
        self._left -= 1
        if not child.cancelled() and child.exception() is None:
            if self._left == 0 and not self._outer.done():
                self._end()
            return
        failure = _failure(child)  # looked at, so that nobody is told that it was never retrieved
        if self._outer.done():
            return
        if failure is not None and not self._return_exceptions:
            self._outer.set_exception(failure)
        elif self._left == 0:
            self._end()

    def _end(self) -> None:
        if getattr(self._outer, "_cancel_requested", False):
            last = self._children[-1]
            self._outer.set_exception((_failure(last) if last.cancelled() else None) or asyncio.CancelledError())
        else:
            self._outer.set_result([_outcome(child) for child in self._children])


def _outcome(done: asyncio.Future[Any]) -> Any:
    failure = _failure(done)
    return done.result() if failure is None else failure


def _failure(done: asyncio.Future[Any]) -> BaseException | None:
    """What it ended with, if that was no result; from then on it counts as looked at."""
    if not done.cancelled():
        return done.exception()
    try:
        done.result()
    except asyncio.CancelledError as cancelled:
        return cancelled
    return None


# --- wait_for


async def _wait_for(fut: Awaitable[T], timeout: float | None) -> T:
    order = _order()
    if _has(order):
        result: T = await _wait_for_of_asyncio(fut, timeout)
        return result
    if timeout is not None and timeout <= 0:
        return await _at_once_or_never(asyncio.ensure_future(fut))
    if order != "3.11":
        async with asyncio.timeout(timeout):
            return await fut
    if timeout is None:
        return await fut
    return await _in_a_task(asyncio.ensure_future(fut), timeout)


async def _at_once_or_never(future: asyncio.Future[T]) -> T:
    if future.done():
        return future.result()
    await _cancel_and_wait(future)
    try:
        return future.result()
    except asyncio.CancelledError as late:
        raise TimeoutError from late


async def _in_a_task(future: asyncio.Future[T], timeout: float) -> T:
    """As 3.11 does it: the waiter is told by a timer, or by a callback of the future."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    timer = loop.call_later(timeout, _release, waiter)

    def ended(_: object) -> None:
        _release(waiter)

    future.add_done_callback(ended)
    try:
        try:
            await waiter
        except asyncio.CancelledError:
            if future.done():
                return future.result()
            future.remove_done_callback(ended)
            await _cancel_and_wait(future)
            raise
        if future.done():
            return future.result()
        future.remove_done_callback(ended)
        return await _at_once_or_never(future)
    finally:
        timer.cancel()


async def _cancel_and_wait(future: asyncio.Future[Any]) -> None:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ended(_: object) -> None:
        _release(waiter)

    future.add_done_callback(ended)
    try:
        future.cancel()
        await waiter
    finally:
        future.remove_done_callback(ended)


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


# --- Condition, where the process has an older version than 3.13


async def _wait_for_notice(condition: asyncio.Condition) -> Any:
    if not condition.locked():
        return await _wait_for_notice_of_asyncio(condition)  # which refuses
    try:
        return await _wait_for_notice_of_asyncio(condition)
    except BaseException:
        if _order() == "3.13":
            condition.notify()
        raise


# --- what takes the place of asyncio's code, so that whoever has imported a function by name gets here, too

understudy_gather: Any = _gather
understudy_wait_for: Any = _wait_for
"""The names under which `redirect` puts them into asyncio's own module, where the code below looks for them."""


def _forward_gather(*coros_or_futures: Any, return_exceptions: bool = False) -> Any:
    return understudy_gather(*coros_or_futures, return_exceptions=return_exceptions)


async def _forward_wait_for(fut: Any, timeout: float | None) -> Any:
    return await understudy_wait_for(fut, timeout)


_gather_of_asyncio: Any = redirect(asyncio.gather, _forward_gather, understudy_gather=understudy_gather)
_wait_for_of_asyncio: Any = redirect(asyncio.wait_for, _forward_wait_for, understudy_wait_for=understudy_wait_for)
_wait_for_notice_of_asyncio: Any = asyncio.Condition.wait

if _OWN != "3.13":
    _condition: Any = asyncio.Condition
    _condition.wait = _wait_for_notice
