"""Threads that an attempt starts belong to it, and so does what it gives to an executor.

A new thread begins with an empty context, so that `heartbeat()` and `task_info()` would not know in it whose they are:
a conversion that beats from a helper thread would time out. asyncio hands its context on by itself; `Thread.start` and
`ThreadPoolExecutor.submit` are made to do it here, for attempts only. A thread of a pool works for whoever has
submitted what it does just now, whoever it was started by.
"""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import wraps
from typing import Any

from understudy.context import AttemptContext, current_attempt

_ELSEWHERE: Any = getattr(concurrent.futures, "InterpreterPoolExecutor", ())
"""Pools of threads in other interpreters, with which no object is shared: an attempt cannot be heard from there."""


def install() -> None:
    """In this process, from now on. Once is enough."""
    if not hasattr(threading.Thread.start, "__wrapped__"):
        setattr(threading.Thread, "start", _inheriting(threading.Thread.start))  # noqa: B010 - a method, replaced
        setattr(ThreadPoolExecutor, "submit", _submitting(ThreadPoolExecutor.submit))  # noqa: B010


def _inheriting(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    @wraps(start)
    def start_within(self: threading.Thread) -> None:
        attempt = current_attempt.get()
        if attempt is not None:
            _begin_within(self, attempt)
        start(self)

    return start_within


def _begin_within(thread: threading.Thread, attempt: AttemptContext) -> None:
    body = thread.run

    def run() -> None:
        del thread.__dict__["run"]  # the thread's own again, and no cycle is left
        current_attempt.set(attempt)
        body()

    thread.__dict__["run"] = run


def _submitting(submit: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    @wraps(submit)
    def submit_within(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        attempt = current_attempt.get()
        if attempt is None or isinstance(self, _ELSEWHERE):
            return submit(self, fn, *args, **kwargs)
        nobodys = current_attempt.set(None)  # threads that this makes the pool start are the pool's
        try:
            return submit(self, _call_within, attempt, fn, args, kwargs)
        finally:
            current_attempt.reset(nobodys)

    return submit_within


def _call_within(attempt: AttemptContext, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    before = current_attempt.set(attempt)
    try:
        return fn(*args, **kwargs)
    finally:
        current_attempt.reset(before)
