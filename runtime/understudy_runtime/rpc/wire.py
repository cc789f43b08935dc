"""Protobuf into our types and back. Nothing behind this module knows protobuf, and nothing before it our types."""

from __future__ import annotations

import hashlib
import re
from itertools import accumulate
from typing import Any, Final, cast

import msgspec
from google.protobuf import duration_pb2, timestamp_pb2
from msgspec import Raw

from understudy.cluster import DefinitionInfo, NodeInfo, ShardInfo, WorkerInfo
from understudy.codec import CallCodec
from understudy.door import AskReply, HistoryTurn, IfExists, Outcome, RunDescription, RunSummary
from understudy.errors import BadInput
from understudy.failures import FailureLike
from understudy_proto.v1 import actors_pb2, nodes_pb2, runs_pb2, values_pb2
from understudy_runtime.rpc.limits import (
    DEFAULT_PAGE,
    MAX_KEY_CHARS,
    MAX_NAMESPACE_CHARS,
    MAX_NESTING,
    MAX_PAGE,
)

NO_ARGUMENTS: Final = b'{"args":[],"kwargs":{}}'


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    args: list[Any]
    kwargs: dict[str, Any]


_STRINGS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_decode_any: Final = msgspec.json.Decoder().decode
_decode_call: Final = msgspec.json.Decoder(_Call).decode

# --- requests


def namespace(name: str) -> str:
    """BadInput if it cannot be part of a key. Empty: the node's own."""
    if len(name) > MAX_NAMESPACE_CHARS or "/" in name or not name.isprintable():
        raise BadInput(
            f"{name[:40]!r} is not a namespace: give up to {MAX_NAMESPACE_CHARS} printable characters without '/'"
        )
    return name


def key(idempotency_key: str) -> str:
    """The idempotency key; BadInput if it is too long to be kept."""
    if len(idempotency_key) > MAX_KEY_CHARS:
        raise BadInput(f"an idempotency_key has at most {MAX_KEY_CHARS} characters")
    return idempotency_key


def run_id(request: runs_pb2.StartRunRequest) -> str | None:
    """The run's id; one made from the idempotency key is the same for every repetition. None: any will do."""
    if request.run_id or not request.idempotency_key:
        return request.run_id or None
    return hashlib.sha256(request.idempotency_key.encode()).hexdigest()[:32]


def call(arguments: values_pb2.Arguments, codec: CallCodec) -> tuple[bytes, str]:
    """The call in the form that is kept, with its digest; BadInput names the parameter that does not fit."""
    form = arguments.WhichOneof("form")
    if form is None:
        return codec.encode((), {})
    if form == "json":
        check_nesting(arguments.json)
        return codec.from_json(text(arguments.json))
    check_nesting(arguments.call)
    args, kwargs = codec.decode(arguments.call)
    if not arguments.digest:
        return codec.encode(args, kwargs)
    _check_shape(arguments.call)
    return arguments.call, arguments.digest[:64]


def plain_call(arguments: values_pb2.Arguments) -> bytes | None:
    """The call, checked to be well formed and no more; None if only a codec can tell what is meant."""
    form = arguments.WhichOneof("form")
    if form is None:
        return NO_ARGUMENTS
    if form == "json":
        return None
    check_nesting(arguments.call)
    _check_shape(arguments.call)
    return arguments.call


def address(to: actors_pb2.Address) -> str:
    """BadInput if it is not one."""
    if not to.kind or "/" in to.kind or not to.kind.isprintable():
        raise BadInput(f"{to.kind[:40]!r} is not a kind of actor: give 'run', or 'actor.' and the name of a class")
    return f"{to.kind}/{to.id}"


def if_exists(value: runs_pb2.IfExists) -> IfExists:
    match value:
        case runs_pb2.IF_EXISTS_ERROR:
            return "error"
        case runs_pb2.IF_EXISTS_JOIN:
            return "join"
        case _:
            return "return"


def status_filter(value: runs_pb2.RunStatus) -> str:
    """The status to filter by; empty for all. BadInput if this version knows none of that number."""
    if value == runs_pb2.RUN_STATUS_UNSPECIFIED:
        return ""
    if value not in _STATUS_NAMES:
        raise BadInput(f"{value} is not a status of runs")
    return _STATUS_NAMES[value]


def page_size(asked: int) -> int:
    if asked < 0:
        raise BadInput(f"page_size is {asked}; give 0 to {MAX_PAGE}")
    return min(asked or DEFAULT_PAGE, MAX_PAGE)


def duration_s(duration: duration_pb2.Duration) -> float:
    """Seconds; BadInput if they are less than none."""
    value = duration.seconds + duration.nanos / 1e9
    if value < 0:
        raise BadInput(f"a timeout of {value} s is less than none")
    return value


def before(token: str) -> tuple[float, str] | None:
    """Where a list of runs goes on."""
    return None if not token else from_token(token, tuple[float, str])


def after(token: str) -> int | None:
    """The turn after which a history goes on."""
    return None if not token else from_token(token, int)


def token(cursor: tuple[Any, ...] | int) -> str:
    """Opaque to clients."""
    return msgspec.json.encode(cursor).hex()


# --- responses


def outcome(ended: Outcome) -> runs_pb2.Outcome:
    return runs_pb2.Outcome(
        run_id=ended.run_id,
        workflow=ended.workflow,
        status=_STATUSES[ended.status],
        execution=ended.execution,
        result=_bytes(ended.result),
        failure=None if ended.failure is None else failure(ended.failure),
        held_why=ended.held_why,
        reason=ended.reason,
    )


def reply(answered: AskReply) -> actors_pb2.AskResponse:
    if answered.failure is not None:
        return actors_pb2.AskResponse(failure=failure(answered.failure))
    return actors_pb2.AskResponse(result=b"null" if answered.result is None else bytes(answered.result))


def failure(failed: FailureLike) -> values_pb2.Failure:
    return values_pb2.Failure(
        type=failed.type,
        message=failed.message,
        traceback=failed.traceback,
        arguments=_bytes(failed.arguments),
        kind=_FAILURES.get(failed.kind, values_pb2.FAILURE_KIND_LOST),
        final=getattr(failed, "final", False),
    )


def run(described: RunDescription) -> runs_pb2.Run:
    return runs_pb2.Run(
        run_id=described.run_id,
        workflow=described.workflow,
        status=_STATUSES[described.status],
        execution=described.execution,
        turns=described.turns,
        created_at=timestamp(described.created_at),
        closed_at=None if described.closed_at is None else timestamp(described.closed_at),
        scheduled=described.scheduled,
        running=described.running,
        waiting=described.waiting,
        succeeded=described.succeeded,
        failed=described.failed,
        reused=described.reused,
        warnings=described.warnings,
        held_why=described.held_why,
        held_detail=described.held_detail,
        error=described.error,
        input=_bytes(described.input),
        result=_bytes(described.result),
    )


def line(summary: RunSummary) -> runs_pb2.Run:
    return runs_pb2.Run(
        run_id=summary.run_id,
        workflow=summary.workflow,
        status=_STATUSES[summary.status],
        execution=summary.execution,
        created_at=timestamp(summary.created_at),
        updated_at=timestamp(summary.updated_at),
        closed_at=None if summary.closed_at is None else timestamp(summary.closed_at),
    )


def turn(taken: HistoryTurn) -> runs_pb2.Turn:
    return runs_pb2.Turn(seq=taken.seq, at=timestamp(taken.at), records=msgspec.json.encode(taken.records))


def node(info: NodeInfo) -> nodes_pb2.Node:
    return nodes_pb2.Node(
        node_id=info.node_id,
        address=info.address,
        status=f"NODE_STATUS_{info.status.upper()}",
        started_at=timestamp(info.started_at),
        build=info.build,
        version=info.version,
        resident_actors=info.resident_actors,
        open_attempts=info.open_attempts,
        turns=info.turns,
        trouble=info.trouble,
        open_calls=info.open_calls,
        workers=[worker(each) for each in info.workers],
        waiting=[
            nodes_pb2.WaitingTasks(
                task=line.task,
                queue=line.queue,
                namespace=line.namespace,
                slots=line.slots,
                labels=line.labels,
                count=line.count,
                since=timestamp(line.since),
                workers=line.workers,
            )
            for line in info.waiting
        ],
        shards=info.shards,
    )


def shard(info: ShardInfo) -> nodes_pb2.Shard:
    return nodes_pb2.Shard(
        shard_id=info.shard_id, node_id=info.node_id, term=info.term, writer=info.writer, head=info.head
    )


def worker(info: WorkerInfo) -> nodes_pb2.Worker:
    return nodes_pb2.Worker(
        worker_id=info.worker_id,
        name=info.name,
        status=f"WORKER_STATUS_{info.status.upper()}",
        slots=info.slots,
        used=info.used,
        queues=info.queues,
        labels=info.labels,
        build=info.build,
        agent=info.agent,
        joined_at=timestamp(info.joined_at),
        blocked_since=None if info.blocked_since is None else timestamp(info.blocked_since),
        blocked_task=info.blocked_task,
        blocked_at=info.blocked_at,
        trouble=info.trouble,
    )


def definition(info: DefinitionInfo) -> nodes_pb2.Definition:
    return nodes_pb2.Definition(
        kind=f"DEFINITION_KIND_{info.kind.upper()}",
        name=info.name,
        app=info.app,
        signature=info.signature,
        handlers=[nodes_pb2.Handler(name=h.name, readonly=h.readonly, signature=h.signature) for h in info.handlers],
    )


def timestamp(at: float) -> timestamp_pb2.Timestamp:
    seconds = int(at // 1)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=min(round((at - seconds) * 1e9), 999_999_999))


# ---

_STATUSES: Final = {
    name.removeprefix("RUN_STATUS_").lower(): cast("runs_pb2.RunStatus", value)
    for name, value in runs_pb2.RunStatus.items()
}
_STATUS_NAMES: Final = {value: name for name, value in _STATUSES.items()}
_FAILURES: Final = {
    name.removeprefix("FAILURE_KIND_").lower(): cast("values_pb2.FailureKind", value)
    for name, value in values_pb2.FailureKind.items()
}


def _bytes(raw: Raw | None) -> bytes:
    return b"" if raw is None else bytes(raw)


def text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadInput("the input is not JSON: it is not UTF-8") from None


def value(data: bytes, what: str) -> bytes:
    """`data`, if it is JSON that can be kept; BadInput says what is wrong with it."""
    if fault := json_fault(data):
        raise BadInput(f"{what} is not JSON that can be kept: {fault}")
    return data


def json_fault(data: bytes) -> str:
    """Why it is not JSON that can be kept; empty if it is."""
    try:
        check_nesting(data, "it is")
        _decode_any(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, BadInput) as error:
        return str(error)
    return ""


def _check_shape(data: bytes) -> None:
    try:
        _decode_call(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadInput(
            f'the arguments are not JSON of the form {{"args": [...], "kwargs": {{...}}}}: {error}'
        ) from None


def check_nesting(data: bytes, what: str = "the arguments are") -> None:
    # Counting brackets is a quick scan of memory; only data with many of them is looked at closely.
    if data.count(b"[") + data.count(b"{") <= MAX_NESTING:
        return
    brackets = _STRINGS.sub(b"", data).translate(None, _NO_BRACKETS)
    if max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets), default=0) > MAX_NESTING:
        raise BadInput(f"{what} nested more than {MAX_NESTING} deep")


def from_token(text: str, kind: Any) -> Any:
    """What `token` was made of; BadInput if that was not of this kind."""
    try:
        return msgspec.json.decode(bytes.fromhex(text), type=kind)
    except (ValueError, msgspec.MsgspecError):
        raise BadInput("the page_token is none that this service has given out; begin again without one") from None
