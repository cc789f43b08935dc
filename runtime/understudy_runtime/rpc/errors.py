"""Errors as statuses with details, and as `Error` messages where a stream carries many calls."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

import grpc
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from understudy.errors import (
    AlreadyExists,
    BadInput,
    BadRequest,
    Bug,
    LeaseLost,
    LeaseTimedOut,
    Misplaced,
    Overloaded,
    ResourceFailed,
    RunEnded,
    StoreError,
    UnderstudyError,
    UnknownName,
)
from understudy.failures import encode_failure
from understudy_proto.v1 import values_pb2

DOMAIN: Final = "understudy"
DETAILS: Final = "grpc-status-details-bin"

log = structlog.get_logger("understudy.rpc")


class NodeClosing(UnderstudyError):
    """The node shuts down; another one, or it later, will answer."""

    def __init__(self) -> None:
        super().__init__("the node shuts down; ask another one, or this one again in a moment")


class Refusal(NamedTuple):
    """Why a call has no answer. `retry_after_s` None: asking again will not help."""

    code: grpc.StatusCode
    message: str
    reason: str
    retry_after_s: float | None = None

    @property
    def number(self) -> int:
        """The code as google.rpc has it."""
        return int(self.code.value[0])


_KINDS: Final[tuple[tuple[type[Exception], grpc.StatusCode, str], ...]] = (
    (UnknownName, grpc.StatusCode.NOT_FOUND, "UNKNOWN_NAME"),
    (AlreadyExists, grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS"),
    (RunEnded, grpc.StatusCode.INVALID_ARGUMENT, "RUN_ENDED"),
    (BadInput, grpc.StatusCode.INVALID_ARGUMENT, "BAD_INPUT"),
    (BadRequest, grpc.StatusCode.INVALID_ARGUMENT, "BAD_REQUEST"),
    (Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
    (LeaseTimedOut, grpc.StatusCode.DEADLINE_EXCEEDED, "LEASE_TIMED_OUT"),
    (LeaseLost, grpc.StatusCode.FAILED_PRECONDITION, "LEASE_LOST"),
    (ResourceFailed, grpc.StatusCode.FAILED_PRECONDITION, "RESOURCE_FAILED"),
    (Misplaced, grpc.StatusCode.UNAVAILABLE, "MISPLACED"),
    (StoreError, grpc.StatusCode.UNAVAILABLE, "STORE_ERROR"),
    (NodeClosing, grpc.StatusCode.UNAVAILABLE, "NODE_CLOSING"),
    (Bug, grpc.StatusCode.INTERNAL, "BUG"),
)


def refusal(error: Exception) -> Refusal:
    """What to tell the caller. An error that is none of understudy's own is logged: it is a fault of ours."""
    for kind, code, reason in _KINDS:
        if isinstance(error, kind):
            delay_s = error.retry_after_s if isinstance(error, Overloaded) else None
            return Refusal(code, str(error), reason, delay_s)
    log.error("a call failed", exc_info=error)
    message = f"a fault of understudy: {type(error).__name__}: {error}; the node's log says more"
    return Refusal(grpc.StatusCode.INTERNAL, message, "BUG")


def told(error: BaseException) -> Exception:
    """What the caller is told of what his call raised: validators of users' types are called for it, on the engine's
    thread, and what they raise is not to end its loop. Only a call that is cancelled is left as it is.
    """
    if isinstance(error, Exception):
        return error
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError | GeneratorExit) and (task is None or task.cancelling()):
        raise error
    what = encode_failure(error)
    return BadInput(f"the code that reads the arguments raised {what.type}: {what.message}")


def to_error(refused: Refusal) -> values_pb2.Error:
    error = values_pb2.Error(code=refused.number, message=refused.message, reason=refused.reason)
    if refused.retry_after_s is not None:
        error.retry_delay.FromNanoseconds(int(refused.retry_after_s * 1e9))
    return error


def to_trailers(refused: Refusal) -> tuple[tuple[str, bytes], ...]:
    """The status's details, in the form that all gRPC libraries know."""
    status = status_pb2.Status(code=refused.number, message=refused.message)
    _add(status, error_details_pb2.ErrorInfo(reason=refused.reason, domain=DOMAIN))
    if refused.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(refused.retry_after_s * 1e9))
        _add(status, error_details_pb2.RetryInfo(retry_delay=delay))
    return ((DETAILS, status.SerializeToString()),)


def _add(status: status_pb2.Status, detail: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)
