"""What a running node is asked to do with actors. It has the code, so it looks handlers up and checks arguments."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

from msgspec import Raw

from understudy.actor_info import ActorDescription, ActorStatus, ActorSummary
from understudy.errors import BadRequest
from understudy.remote.door import RemoteDoor
from understudy_runtime.cli.connected import connected
from understudy_runtime.cli.control import as_written
from understudy_runtime.cli.options import Node
from understudy_runtime.cli.output import FAILED, Output, leave, note, results_only
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.cli.render import lines, moment, pretty
from understudy_runtime.cli.tables import show_table
from understudy_runtime.core.keys import ACTOR_PREFIX

COLUMNS: Final = ("ACTOR", "STATUS", "SINCE", "UPDATED")


def list_actors(node: Node, kind: str, status: str, limit: int, as_json: bool) -> None:
    async def asked() -> list[ActorSummary]:
        async with connected(node) as door:
            kinds = [kind] if kind else await _kinds(door)
            listed = [
                await door.list_actors(f"{ACTOR_PREFIX}{each}", status=_status(status), limit=limit) for each in kinds
            ]
        return [summary for each in listed for summary in each]

    with results_only() as output, refusals():
        found = asyncio.run(asked())
        if as_json:
            output.result(pretty([_summary_facts(summary) for summary in found]))
        elif found:
            show_table(output, COLUMNS, [_row(summary) for summary in found])
        else:
            note("no actors")


def show(node: Node, name: str, as_json: bool) -> None:
    async def asked() -> ActorDescription:
        async with connected(node) as door:
            return await door.describe_actor(_address(name))

    with results_only() as output, refusals():
        facts = _facts(asyncio.run(asked()))
        if as_json:
            output.result(pretty(facts))
        else:
            facts["reminders"] = ", ".join(f"{name} at {at}" for name, at in facts["reminders"].items())
            output.result(lines({key: value for key, value in facts.items() if value not in ("", 0)}))


def tell(node: Node, name: str, handler: str, input: str | None) -> None:
    async def told() -> None:
        async with connected(node) as door:
            await door.tell(_address(name), handler, as_written(input), by_name=True)

    with results_only(), refusals():
        asyncio.run(told())
        note(f"told {name}")


def ask(node: Node, name: str, handler: str, input: str | None, as_json: bool) -> None:
    async def asked(output: Output) -> None:
        async with connected(node) as door:
            reply = await door.ask(_address(name), handler, as_written(input), readonly=False, by_name=True)
        if reply.failure is None:
            result = Raw(b"null") if reply.result is None else reply.result
            output.result(pretty({"result": result} if as_json else result))
            return
        error = {"type": reply.failure.type, "message": reply.failure.message}
        if as_json:
            output.result(pretty({"error": error}))
        note(": ".join([f"{handler} of {name} raised {error['type']}", error["message"]]))
        leave(FAILED)

    with results_only() as output, refusals():
        asyncio.run(asked(output))


def _address(name: str) -> str:
    kind, slash, actor_id = name.removeprefix(ACTOR_PREFIX).partition("/")
    if not kind or not slash or not actor_id:
        raise BadRequest(f"{name!r} names no actor: give its class and its id, such as Counter/visits")
    return f"{ACTOR_PREFIX}{kind}/{actor_id}"


def _status(status: str) -> ActorStatus | Literal[""]:
    match status:
        case "" | "active" | "held":
            return status
        case _:
            raise BadRequest(f"{status!r} is no status of actors: give active or held")


async def _kinds(door: RemoteDoor) -> list[str]:
    return [definition.name for definition in await door.list_definitions() if definition.kind == "actor"]


def _summary_facts(summary: ActorSummary) -> dict[str, Any]:
    return {
        "actor": f"{summary.kind}/{summary.id}",
        "status": summary.status,
        "created_at": moment(summary.created_at),
        "updated_at": moment(summary.updated_at),
    }


def _row(summary: ActorSummary) -> tuple[str, str, str, str]:
    since, updated = moment(summary.created_at), moment(summary.updated_at)
    return f"{summary.kind}/{summary.id}", summary.status, since or "", updated or ""


def _facts(described: ActorDescription) -> dict[str, Any]:
    return {
        "actor": f"{described.kind}/{described.id}",
        "status": described.status,
        "held_why": described.held_why,
        "held_detail": described.held_detail,
        "created_at": moment(described.created_at),
        "turns": described.turns,
        "queued": described.queued,
        "running": described.running,
        "warnings": described.warnings,
        "reminders": {name: moment(at) for name, at in described.reminders.items()},
        "version": described.version,
        "state": Raw(b"null") if described.state is None else described.state,
    }
