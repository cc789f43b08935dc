"""Protobuf into the types of `Door` and back. No other module of the SDK knows protobuf."""

from __future__ import annotations

from typing import Final, cast

import msgspec
from google.protobuf import timestamp_pb2
from msgspec import Raw

from understudy.door import AskReply, HistoryTurn, IfExists, Outcome, RetryPlan, RunDescription, RunStatus, RunSummary
from understudy.errors import BadInput
from understudy.failures import FailureFields, FailureKind
from understudy_proto.v1 import actors_pb2, runs_pb2, values_pb2

_IF_EXISTS: Final[dict[IfExists, runs_pb2.IfExists]] = {
    "return": runs_pb2.IF_EXISTS_RETURN,
    "error": runs_pb2.IF_EXISTS_ERROR,
    "join": runs_pb2.IF_EXISTS_JOIN,
}
_decode_records: Final = msgspec.json.Decoder(list[dict[str, object]]).decode


class AsWritten(bytes):
    """Arguments in JSON as a person writes it, in place of a call: only the node knows what they are meant for."""


def arguments(call: bytes, digest: str = "") -> values_pb2.Arguments:
    if isinstance(call, AsWritten):
        return values_pb2.Arguments(json=call)
    return values_pb2.Arguments(call=call, digest=digest)


def if_exists(value: IfExists) -> runs_pb2.IfExists:
    return _IF_EXISTS[value]


def address(to: str) -> actors_pb2.Address:
    kind, _, name = to.partition("/")
    return actors_pb2.Address(kind=kind, id=name)


def status_filter(status: str) -> runs_pb2.RunStatus:
    """BadInput if there is no such status; empty is all."""
    if status not in _NUMBERS:
        raise BadInput(f"{status!r} is not a status of runs; those are: {', '.join(sorted(_NUMBERS)[1:])}")
    return _NUMBERS[status]


def outcome(ended: runs_pb2.Outcome) -> Outcome:
    return Outcome(
        ended.run_id,
        ended.workflow,
        status(ended.status),
        ended.execution,
        _raw(ended.result),
        failure(ended.failure) if ended.HasField("failure") else None,
        ended.held_why,
        ended.reason,
    )


def reply(answered: actors_pb2.AskResponse) -> AskReply:
    if answered.HasField("failure"):
        return AskReply(failure=failure(answered.failure))
    return AskReply(_raw(answered.result))


def failure(failed: values_pb2.Failure) -> FailureFields:
    return FailureFields(
        failed.type,
        failed.message,
        failed.traceback,
        _raw(failed.arguments),
        _FAILURES.get(failed.kind, "error"),
        failed.final,
    )


def to_failure(failed: FailureFields) -> values_pb2.Failure:
    kinds = {name: value for value, name in _FAILURES.items()}
    return values_pb2.Failure(
        type=failed.type,
        message=failed.message,
        traceback=failed.traceback,
        arguments=b"" if failed.arguments is None else bytes(failed.arguments),
        kind=kinds[failed.kind],
        final=failed.final,
    )


def description(run: runs_pb2.Run) -> RunDescription:
    return RunDescription(
        run.run_id,
        run.workflow,
        status(run.status),
        run.execution,
        run.turns,
        seconds(run.created_at),
        seconds(run.closed_at) if run.HasField("closed_at") else None,
        run.scheduled,
        run.running,
        run.waiting,
        run.succeeded,
        run.failed,
        run.reused,
        run.warnings,
        run.held_why,
        run.held_detail,
        run.error,
        _raw(run.input),
        _raw(run.result),
    )


def summary(run: runs_pb2.Run) -> RunSummary:
    return RunSummary(
        run.run_id,
        run.workflow,
        status(run.status),
        run.execution,
        seconds(run.created_at),
        seconds(run.updated_at),
        seconds(run.closed_at) if run.HasField("closed_at") else None,
    )


def plan(planned: runs_pb2.RetryRunResponse) -> RetryPlan:
    reused, redone = tuple(planned.reused), tuple(planned.redone)
    return RetryPlan(planned.run_id, planned.execution, reused, redone, planned.dry_run, planned.ends)


def turn(taken: runs_pb2.Turn) -> HistoryTurn:
    return HistoryTurn(taken.seq, seconds(taken.at), _decode_records(taken.records))


def status(value: runs_pb2.RunStatus) -> RunStatus:
    """A status that this version does not know is one of a run that goes on."""
    return _STATUSES.get(value, "running")


def seconds(at: timestamp_pb2.Timestamp) -> float:
    return at.seconds + at.nanos / 1e9


# ---

_STATUSES: Final[dict[runs_pb2.RunStatus, RunStatus]] = {
    cast("runs_pb2.RunStatus", value): cast("RunStatus", name.removeprefix("RUN_STATUS_").lower())
    for name, value in runs_pb2.RunStatus.items()
    if value != runs_pb2.RUN_STATUS_UNSPECIFIED
}
_NUMBERS: Final[dict[str, runs_pb2.RunStatus]] = {
    "": runs_pb2.RUN_STATUS_UNSPECIFIED,
    **{name: value for value, name in _STATUSES.items()},
}
_FAILURES: Final[dict[values_pb2.FailureKind, FailureKind]] = {
    cast("values_pb2.FailureKind", value): cast("FailureKind", name.removeprefix("FAILURE_KIND_").lower())
    for name, value in values_pb2.FailureKind.items()
    if value != values_pb2.FAILURE_KIND_UNSPECIFIED
}


def _raw(data: bytes) -> Raw | None:
    return Raw(data) if data else None
