"""A run followed to its end, in an embedded node or through any other door.

The first Ctrl-C (or a SIGTERM) closes the node in good order: what was durable stays, attempts under way are
given up and will be repeated, and the command to go on with is printed. The second one leaves at once, which costs
no more than a crash: nothing.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from typing import Any

import msgspec

from understudy import Client
from understudy.door import Door, Outcome
from understudy.target import WorkflowTarget
from understudy_runtime.cli.begin import Begin
from understudy_runtime.cli.output import INTERRUPTED, note
from understudy_runtime.cli.place import Place
from understudy_runtime.cli.progress import progress
from understudy_runtime.node.embedded import open_embedded


class Interrupted(Exception):
    """A person wanted to leave before the run had ended; how to go on has been printed."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id


class Following(msgspec.Struct, frozen=True):
    """What to follow: `spec` is the target as it was typed, `options` what the command to go on with must repeat."""

    target: WorkflowTarget
    spec: str
    place: Place
    options: tuple[str, ...] = ()

    def how_to_go_on(self, run_id: str) -> str:
        if self.place.file is None:
            return f"interrupted; run {run_id} was kept in memory only and is gone"
        command = ["understudy", "run", self.spec, "--id", run_id, *self.options]
        return f"interrupted; run {run_id} goes on with:\n  {shlex.join(command)}"


def follow(following: Following, begin: Begin) -> Outcome:
    """How the run that `begin` names ended. Interrupted if somebody did not want to wait for it."""
    # Not asyncio.run: it would wait for threads that user code has left behind.
    return asyncio.new_event_loop().run_until_complete(_follow(following, begin))


async def _follow(following: Following, begin: Begin) -> Outcome:
    leaving = leave_on_signals()
    place = following.place
    apps = (following.target.app,)
    async with open_embedded(apps, place.store, namespace=place.namespace, schedules=False) as door:
        client = Client(door, apps)
        run_id = await begin(client)
        outcome = await until_ended(client.door, run_id, following.target.workflow.name, leaving)
        if outcome is None:
            note(following.how_to_go_on(run_id))
            raise Interrupted(run_id)
        return outcome


async def until_ended(door: Door, run_id: str, title: str, leaving: asyncio.Future[None]) -> Outcome | None:
    """Show how the run gets on until it has ended; None if somebody wants to leave before that."""
    end = asyncio.ensure_future(door.wait(run_id))
    either: list[asyncio.Future[Any]] = [end, leaving]
    try:
        with progress(title) as shown:
            while not (end.done() or leaving.done()):
                shown.show(await door.describe(run_id))
                await asyncio.wait(either, timeout=shown.interval_s, return_when=asyncio.FIRST_COMPLETED)
            shown.show(await door.describe(run_id))
        return await end if end.done() else None
    finally:
        end.cancel()


def leave_on_signals() -> asyncio.Future[None]:
    """Done at the first signal; the second one ends the process."""
    loop = asyncio.get_running_loop()
    leaving: asyncio.Future[None] = loop.create_future()

    def leave() -> None:
        if leaving.done():
            os._exit(INTERRUPTED)
        leaving.set_result(None)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, leave)
    return leaving
