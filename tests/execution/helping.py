"""Tasks that are helped by threads and executors, and say in them that they are alive and who they are."""

from __future__ import annotations

import _thread
import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from understudy import App, heartbeat, task_info

app = App("helping")
shared = ThreadPoolExecutor(2)
"""A pool that attempts share, whose threads the first of them makes it start."""
release = threading.Event()
over = threading.Event()
said: list[str] = []


def beat(word: str) -> str:
    heartbeat(word)
    return task_info().task


def by_thread(word: str) -> str:
    names: list[str] = []
    helper = threading.Thread(target=lambda: names.append(beat(word)))
    helper.start()
    helper.join()
    assert "run" not in vars(helper), "no cycle is left"
    return names[0]


def by_pool(word: str) -> str:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(beat, word).result()


def by_shared_pool(word: str) -> str:
    return shared.submit(beat, word).result()


def nested(word: str) -> str:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(by_thread, word).result()


def in_a_loop(word: str) -> str:
    async def ask() -> str:
        return await asyncio.get_running_loop().run_in_executor(None, beat, word)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, ask()).result()


WAYS: dict[str, Callable[[str], str]] = {
    each.__name__: each for each in (by_thread, by_pool, by_shared_pool, nested, in_a_loop)
}


@app.task
def in_thread(way: str) -> str:
    return WAYS[way](way)


@app.task(isolate="process")
def in_process(way: str) -> str:
    return WAYS[way](way)


@app.task
async def in_coroutine(way: str) -> str:
    return await asyncio.to_thread(WAYS[way], way)


@app.task
async def in_executor(way: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(None, WAYS[way], way)


@app.task
def helped_until_told() -> None:
    release.clear()
    by_thread("by a helper")
    release.wait()


@app.task
def unknown() -> str:
    """A thread that nothing is known of: refused, not lost."""
    said.clear()
    done = threading.Event()

    def try_it() -> None:
        for attempt in (heartbeat, task_info):
            try:
                attempt()
            except Exception as error:
                said.append(f"{type(error).__name__}: {error}")
        done.set()

    _thread.start_new_thread(try_it, ())
    done.wait()
    return "\n".join(said)


@app.task
def leaves_a_helper() -> None:
    def outlive() -> None:
        release.wait()
        try:
            heartbeat("too late")
        except Exception as error:
            said.append(str(error))
        over.set()

    release.clear()
    said.clear()
    threading.Thread(target=outlive, daemon=True).start()


@app.task
def forks() -> str:
    reads, writes = os.pipe()
    if os.fork() == 0:
        try:
            heartbeat("from a fork")
            os.write(writes, b"taken")
        except Exception as error:
            os.write(writes, str(error).encode())
        finally:
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        return pipe.read()
