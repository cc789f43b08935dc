"""The ways a command can set a run going: each is what is asked of the node once it is open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from understudy import BadRequest, Client
from understudy.definitions import WorkflowDefinition
from understudy_runtime.cli.arguments import Arguments
from understudy_runtime.cli.output import note

Begin = Callable[[Client], Awaitable[str]]
"""Starts, resumes or otherwise moves a run, and says which it is."""


def start(workflow: WorkflowDefinition, given: Arguments, run_id: str | None) -> Begin:
    async def begin(client: Client) -> str:
        started = await client.door.start(workflow.name, given.encoded, given.digest, run_id=run_id, if_exists="return")
        note(f"started run {started.run_id}")
        return started.run_id

    return begin


def resume(run_id: str) -> Begin:
    """Go on with an open run. One that is held gets another chance: the code may have been put right."""

    async def begin(client: Client) -> str:
        note(f"going on with run {run_id}")
        with suppress(BadRequest):  # the code still does not fit: the run says so itself when it is waited for
            await client.handle(run_id).release()
        return run_id

    return begin


def retry(run_id: str, given: Arguments | None, redo: Sequence[str], keep: Sequence[str]) -> Begin:
    async def begin(client: Client) -> str:
        encoded, digest = given or (None, "")
        await client.door.retry(run_id, encoded, digest, redo=redo, keep=keep, dry_run=False)
        return run_id

    return begin


def cancel(run_id: str, reason: str) -> Begin:
    async def begin(client: Client) -> str:
        await client.handle(run_id).cancel(reason)
        return run_id

    return begin


def terminate(run_id: str, reason: str) -> Begin:
    async def begin(client: Client) -> str:
        await client.handle(run_id).terminate(reason)
        return run_id

    return begin
