"""Finished runs, replayed in another process: what `understudy dev` does with each of them.

A run that is replayed where it ran proves little: the same process has the same hash seed, so the order of sets
and whatever hangs on it is the same. The other process has another one. It is told histories, one JSON line each, and
answers how the code differs from them. Runs wait in a bounded queue; those that do not fit are skipped, with a word.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from understudy_runtime.core.keys import RUN, id_of, kind_of
from understudy_runtime.core.records import Turn
from understudy_runtime.node.bridge import Bridge

MAX_WAITING: Final = 1_000
MAX_TURNS: Final = 20_000
"""Longer histories are not checked: they would hold up all others."""
PROGRAM: Final = "understudy_runtime.node.replayer"
MAX_LINE_BYTES: Final = 2**20

log = structlog.get_logger("understudy.replay")


class ToReplay(msgspec.Struct, frozen=True):
    run: str
    turns: list[Turn]


class Replayed(msgspec.Struct, frozen=True):
    """`difference` None: the code does the same again."""

    run: str
    difference: str | None = None
    error: str = ""


class ReplayChecks:
    """Used on the caller's loop of `bridge`."""

    def __init__(self, bridge: Bridge, targets: Sequence[str]) -> None:
        self._bridge = bridge
        self._targets = targets
        self._keys: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)

    def add(self, key: str) -> None:
        """A run has ended. Never waits."""
        if kind_of(key) != RUN:
            return
        try:
            self._keys.put_nowait(key)
        except asyncio.QueueFull:
            log.warning("replay not checked: too many runs end at once", run=id_of(key))

    async def run(self) -> None:
        """Check one after the other, until cancelled."""
        process: Process | None = None
        try:
            while True:
                key = await self._keys.get()
                if process is None or process.returncode is not None:
                    process = await self._start()
                await self._check(process, key)
        finally:
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()

    async def _start(self) -> Process:
        seed = int.from_bytes(os.urandom(4), "big")
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            PROGRAM,
            *self._targets,
            stdin=PIPE,
            stdout=PIPE,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            limit=MAX_LINE_BYTES,
            start_new_session=True,  # Ctrl-C at the terminal is for the node, which ends this process itself
        )

    async def _check(self, process: Process, key: str) -> None:
        try:
            turns = await self._bridge.run(lambda engine: engine.history(key, 0, MAX_TURNS + 1))
            if len(turns) > MAX_TURNS:
                log.warning("replay not checked: the history is too long", run=id_of(key), most=MAX_TURNS)
                return
            _tell(await _replay(process, ToReplay(id_of(key), turns)))
        except Exception as error:
            log.error("replay not checked", run=id_of(key), exc_info=error)
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _replay(process: Process, history: ToReplay) -> Replayed:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(history) + b"\n")
    await process.stdin.drain()
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError("the replaying process has ended; its last words are above")
    return msgspec.json.decode(line, type=Replayed)


def _tell(replayed: Replayed) -> None:
    if replayed.error:
        log.warning("replay not checked", run=replayed.run, why=replayed.error)
    elif replayed.difference is None:
        log.info("replay agrees", run=replayed.run)
    else:
        log.error(
            "replay differs: this workflow's code is not deterministic, and its runs would be held when resumed",
            run=replayed.run,
            difference=replayed.difference,
        )
