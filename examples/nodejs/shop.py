"""Workflows in Python whose tasks are done by a worker in Node.js.

    understudy node shop.py
    npm install && node worker.js 127.0.0.1:7607
    node client.js 127.0.0.1:7607 greet '["hello", "world"]'

The node would run tasks that it has the code of; the label leaves these to workers that offer it. What a function here
declares is the name, the arguments and the result, which are checked; its body is never run.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

from understudy import App

app = App("nodejs")


def elsewhere() -> NoReturn:
    raise NotImplementedError("this task is in worker.js")


@app.task(labels=["nodejs"])
async def shout(words: list[str]) -> list[str]:
    elsewhere()


@app.task(labels=["nodejs"])
async def refuse(why: str) -> None:
    elsewhere()


@app.task(labels=["nodejs"], timeout="0.2s")
async def linger() -> None:
    elsewhere()


@app.workflow
async def greet(*words: str) -> str:
    loud, reverse = await asyncio.gather(shout(list(words)), shout(list(reversed(words))))
    return " ".join([*loud, *reverse])


@app.workflow
async def complain(why: str) -> None:
    await refuse(why)


@app.workflow
async def wait_for_nothing() -> None:
    await linger()
