"""Tasks for the executor's tests: each says with a heartbeat that it has begun, then does what its name says."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from understudy import App, Retry, heartbeat, task_info
from understudy.context import current_attempt

app = App("sample")
gate = threading.Event()
"""What `waits_for_gate` waits for."""


class Declined(Exception):
    pass


@app.task
async def echo(value: int) -> int:
    return value


@app.task
async def pauses(value: int) -> int:
    await asyncio.sleep(0)
    return value


@app.task
async def forever() -> None:
    heartbeat("begun")
    await asyncio.Event().wait()


@app.task
async def cleans_up() -> None:
    heartbeat("begun")
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        heartbeat("cleaned up")


@app.task
async def finishes_anyway() -> str:
    heartbeat("begun")
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    return "done after all"


@app.task
async def fails_while_cancelled() -> None:
    heartbeat("begun")
    try:
        await asyncio.Event().wait()
    finally:
        raise Declined("in the clean-up")


@app.task
async def ignores_cancellation() -> None:
    heartbeat("begun")
    while not gate.is_set():
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.001)


@app.task
async def beats_for(times: int) -> str:
    for step in range(times):
        heartbeat(step)
        await asyncio.sleep(0.02)
    return "alive all the time"


@app.task
async def waits_for_gate() -> str:
    heartbeat("begun")
    gate.wait()
    return "released"


@app.task(raises=(Declined,), retry=Retry(final=[KeyError]))
async def fails(kind: str) -> None:
    errors = {
        "declined": Declined("card", 3),
        "key": KeyError("missing"),
        "exit": SystemExit(3),
        "cancelled": asyncio.CancelledError("of its own accord"),
    }
    raise errors.get(kind, ValueError("boom"))


@app.task
async def loses_a_child_task() -> None:
    async def leaves() -> None:
        raise SystemExit(4)

    await asyncio.create_task(leaves())


@app.task
async def returns_anything() -> Any:
    return object()


@app.task
async def who() -> dict[str, Any]:
    info = task_info()
    return {"key": info.key, "run": info.run_id, "attempt": info.attempt, "progress": info.progress}


@app.task
async def beats_then_fails() -> None:
    for step in range(100):
        heartbeat(step)
    raise ValueError("after 100 steps")


@app.task
async def beats_once_more() -> None:
    heartbeat("begun")
    await asyncio.to_thread(gate.wait)
    heartbeat("once more")
    await asyncio.Event().wait()


@app.task
async def beats_with(characters: int) -> None:
    heartbeat("x" * characters)


@app.task
async def knows_where_it_is() -> bool:
    return current_attempt.get() is not None and threading.current_thread().name == "understudy-work"


# --- threads


@app.task
def thread_echo(value: int) -> int:
    return value


@app.task
def thread_is_daemon() -> bool:
    return threading.current_thread().daemon


@app.task
def thread_waits_for_gate() -> str:
    heartbeat("begun")
    gate.wait()
    return "released"


@app.task
def thread_beats_until_stopped() -> None:
    heartbeat("begun")
    while True:
        gate.wait()
        heartbeat("going on")


@app.task
def thread_fails(kind: str) -> None:
    raise SystemExit(1) if kind == "exit" else StopIteration(kind)


async def _wrapped(kind: str) -> Any:
    heartbeat("begun")
    if kind == "echo":
        return [asyncio.get_running_loop() is sample_loop[0], task_info().task]
    if kind == "fail":
        raise Declined("no")
    if kind == "exit":
        raise SystemExit(1)
    try:
        await asyncio.Event().wait()
    finally:
        seen.append("cleaned up")


sample_loop: list[Any] = [None]
"""The work loop."""
seen: list[str] = []


@app.task
async def notes_loop() -> None:
    sample_loop[0] = asyncio.get_running_loop()


@app.task(name="wrapped")
@functools.wraps(_wrapped)
def wrapped(*args: Any, **kwargs: Any) -> Any:
    return _wrapped(*args, **kwargs)


@app.task
def unnamed_wrapper(kind: str) -> Any:
    return _wrapped(kind)


@app.task(name="runs_itself")
@functools.wraps(_wrapped)
def runs_itself(*args: Any, **kwargs: Any) -> Any:
    return asyncio.run(_wrapped(*args, **kwargs))


@app.task
def changes(kind: str) -> Any:
    return {"tuple": (1, 2), "set": {1}, "keys": {1: "a"}, "raw": object(), "fits": [1]}[kind]


@app.task
def beats_with_a(kind: str) -> None:
    heartbeat({"tuple": (1, 2), "set": {1}, "name": "caf\udce9"}[kind])
    gate.wait()


@app.task
def progress_is_name() -> bool:
    return bool(task_info().progress == "caf\udce9")


# --- processes


@app.task(isolate="process")
def process_changes(kind: str) -> Any:
    return changes.fn(kind)


@app.task(name="process_wrapped", isolate="process")
@functools.wraps(_wrapped)
def process_wrapped(*args: Any, **kwargs: Any) -> Any:
    return _wrapped(*args, **kwargs)


@app.task(isolate="process")
def process_echo(value: int) -> int:
    return value


@app.task(isolate="process")
def process_id() -> int:
    return os.getpid()


@app.task(isolate="process")
def process_forever() -> None:
    heartbeat(os.getpid())
    while True:
        time.sleep(60)


@app.task(isolate="process")
def process_computes_forever() -> None:
    heartbeat(os.getpid())
    while True:
        pass


@app.task(isolate="process")
def process_holds_the_lock_forever() -> None:
    heartbeat(os.getpid())
    ctypes.PyDLL(None).pause()  # unlike CDLL, this keeps the interpreter lock


@app.task(isolate="process")
def process_with_offspring() -> None:
    offspring = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    heartbeat([os.getpid(), offspring.pid])
    offspring.wait()


@app.task(isolate="process")
def process_dies() -> None:
    os._exit(7)


@app.task(isolate="process", memory_mb=100)
def process_needs_memory(megabytes: int) -> int:
    return len(bytearray(megabytes * 1024 * 1024))


@app.task(isolate="process")
def process_fails(kind: str) -> None:
    if kind == "exit":
        raise SystemExit(2)
    heartbeat("step 1")
    heartbeat("step 2")
    raise Declined("in a process")


@app.task(isolate="process")
def process_answers(size: int) -> str:
    return "x" * size


@app.task(isolate="process")
async def process_coroutine(value: int) -> int:
    await asyncio.sleep(0)
    return value


@app.task(isolate="process")
def process_surroundings() -> dict[str, Any]:
    return {
        "modules": [name for name in sys.modules if name.partition(".")[0] in ("typer", "rich", "sqlite3")]
        + [
            name for name in sys.modules if name.startswith(("understudy_runtime.actors", "understudy_runtime.storage"))
        ],
        "pythonpath": os.environ.get("PYTHONPATH"),
        "progress": task_info().progress,
    }


@app.task(isolate="process")
async def process_starts_a_node() -> None:
    from understudy_runtime.execution.executor import LocalExecutor
    from understudy_runtime.node.clocks import SystemClock

    LocalExecutor({}, SystemClock()).open(print)


@app.task(isolate="process")
def process_prints(text: str) -> None:
    print(text)


@app.task(isolate="process")
def process_measures(text: str) -> int:
    return len(text)


@app.task(isolate="process")
def process_hangs_on(number: int, bad: int) -> None:
    if number == bad:
        heartbeat("begun")
        time.sleep(600)
