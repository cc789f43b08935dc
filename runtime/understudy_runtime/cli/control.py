"""What a running node is asked to do with runs: `--connect`, and none of the workflow's code at hand.

Arguments go as they were typed: the node has the signature, and refuses what does not fit it. A command that starts or
moves a run is done when that is durable; `--wait` follows the run to its end as well. Leaving early ends nothing.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

import msgspec

from understudy.actors import checked_id
from understudy.cluster import HandlerInfo
from understudy.door import Outcome, checked_if_exists
from understudy.errors import BadRequest, UnknownName, Unreachable
from understudy.remote.door import RemoteDoor
from understudy.remote.wire import AsWritten
from understudy_runtime.cli.arguments import text_of
from understudy_runtime.cli.connected import connected
from understudy_runtime.cli.finish import finish, leave_as_it_ended, report
from understudy_runtime.cli.follow import Interrupted, leave_on_signals, until_ended
from understudy_runtime.cli.looking import outcome
from understudy_runtime.cli.options import Node
from understudy_runtime.cli.output import FAILED, INTERRUPTED, Output, leave, note, results_only
from understudy_runtime.cli.progress import progress
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.cli.render import facts, plan_facts, plan_lines, pretty
from understudy_runtime.core.keys import RUN

Begin = Callable[[RemoteDoor], Awaitable[dict[str, Any]]]
"""Starts or moves the run, and says for programs what has been done; `id` is the run's."""


def start(
    node: Node, workflow: str, input: str | None, run_id: str | None, if_exists: str, wait: bool, as_json: bool
) -> None:
    async def begin(door: RemoteDoor) -> dict[str, Any]:
        chosen = None if run_id is None else checked_id(run_id)
        how = checked_if_exists(if_exists)
        started = await door.start(workflow, as_written(input), "", run_id=chosen, if_exists=how)
        note(f"run {started.run_id} exists already" if started.existed else f"started run {started.run_id}")
        return {"id": started.run_id, "execution": started.execution, "existed": started.existed}

    _do(node, begin, wait, as_json, told="id")


def retry(
    node: Node,
    run_id: str,
    input: str | None,
    redo: Sequence[str],
    keep: Sequence[str],
    dry_run: bool,
    wait: bool,
    as_json: bool,
) -> None:
    async def begin(door: RemoteDoor) -> dict[str, Any]:
        given = None if input is None else as_written(input)
        plan = await door.retry(run_id, given, "", redo=redo, keep=keep, dry_run=dry_run)
        if not as_json:
            note(plan_lines(plan))
        return plan_facts(plan)

    _do(node, begin, wait and not dry_run, as_json)


def move(node: Node, run_id: str, how: Callable[[RemoteDoor], Awaitable[None]], wait: bool, as_json: bool) -> None:
    """Release, cancel or terminate it."""

    async def begin(door: RemoteDoor) -> dict[str, Any]:
        await how(door)
        return {"id": run_id}

    _do(node, begin, wait, as_json)


def wait(node: Node, run_id: str, as_json: bool) -> None:
    async def begin(door: RemoteDoor) -> dict[str, Any]:
        return {"id": run_id}

    _do(node, begin, True, as_json)


def _do(node: Node, begin: Begin, wait: bool, as_json: bool, told: str = "") -> None:
    """`told` is what people are told of what has been done, on standard output."""
    with results_only() as output, refusals():
        if wait:
            report(lambda: asyncio.run(_begin_and_wait(node, begin)), output, as_json)
        done = asyncio.run(_begin(node, begin))
        if as_json:
            output.result(pretty(done))
        elif told:
            output.result(str(done[told]))


async def _begin(node: Node, begin: Begin) -> dict[str, Any]:
    async with connected(node) as door:
        return await begin(door)


async def _begin_and_wait(node: Node, begin: Begin) -> Outcome:
    leaving = leave_on_signals()
    async with connected(node) as door:
        run_id = (await begin(door))["id"]
        workflow = (await door.describe(run_id)).workflow
        ended = await until_ended(door, run_id, workflow, leaving)
    return ended if ended is not None else _left(node, run_id)


def watch(node: Node, run_id: str, as_json: bool) -> None:
    with results_only() as output, refusals():
        try:
            ended = asyncio.run(_watch(node, run_id, output if as_json else None))
        except Interrupted:
            leave(INTERRUPTED)
        if as_json:  # the last line has said it all
            leave_as_it_ended(ended)
        finish(ended, output, as_json)


async def _watch(node: Node, run_id: str, lines: Output | None) -> Outcome:
    """Show what becomes of the run until it has ended or is held; with `lines` as a JSON object for each change."""
    leaving = leave_on_signals()
    async with connected(node) as door:
        watching = asyncio.ensure_future(_shown(door, run_id, lines))
        either: list[asyncio.Future[Any]] = [watching, leaving]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            return await watching
        watching.cancel()
        await asyncio.wait([watching])
    return _left(node, run_id)


async def _shown(door: RemoteDoor, run_id: str, lines: Output | None) -> Outcome:
    ended: Outcome | None = None
    with progress((await door.describe(run_id)).workflow) as shown:
        while ended is None:
            try:
                async for described in door.watch(run_id):
                    ended = await outcome(door, described)
                    if lines is None:
                        shown.show(described)
                    else:
                        lines.result(msgspec.json.encode(facts(described, ended)).decode())
                    if ended is not None:
                        break
            except Unreachable:
                await door.describe(run_id)  # returns when the node is back, which it may be for a while
    return ended


def _left(node: Node, run_id: str) -> NoReturn:
    command = ["understudy", "runs", "wait", run_id, "--connect", node.address]
    command += ["--namespace", node.namespace] if node.namespace else []
    note(f"run {run_id} goes on without being watched; wait for it with:\n  {shlex.join(command)}")
    raise Interrupted(run_id)


def tell(node: Node, run_id: str, handler: str, input: str | None) -> None:
    async def told() -> None:
        async with connected(node) as door:
            if (await _handler(door, run_id, handler)).readonly:
                raise BadRequest(f"{handler} is @readonly: there is no use in telling it; `understudy runs ask` it")
            await door.tell(f"{RUN}/{run_id}", handler, as_written(input))

    with results_only(), refusals():
        asyncio.run(told())
        note(f"told run {run_id}")


def ask(node: Node, run_id: str, handler: str, input: str | None, as_json: bool) -> None:
    async def asked(output: Output) -> None:
        async with connected(node) as door:
            readonly = (await _handler(door, run_id, handler)).readonly
            reply = await door.ask(f"{RUN}/{run_id}", handler, as_written(input), readonly=readonly)
        if reply.failure is None:
            result = msgspec.Raw(b"null") if reply.result is None else reply.result
            output.result(pretty({"result": result} if as_json else result))
            return
        error = {"type": reply.failure.type, "message": reply.failure.message}
        if as_json:
            output.result(pretty({"error": error}))
        note(": ".join([f"{handler} of run {run_id} raised {error['type']}", error["message"]]))
        leave(FAILED)

    with results_only() as output, refusals():
        asyncio.run(asked(output))


async def _handler(door: RemoteDoor, run_id: str, name: str) -> HandlerInfo:
    """UnknownName says what there is."""
    workflow = (await door.describe(checked_id(run_id))).workflow
    handlers = {
        handler.name: handler
        for definition in await door.list_definitions()
        if (definition.kind, definition.name) == ("workflow", workflow)
        for handler in definition.handlers
    }
    if name not in handlers:
        known = ", ".join(sorted(handlers)) or "none"
        raise UnknownName(f"workflow {workflow} has no handler named {name}; it has: {known}")
    return handlers[name]


def as_written(input: str | None) -> AsWritten:
    """For the node, which has the signature; None is no arguments at all."""
    return AsWritten(b"[]" if input is None else text_of(input).encode("utf-8", "surrogateescape"))
