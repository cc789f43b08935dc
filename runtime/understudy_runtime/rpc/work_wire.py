"""workers.proto into our types and back, for both ends of the stream.

What a worker says is not trusted: results become part of a journal row as they stand, so they must be JSON; one that is
not fails its attempt for good, and the stream goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from google.protobuf import duration_pb2, timestamp_pb2
from msgspec import Raw

from understudy.errors import BadInput, BadRequest
from understudy.options import RetryPolicy, TaskOptions
from understudy_proto.v1 import values_pb2, workers_pb2
from understudy_runtime.core.kinds import NULL, Failure, FailureKind
from understudy_runtime.core.messages import AttemptEnded, AttemptProgressed, Dispatch, Token
from understudy_runtime.core.workers import (
    Drain,
    FromWorker,
    GivenBack,
    Health,
    Hello,
    Settled,
    ToWorker,
    Welcome,
)
from understudy_runtime.rpc import wire
from understudy_runtime.rpc.limits import MAX_NAME_CHARS, MAX_REQUEST_BYTES, MAX_TEXT_CHARS

PROTOCOL_MIN: Final = 1
PROTOCOL_MAX: Final = 1
"""A release speaks its own version and that of the one before, so that workers and nodes may be upgraded one by one."""
DEFAULT_QUEUE: Final = "default"
BATCH_BYTES: Final = 2**20
"""A batch ends with the item that makes it larger than this."""
_MIB: Final = 2**20
_END_OF_TIME: Final = 253_402_300_800
"""The year 10000, after which protobuf has no timestamps."""

# --- hello and welcome


class NoCommonProtocol(BadRequest):
    """The worker and the node speak no common version."""


def spoken(said: workers_pb2.Hello) -> int:
    """The highest version of the protocol that both speak. NoCommonProtocol if there is none."""
    version = min(said.protocol_max, PROTOCOL_MAX)
    if version < max(said.protocol_min, PROTOCOL_MIN):
        raise NoCommonProtocol(
            f"the worker speaks versions {said.protocol_min} to {said.protocol_max} of the protocol of workers, the "
            f"node {PROTOCOL_MIN} to {PROTOCOL_MAX}; upgrade the older one, one release at a time"
        )
    return version


def hello(said: workers_pb2.Hello) -> Hello:
    """BadRequest or BadInput if it cannot be."""
    return Hello(
        _name(said.worker_id),
        _name(said.name) or _name(said.worker_id),
        frozenset(said.tasks),
        said.slots,
        wire.namespace(said.namespace),
        frozenset(said.queues) or frozenset({DEFAULT_QUEUE}),
        frozenset(said.labels) | {f"{name}={value}" for name, value in said.labels.items() if value},
        _name(said.build),
        _name(said.agent),
        tuple(token(held) for held in said.holds),
    )


def to_hello(said: Hello) -> workers_pb2.Hello:
    """Labels go as `name` or `name=value`."""
    pairs = (label.partition("=") for label in said.labels)
    return workers_pb2.Hello(
        worker_id=said.worker,
        name=said.name,
        protocol_min=PROTOCOL_MIN,
        protocol_max=PROTOCOL_MAX,
        namespace=said.namespace,
        queues=sorted(said.queues),
        tasks=sorted(said.tasks),
        slots=said.slots,
        labels={name: value for name, _, value in pairs},
        build=said.build,
        agent=said.agent,
        holds=[to_token(held) for held in said.holds],
    )


def welcome(said: workers_pb2.Welcome) -> Welcome:
    return Welcome(
        said.node_id,
        wire.duration_s(said.heartbeat),
        wire.duration_s(said.session_timeout),
        tuple(token(stale) for stale in said.stale),
    )


def to_welcome(said: Welcome, protocol: int) -> workers_pb2.WorkResponse:
    return workers_pb2.WorkResponse(
        welcome=workers_pb2.Welcome(
            node_id=said.node,
            protocol=protocol,
            heartbeat=duration(said.heartbeat_s),
            session_timeout=duration(said.session_timeout_s),
            max_request_bytes=MAX_REQUEST_BYTES,
            stale=[to_token(stale) for stale in said.stale],
        )
    )


# --- batches from the worker


def from_worker(said: workers_pb2.WorkRequest) -> FromWorker:
    """BadInput if something cannot be that is not one attempt's affair."""
    if said.HasField("hello"):
        raise BadInput("hello is only for the first request of a stream")
    return FromWorker(
        said.credits,
        [_ended(result) for result in said.results],
        [GivenBack(token(back.token), back.reason[:MAX_TEXT_CHARS]) for back in said.given_back],
        [
            AttemptProgressed(token(news.token), Raw(news.progress))
            for news in said.progress
            if not wire.json_fault(news.progress)
        ],
        _health(said.health) if said.HasField("health") else None,
        said.leaving,
    )


def to_requests(batch: FromWorker) -> Iterator[workers_pb2.WorkRequest]:
    """In pieces of about `BATCH_BYTES`."""
    first = workers_pb2.WorkRequest(
        credits=batch.credits,
        given_back=[workers_pb2.GivenBack(token=to_token(t), reason=reason) for t, reason in batch.given_back],
        progress=[
            workers_pb2.AttemptProgress(token=to_token(news.token), progress=bytes(news.progress))
            for news in batch.progress
        ],
        health=None if batch.health is None else _to_health(batch.health),
        leaving=batch.leaving,
    )
    request, size = first, 0
    for result in map(_to_result, batch.results):
        if size > BATCH_BYTES:
            yield request
            request, size = workers_pb2.WorkRequest(), 0
        request.results.append(result)
        size += result.ByteSize()
    yield request


def _ended(said: workers_pb2.AttemptResult) -> AttemptEnded:
    result, failed = NULL, None
    match said.WhichOneof("outcome"):
        case "result":
            if fault := wire.json_fault(said.result):
                failed = Failure("BadInput", f"the worker's result is not JSON: {fault}", final=True)
            else:
                result = Raw(said.result)
        case "failure":
            failed = failure(said.failure)
        case _:
            failed = Failure("BadInput", "the worker reported neither a result nor a failure", final=True)
    return AttemptEnded(
        token(said.token), result, failed, started_at=_time(said.started_at), ended_at=_time(said.ended_at)
    )


def _to_result(ended: AttemptEnded) -> workers_pb2.AttemptResult:
    said = workers_pb2.AttemptResult(
        token=to_token(ended.token),
        started_at=wire.timestamp(ended.started_at),
        ended_at=wire.timestamp(ended.ended_at),
    )
    if ended.failure is not None:
        said.failure.CopyFrom(wire.failure(ended.failure))
    elif len(ended.result) > MAX_REQUEST_BYTES - BATCH_BYTES:
        bound = MAX_REQUEST_BYTES - BATCH_BYTES
        message = f"the result has {len(ended.result)} bytes; from a worker the most is {bound}: store it, return where"
        said.failure.CopyFrom(wire.failure(Failure("BadInput", message, final=True)))
    else:
        said.result = bytes(ended.result)
    return said


def failure(said: values_pb2.Failure) -> Failure:
    """As the machine understands it: a worker may say that an attempt is lost, not that it was returned."""
    arguments = Raw(said.arguments) if said.arguments and not wire.json_fault(said.arguments) else None
    return Failure(
        said.type[:MAX_NAME_CHARS] or "Error",
        said.message[:MAX_TEXT_CHARS],
        said.traceback[-MAX_TEXT_CHARS:],
        arguments,
        _KINDS.get(said.kind, "error"),
        said.final,
    )


def _health(said: workers_pb2.WorkerHealth) -> Health:
    by = token(said.blocked_by) if said.HasField("blocked_by") else None
    return Health(wire.duration_s(said.blocked_for), by, said.blocked_at[:MAX_TEXT_CHARS])


def _to_health(health: Health) -> workers_pb2.WorkerHealth:
    by = None if health.blocked_by is None else to_token(health.blocked_by)
    return workers_pb2.WorkerHealth(blocked_for=duration(health.blocked_s), blocked_by=by, blocked_at=health.blocked_at)


# --- batches from the node


def to_responses(batch: ToWorker) -> Iterator[workers_pb2.WorkResponse]:
    """In pieces of about `BATCH_BYTES`; an attempt is never cancelled before it was dispatched."""
    response, size = workers_pb2.WorkResponse(), 0
    for dispatch in map(_to_dispatch, batch.dispatches):
        if size > BATCH_BYTES:
            yield response
            response, size = workers_pb2.WorkResponse(), 0
        response.dispatches.append(dispatch)
        size += dispatch.ByteSize()
    response.cancels.extend(workers_pb2.CancelAttempt(token=to_token(cancelled)) for cancelled in batch.cancels)
    response.settled.extend(workers_pb2.Settled(token=to_token(t), stale=stale) for t, stale in batch.settled)
    if batch.drain is not None:
        response.drain.grace.CopyFrom(duration(batch.drain.grace_s))
    yield response


def to_worker(said: workers_pb2.WorkResponse) -> ToWorker:
    return ToWorker(
        [_dispatch(dispatch) for dispatch in said.dispatches],
        [token(cancelled.token) for cancelled in said.cancels],
        [Settled(token(settled.token), settled.stale) for settled in said.settled],
        Drain(wire.duration_s(said.drain.grace)) if said.HasField("drain") else None,
    )


def _to_dispatch(dispatch: Dispatch) -> workers_pb2.Dispatch:
    options = dispatch.options
    return workers_pb2.Dispatch(
        token=to_token(dispatch.token),
        task=dispatch.task,
        arguments=bytes(dispatch.args),
        idempotency_key=dispatch.idempotency_key,
        timeout=_maybe_duration(options.timeout_s),
        heartbeat_timeout=_maybe_duration(options.heartbeat_s),
        progress=b"" if dispatch.progress is None else bytes(dispatch.progress),
        slots=options.slots,
        final_errors=options.retry.final,
        own_process=options.isolate == "process",
        memory_limit_bytes=(options.memory_mb or 0) * _MIB,
    )


def _dispatch(said: workers_pb2.Dispatch) -> Dispatch:
    options = TaskOptions(
        RetryPolicy(final=tuple(said.final_errors)),
        timeout_s=wire.duration_s(said.timeout) if said.HasField("timeout") else None,
        heartbeat_s=wire.duration_s(said.heartbeat_timeout) if said.HasField("heartbeat_timeout") else None,
        isolate="process" if said.own_process else "",
        memory_mb=-(-said.memory_limit_bytes // _MIB) or None,
        slots=said.slots,
    )
    progress = Raw(said.progress) if said.progress else None
    return Dispatch(token(said.token), said.task, Raw(said.arguments), options, said.idempotency_key, progress)


# --- parts


def token(said: workers_pb2.AttemptToken) -> Token:
    return Token(said.key, said.execution, said.call, said.attempt, said.dispatch)


def to_token(token: Token) -> workers_pb2.AttemptToken:
    return workers_pb2.AttemptToken(
        key=token.key, execution=token.execution, call=token.call, attempt=token.attempt, dispatch=token.dispatch
    )


def duration(seconds: float) -> duration_pb2.Duration:
    made = duration_pb2.Duration()
    made.FromNanoseconds(round(seconds * 1e9))
    return made


def _time(said: timestamp_pb2.Timestamp) -> float:
    """Seconds since 1970; 0 (not known) for what no clock could have shown."""
    seconds = said.seconds + said.nanos / 1e9
    return seconds if 0 <= seconds < _END_OF_TIME else 0.0


def _maybe_duration(seconds: float | None) -> duration_pb2.Duration | None:
    return None if seconds is None else duration(seconds)


_KINDS: Final[dict[int, FailureKind]] = {
    value: cast("FailureKind", name.removeprefix("FAILURE_KIND_").lower())
    for name, value in values_pb2.FailureKind.items()
    if value != values_pb2.FAILURE_KIND_UNSPECIFIED
}


def _name(text: str) -> str:
    """BadInput if it is too long, or could not be shown."""
    if len(text) > MAX_NAME_CHARS or (text and not text.isprintable()):
        raise BadInput(f"{text[:40]!r} is no name of a worker: give up to {MAX_NAME_CHARS} printable characters")
    return text
