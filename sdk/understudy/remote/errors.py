"""Statuses of gRPC, and `Error` messages of sessions, as the errors that a local door raises."""

from __future__ import annotations

from typing import Final

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from understudy import errors
from understudy_proto.v1 import values_pb2

DETAILS: Final = "grpc-status-details-bin"
CLOSING: Final = "NODE_CLOSING"
DEFAULT_DELAY_S: Final = 1.0

_KINDS: Final[dict[str, type[errors.UnderstudyError]]] = {
    "BAD_REQUEST": errors.BadRequest,
    "BAD_INPUT": errors.BadInput,
    "UNKNOWN_NAME": errors.UnknownName,
    "ALREADY_EXISTS": errors.AlreadyExists,
    "RUN_ENDED": errors.RunEnded,
    "OVERLOADED": errors.Overloaded,
    "LEASE_TIMED_OUT": errors.LeaseTimedOut,
    "LEASE_LOST": errors.LeaseLost,
    "RESOURCE_FAILED": errors.ResourceFailed,
    "MISPLACED": errors.Misplaced,
    "STORE_ERROR": errors.StoreError,
    "NOT_ALLOWED": errors.NotAllowed,
    "BUG": errors.Bug,
}
_CODES: Final[dict[int, type[errors.UnderstudyError]]] = {
    3: errors.BadRequest,  # INVALID_ARGUMENT
    4: errors.Unreachable,  # DEADLINE_EXCEEDED
    5: errors.UnknownName,  # NOT_FOUND
    6: errors.AlreadyExists,  # ALREADY_EXISTS
    7: errors.NotAllowed,  # PERMISSION_DENIED
    8: errors.Overloaded,  # RESOURCE_EXHAUSTED
    14: errors.Unreachable,  # UNAVAILABLE
    16: errors.NotAllowed,  # UNAUTHENTICATED
}


def of_error(error: values_pb2.Error) -> errors.UnderstudyError:
    """What a call of a session was answered with."""
    delay = error.retry_delay
    delay_s = delay.seconds + delay.nanos / 1e9 if error.HasField("retry_delay") else DEFAULT_DELAY_S
    return _made(error.code, error.message, error.reason, delay_s)


def of_status(error: grpc.aio.AioRpcError) -> errors.UnderstudyError:
    """What a unary call or a stream ended with."""
    reason, delay_s = _details(error)
    return _made(error.code().value[0], error.details() or "", reason, delay_s)


def is_transient(error: grpc.aio.AioRpcError) -> bool:
    """The connection or the node broke; another try, or another node, may do."""
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return _details(error)[0] in ("", CLOSING)
    # A connection cut in the middle of a message shows as one of these, without details of ours.
    return error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN) and not _details(error)[0]


def _made(code: int, message: str, reason: str, delay_s: float) -> errors.UnderstudyError:
    kind = _KINDS.get(reason) or _CODES.get(code, errors.Bug)
    if kind is errors.Overloaded:
        return errors.Overloaded(message, delay_s)
    return kind(message)


def _details(error: grpc.aio.AioRpcError) -> tuple[str, float]:
    """The reason and the delay in seconds, as far as they are told."""
    reason, delay_s = "", DEFAULT_DELAY_S
    for name, value in error.trailing_metadata() or ():
        if name != DETAILS or not isinstance(value, bytes):
            continue
        for detail in status_pb2.Status.FromString(value).details:
            info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                reason = info.reason
            elif detail.Unpack(retry):
                delay_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    return reason, delay_s
