"""What `understudy resources` and `understudy locks` do, at a node or with a store's file."""

from __future__ import annotations

import getpass
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from understudy.door import HistoryTurn
from understudy.errors import BadInput, BadRequest
from understudy.resource_door import LOCK, RESOURCE_PREFIX, SEMAPHORE, SETTLED, ResourceDoor, checked_address
from understudy.resourcing import ResourceDescription
from understudy_runtime.cli.options import At
from understudy_runtime.cli.output import note, results_only
from understudy_runtime.cli.place import Place
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.cli.render import lines, pretty
from understudy_runtime.cli.render import moment as shown_time
from understudy_runtime.cli.stored import reading
from understudy_runtime.cli.tables import show_table, table
from understudy_runtime.node.described import history_turn

T = TypeVar("T")

MAX_HISTORY: Final = 100_000
_TIMES: Final = ("since", "created_at", "idle_since")


def list_resources(at: At, type_: str, limit: int, as_json: bool) -> None:
    kind = f"{RESOURCE_PREFIX}{type_.removeprefix(RESOURCE_PREFIX)}" if type_ else ""
    _list(at, [kind], limit, as_json, "no resources")


def list_locks(at: At, limit: int, as_json: bool) -> None:
    _list(at, [LOCK, SEMAPHORE], limit, as_json, "no locks and no semaphores")


def _list(at: At, kinds: Sequence[str], limit: int, as_json: bool, nothing: str) -> None:
    with results_only() as output, refusals():
        found: list[ResourceDescription] = []
        for kind in kinds:
            found += _found(at, kind, limit)
        if as_json:
            output.result(pretty([facts(each) for each in found]))
        elif found:
            cells = [
                (
                    _name(each),
                    each.state,
                    _used(each),
                    str(each.waiting),
                    shown_time(each.since) or "",
                    _holders(each),
                    each.node,
                    each.cause,
                )
                for each in found
            ]
            show_table(output, ("RESOURCE", "STATE", "USED", "WAITING", "SINCE", "HOLDER", "NODE", "WHY"), cells)
        else:
            note(nothing)


def _found(at: At, kind: str, limit: int) -> list[ResourceDescription]:
    if at.node is not None:
        return _at_node(at, lambda door: door.list_resources(kind=kind, limit=limit))
    with reading(_place(at)) as stored:
        return stored.resources(kind, limit)


def show(at: At, resource: str, as_json: bool) -> None:
    with results_only() as output, refusals():
        address = _address(resource)
        if at.node is None:
            with reading(_place(at)) as stored:
                described = stored.resource(address)
        else:
            described = _at_node(at, lambda door: door.describe_resource(address))
        shown = facts(described)
        if as_json:
            output.result(pretty(shown))
            return
        tables = {name: shown.pop(name) for name in ("leases", "queue", "intents")}
        output.result(lines({name: value for name, value in shown.items() if value not in (None, "", 0)}))
        if described.leases:
            held = [
                (each["holder"], str(each["fence"]), str(each["units"]), each["since"]) for each in tables["leases"]
            ]
            output.result("\n" + table(("HOLDER", "FENCE", "UNITS", "SINCE"), held))
        if described.queue:
            waits = [
                (each["holder"], str(each["units"]), str(each["priority"]), each["since"]) for each in tables["queue"]
            ]
            output.result("\n" + table(("WAITS", "UNITS", "PRIORITY", "SINCE"), waits))


def history(at: At, resource: str, leases: bool, as_json: bool) -> None:
    with results_only() as output, refusals():
        address = _address(resource)
        if at.node is None:
            with reading(_place(at)) as stored:
                turns = [history_turn(turn) for turn in stored.resource_history(address)]
        else:
            turns = _at_node(at, lambda door: door.resource_history(address, 0, MAX_HISTORY))
        if as_json:
            output.result(pretty(msgspec.to_builtins(turns)))
            return
        rows = [row for turn in turns for row in _rows(turn, leases)]
        show_table(output, ("AT", "WHAT", "FENCE", "WHO", "NODE", "WHY"), rows)


def drain(at: At, resource: str, by: str, why: str) -> None:
    _mind(at, resource, lambda door, address: door.drain_resource(address, by=_who(by), note=why))


def resume(at: At, resource: str, by: str, why: str) -> None:
    _mind(at, resource, lambda door, address: door.resume_resource(address, by=_who(by), note=why))


def destroy(at: At, resource: str, force: bool, by: str, why: str) -> None:
    _mind(at, resource, lambda door, address: door.destroy_resource(address, force=force, by=_who(by), note=why))


def set_capacity(at: At, resource: str, units: str, by: str, why: str) -> None:
    def set_it(door: ResourceDoor, address: str) -> Awaitable[None]:
        if units != "code" and not units.isdecimal():
            raise BadInput(f'{units}: give a number of units, or "code"')
        return door.set_capacity(address, None if units == "code" else int(units), by=_who(by), note=why)

    _mind(at, resource, set_it)


def settle(at: At, resource: str, outcome: str, handle: str | None, by: str, why: str) -> None:
    def settle_it(door: ResourceDoor, address: str) -> Awaitable[None]:
        if outcome not in SETTLED:
            raise BadInput(f"{outcome}: say {', '.join(SETTLED[:-1])} or {SETTLED[-1]}")
        given = None if handle is None else _json(handle)
        return door.settle_resource(address, outcome, given, by=_who(by), note=why)

    _mind(at, resource, settle_it)


def _mind(at: At, resource: str, change: Callable[[ResourceDoor, str], Awaitable[None]]) -> None:
    """Make the change, and say how the resource stands after it."""

    async def both(door: ResourceDoor) -> ResourceDescription:
        await change(door, address)
        return await door.describe_resource(address)

    with results_only() as output, refusals():
        address = _address(resource)
        if at.node is None:
            raise BadRequest("a resource is changed by a running node, which has its driver: say which with --connect")
        described = _at_node(at, both)
        output.result(f"{_name(described)} is {described.state}: {described.cause}")


# --- how it is shown


def facts(described: ResourceDescription) -> dict[str, Any]:
    """For programs, with times as text."""
    shown: dict[str, Any] = msgspec.to_builtins(described)
    for name in ("handle", "spec"):
        shown[name] = msgspec.json.decode(getattr(described, name) or b"null")
    for name in _TIMES:
        shown[name] = shown_time(shown.get(name) or None)
    for name in ("leases", "queue", "intents"):
        shown[name] = [{**each, "since": shown_time(each.get("since"))} for each in shown.get(name, [])]
    for wait in shown["queue"]:
        wait.setdefault("priority", 0)
    return shown


def _rows(turn: HistoryTurn, leases: bool) -> list[tuple[str, str, str, str, str, str]]:
    rows: list[tuple[str, str, str, str, str, str]] = []
    at = shown_time(turn.at) or ""
    for record in turn.records:
        fence = str(record.get("fence") or "")
        match record["t"]:
            case "ResourceMoved":
                by, node = record.get("by", ""), record.get("node", "")
                rows.append((at, record["state"], fence, _for(by), node, record.get("cause", "")))
            case "ResourceCommanded":
                rows.append((at, record["what"], fence, record.get("by", ""), "", record.get("note", "")))
            case "LeaseGranted" if leases:
                holder = record["holder"]
                name = f"{holder['key']}:{holder['execution']}:{holder['call']}"
                rows.append((at, "lease granted", fence, _for(name), record.get("node", ""), ""))
            case "LeaseOver" if leases:
                holder, node = _for(record.get("holder", "")), record.get("node", "")
                rows.append((at, "lease over", fence, holder, node, record.get("why", "")))
            case _:
                pass
    return rows


def _for(holder: str) -> str:
    """A holder without its namespace, execution and call: `run/<id>`."""
    key, _, numbers = holder.partition(":")
    return key.split("/", 1)[1] if numbers and "/" in key else holder


def _name(described: ResourceDescription) -> str:
    return described.key.split("/", 1)[1].removeprefix(RESOURCE_PREFIX)


def _holders(described: ResourceDescription) -> str:
    """The first, and how many there are beside."""
    if not described.leases:
        return ""
    first, others = _for(described.leases[0].holder), described.held - 1
    return f"{first} +{others}" if others > 0 else first


def _used(described: ResourceDescription) -> str:
    return f"{described.used}/{described.capacity}" if described.capacity else str(described.used)


# --- where


def _at_node(at: At, ask: Callable[[ResourceDoor], Awaitable[T]]) -> T:
    from understudy_runtime.cli.connected import at_node

    assert at.node is not None
    return at_node(at.node, ask)


def _address(resource: str) -> str:
    kind = resource.partition("/")[0]
    is_whole = kind in (LOCK, SEMAPHORE) or kind.startswith(RESOURCE_PREFIX)
    return checked_address(resource if is_whole else f"{RESOURCE_PREFIX}{resource}")


def _place(at: At) -> Place:
    return Place(at.store, at.namespace)


def _who(by: str) -> str:
    try:
        return by or getpass.getuser()
    except (OSError, KeyError):
        return "an operator"


def _json(text: str) -> bytes:
    try:
        return msgspec.json.encode(msgspec.json.decode(text))
    except msgspec.MsgspecError as error:
        raise BadInput(f"--handle {text}: not JSON: {error}") from None
