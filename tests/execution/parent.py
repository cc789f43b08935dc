"""A program to be killed: runs the process tasks named in its arguments and prints the progress of each."""

from __future__ import annotations

import asyncio
import sys

from tests.execution.conftest import Desk


async def main(tasks: list[str]) -> None:
    desk = Desk()
    for token in desk.dispatch_all([(task,) for task in tasks]):
        print(await desk.begun(token), flush=True)
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1:]))
