"""Exceptions as values, and back: how user code's errors travel.

An error class listed in `raises=` is rebuilt from its arguments and attributes, as plain JSON types, and reaches
the caller as itself; any other becomes `TaskFailed` with the type, message and traceback as text. A listed
error whose arguments have no JSON form travels like any other.
"""

from __future__ import annotations

import traceback
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple, Protocol

import msgspec
from msgspec import Raw

from understudy import values
from understudy.errors import (
    AskCycle,
    AskFailed,
    BadRequest,
    LeaseLost,
    LeaseTimedOut,
    OperationUncertain,
    Overloaded,
    ResourceFailed,
    RunCancelled,
    RunError,
    RunFailed,
    RunTerminated,
    RunTimedOut,
    TaskFailed,
    TaskTimedOut,
    UnknownName,
)

FailureKind = Literal["error", "timeout", "cancelled", "lost", "returned"]

MAX_TRACEBACK_CHARS: Final = 8_000
"""Longer tracebacks keep their end, where the error is."""

MAX_MESSAGE_CHARS: Final = 2_000


class FailureFields(NamedTuple):
    """What is kept of an exception. `arguments` is JSON: [its arguments, its attributes]."""

    type: str
    message: str = ""
    traceback: str = ""
    arguments: Raw | None = None
    kind: FailureKind = "error"
    final: bool = False


class FailureLike(Protocol):
    """What can be turned back into an exception: `FailureFields`, or the runtime's own record."""

    @property
    def type(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def traceback(self) -> str: ...
    @property
    def arguments(self) -> Raw | None: ...
    @property
    def kind(self) -> FailureKind: ...


class _Parts(msgspec.Struct, array_like=True):
    args: list[Any]
    attributes: dict[str, Any] = {}


class Elsewhere(Exception):
    """The traceback of an error where it was raised, as the cause of the error that tells of it here."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


_parts: Final = values.Decoder(_Parts, "the arguments of an exception")


def encode_failure(
    error: BaseException, raises: Sequence[type[Exception]] = (), final: Collection[str] = ()
) -> FailureFields:
    """What is kept of `error`. `final` names the classes that no policy tries again, subclasses included.

    Never raises, whatever class of the user's the error is.
    """
    try:
        return _encode(error, raises, final)
    except BaseException as broken:
        return FailureFields(
            type(error).__qualname__, f"<its details could not be kept: {type(broken).__name__} was raised by them>"
        )


def _encode(error: BaseException, raises: Sequence[type[Exception]], final: Collection[str]) -> FailureFields:
    names = [base.__qualname__ for base in type(error).__mro__]
    listed = next((base for base in type(error).__mro__ if base in raises), None)
    return FailureFields(
        type=names[0] if listed is None else listed.__qualname__,
        message=_text(error),
        traceback=_unicode("".join(_lines_from_user_code(error)))[-MAX_TRACEBACK_CHARS:],
        arguments=None if listed is None else _encode_arguments(error),
        final=any(name in final for name in names),
    )


_BEFORE_USER_CODE: Final = frozenset({"understudy", "understudy_runtime", "asyncio", "importlib"})
"""The packages whose frames stand between a node's beginning and user code."""


def _lines_from_user_code(error: BaseException) -> list[str]:
    """The traceback, from the first frame that is user code's; all of it if none is."""
    frames = error.__traceback__
    while frames is not None:
        if frames.tb_frame.f_globals.get("__name__", "").partition(".")[0] not in _BEFORE_USER_CODE:
            return traceback.format_exception(type(error), error, frames)
        frames = frames.tb_next
    return traceback.format_exception(error)


def decode_failure(failure: FailureLike, raises: Sequence[type[Exception]] = ()) -> Exception:
    """The exception that the caller of a task sees."""
    kind = TaskTimedOut if failure.kind == "timeout" else TaskFailed
    error = _rebuild(failure, raises) or kind(failure.type, failure.message, failure.traceback)
    return _caused(error, failure)


def decode_run_failure(run_id: str, failure: FailureLike, raises: Sequence[type[Exception]] = ()) -> Exception:
    """The exception that whoever awaits a failed run sees, a parent run included."""
    error = _rebuild(failure, raises) or RunFailed(run_id, failure.type, failure.message, failure.traceback)
    return _caused(error, failure)


def decode_ask_failure(failure: FailureLike) -> Exception:
    """The exception that whoever asked a handler sees."""
    kind = AskCycle if failure.type == AskCycle.__name__ else AskFailed
    return _caused(kind(failure.type, failure.message, failure.traceback), failure)


_LEASE_ERRORS: Final[dict[str, type[Exception]]] = {
    "BadRequest": BadRequest,
    "LeaseLost": LeaseLost,
    "OperationUncertain": OperationUncertain,
    "Overloaded": Overloaded,
    "UnknownName": UnknownName,
}


def decode_lease_failure(failure: FailureLike) -> Exception:
    """The exception that whoever asked for a lease sees."""
    if failure.kind == "timeout":
        return LeaseTimedOut(f"{failure.message}; give it more time (wait=), or look who has it: understudy resources")
    kind = _LEASE_ERRORS.get(failure.type)
    if kind is not None:
        return kind(failure.message)
    why = failure.message if failure.type == "ResourceFailed" else f"{failure.type}: {failure.message}"
    return _caused(ResourceFailed(why), failure)


def decode_operation_failure(failure: FailureLike, raises: Sequence[type[Exception]] = ()) -> Exception:
    """The exception that the caller of an operation sees. What user code raised has a traceback."""
    kind = None if failure.traceback else _LEASE_ERRORS.get(failure.type)
    return decode_failure(failure, raises) if kind is None else kind(failure.message)


_ENDS: Final[dict[str, type[RunError]]] = {
    "cancelled": RunCancelled,
    "terminated": RunTerminated,
    "timed_out": RunTimedOut,
}


def run_ended(run_id: str, status: str, reason: str = "") -> RunError:
    """The error for a run that was ended from outside: cancelled, terminated or timed out."""
    message = f"run {run_id} {'timed out' if status == 'timed_out' else f'was {status}'}"
    return _ENDS[status](run_id, f"{message}: {reason}" if reason else message)


def _caused(error: Exception, failure: FailureLike) -> Exception:
    if failure.traceback:
        error.__cause__ = Elsewhere(failure.traceback)
    return error


def _encode_arguments(error: BaseException) -> Raw | None:
    try:
        return Raw(values.encode(_Parts(list(error.args), vars(error)), type(error).__qualname__))
    except BaseException:  # what has no JSON form, and what models of the user's raise while it is made
        return None


def _rebuild(failure: FailureLike, raises: Sequence[type[Exception]]) -> Exception | None:
    listed = next((kind for kind in raises if kind.__qualname__ == failure.type), None)
    if listed is None or failure.arguments is None:
        return None
    parts = _parts.decode(failure.arguments, failure.type)
    error = _construct(listed, parts.args)
    vars(error).update(parts.attributes)
    return error


def _construct(kind: type[Exception], args: list[Any]) -> Exception:
    # A constructor may take other arguments than it leaves in `args`; the attributes say what it did.
    with suppress(Exception):
        error = kind(*args)
        if list(error.args) == args:
            return error
    error = kind.__new__(kind, *args)
    error.args = tuple(args)
    return error


def _text(error: BaseException) -> str:
    try:
        return clean_text(str(error))
    except BaseException as broken:
        return f"<its message could not be made: {type(broken).__name__}>"


def clean_text(text: str) -> str:
    """Text for people, made fit for any reader: valid Unicode, at most `MAX_MESSAGE_CHARS`."""
    return _unicode(text)[:MAX_MESSAGE_CHARS]


def _unicode(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
