"""What `understudy jobs` does, at a node or with a store's file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from understudy.actors import checked_id
from understudy.door import JobSummary
from understudy.errors import BadInput, BadRequest, UnknownName
from understudy.failures import FailureFields, clean_text
from understudy_runtime.cli.arguments import text_of
from understudy_runtime.cli.options import At, Node
from understudy_runtime.cli.output import note, results_only
from understudy_runtime.cli.place import Place
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.cli.render import lines, moment, pretty, short
from understudy_runtime.cli.stored import reading
from understudy_runtime.cli.tables import show_table
from understudy_runtime.core.completion import completed_attempt
from understudy_runtime.core.keys import ACTOR_PREFIX, RUN
from understudy_runtime.node.stored_jobs import checked_status

if TYPE_CHECKING:
    from understudy.remote.door import RemoteDoor

T = TypeVar("T")

COLUMNS: Final = ("OWNER", "CALL", "TASK", "ATTEMPT", "STATUS", "SINCE", "HANDLE")
MAX_OF_ONE: Final = 100_000
"""Jobs of one run or actor that are looked through for one: as many as it may await."""


def list_jobs(at: At, run: str, actor: str, status: str, limit: int, as_json: bool) -> None:
    with results_only() as output, refusals():
        if run and actor:
            raise BadRequest("--run and --actor: give one of them")
        address = _owner(run) if run else _owner(f"{ACTOR_PREFIX}{actor.removeprefix(ACTOR_PREFIX)}") if actor else ""
        found = _found(at, address, checked_status(status), limit)
        if as_json:
            output.result(pretty([facts(job) for job in found]))
        elif found:
            show_table(output, COLUMNS, [_row(job) for job in found])
        else:
            note("no jobs")


def show(at: At, owner: str, call: int, as_json: bool) -> None:
    with results_only() as output, refusals():
        address = _owner(owner)
        # Besides the attempt that is awaited, earlier ones may still be being stopped.
        found = [job for job in _found(at, address, "", MAX_OF_ONE) if job.call == call]
        if not found:
            raise UnknownName(f"call {call} of {address} is no job that an outside system has, or may have")
        if as_json:
            output.result(pretty([facts(job) for job in found]))
            return
        output.result("\n\n".join(lines({name: value for name, value in _told(job).items() if value}) for job in found))
        if any(job.status == "uncertain" for job in found):
            note(
                f"look for it in the outside system, then: understudy jobs settle {address} {call} --handle or --absent"
            )


def complete(node: Node, token: str, result: str) -> None:
    with results_only(), refusals():
        given = _json(result, "--result")
        _at_node(node, lambda door: door.complete_job(token, given, None))
        note(f"completed {_subject(token)}")


def fail(node: Node, token: str, message: str, type_: str) -> None:
    with results_only(), refusals():
        failure = FailureFields(clean_text(type_), clean_text(message))
        _at_node(node, lambda door: door.complete_job(token, None, failure))
        note(f"failed {_subject(token)}")


def settle(node: Node, owner: str, call: int, handle: str | None, *, absent: bool) -> None:
    with results_only(), refusals():
        address = _owner(owner)
        if absent == (handle is not None):
            raise BadRequest("give --handle if there is such a job in the outside system, or --absent if there is none")
        given = None if handle is None else _json(handle, "--handle")
        if given == b"null":
            raise BadInput("--handle null: that is no handle; say --absent if there is no such job")
        _at_node(node, lambda door: door.settle_job(address, call, given))
        note(f"settled call {call} of {address}")


# --- how it is shown


def facts(job: JobSummary) -> dict[str, Any]:
    """For programs, with times as text."""
    shown: dict[str, Any] = msgspec.to_builtins(job)
    shown["since"] = moment(job.since)
    return shown


def _told(job: JobSummary) -> dict[str, Any]:
    shown = facts(job)
    shown["handle"] = "" if job.handle is None else _text(job.handle)
    shown["completion_token"] = shown.pop("token")
    return shown


def _row(job: JobSummary) -> tuple[str, ...]:
    handle = "" if job.handle is None else short(_text(job.handle))
    since = moment(job.since) or ""
    return (job.address, str(job.call), job.task, str(job.attempt), job.status, since, handle)


def _text(handle: Any) -> str:
    return msgspec.json.encode(handle).decode("utf-8", "replace")


def _subject(token: str) -> str:
    attempt = completed_attempt(token)
    return f"attempt {attempt.attempt} of call {attempt.call} of {attempt.key.partition('/')[2]}"


# --- where


def _at_node(node: Node, ask: Callable[[RemoteDoor], Awaitable[T]]) -> T:
    from understudy_runtime.cli.connected import at_node  # grpc is loaded only to reach a node

    return at_node(node, ask)


def _found(at: At, address: str, status: str, limit: int) -> list[JobSummary]:
    if at.node is not None:
        return _at_node(at.node, lambda door: door.list_jobs(address, status=status, limit=limit))
    with reading(Place(at.store, at.namespace)) as stored:
        return stored.jobs(address, status, limit)


def _owner(text: str) -> str:
    """The address: `run/ID` and `actor.CLASS/ID` as they are; anything else is the id of a run."""
    kind, _, name = text.partition("/")
    is_whole = bool(name) and (kind == RUN or kind.startswith(ACTOR_PREFIX))
    if not is_whole and kind.startswith(ACTOR_PREFIX):
        raise BadInput(f"{text[:60]!a} names no actor: give its class and its id, such as {ACTOR_PREFIX}Counter/visits")
    return f"{kind}/{checked_id(name)}" if is_whole else f"{RUN}/{checked_id(text)}"


def _json(text: str, option: str) -> bytes:
    try:
        return msgspec.json.encode(msgspec.json.decode(text_of(text, option)))
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise BadInput(f"{option} {text[:60]}: not JSON: {error}") from None
