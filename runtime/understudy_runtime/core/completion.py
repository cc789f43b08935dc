"""Completion tokens: which attempt of which job somebody outside says the end of.

A token is opaque to its holders and names the attempt, base64 of a JSON array. It is no secret: whoever may
complete jobs could make one up. What protects jobs is who may do that.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from understudy.errors import BadRequest
from understudy_runtime.core.keys import ACTOR_PREFIX, RUN
from understudy_runtime.core.messages import Token


class _Parts(msgspec.Struct, array_like=True, frozen=True):
    key: str
    execution: int
    call: int
    attempt: int


_BASE64 = re.compile(r"[A-Za-z0-9_-]*=*")
_decode = msgspec.json.Decoder(_Parts).decode


def completion_token(token: Token) -> str:
    parts = _Parts(token.key, token.execution, token.call, token.attempt)
    return urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def completed_attempt(token: str) -> Token:
    """The attempt that the token is of (its dispatch is 0); BadRequest if it is no such token."""
    try:
        parts = _decode(_bytes_of(token))
    except (ValueError, msgspec.MsgspecError):
        raise BadRequest(
            "this is no completion token; it is `task_info().completion_token` in a job's submit"
        ) from None
    if not _may_have_jobs(parts.key):
        raise BadRequest(f"this completion token is of {parts.key[:60]!a}, which is neither a run nor an actor")
    return Token(parts.key, parts.execution, parts.call, parts.attempt, 0)


def _bytes_of(token: str) -> bytes:
    """Strictly: the library drops what is no base64, and warns of it since CPython 3.15."""
    if _BASE64.fullmatch(token) is None:
        raise ValueError("it is no base64")
    return urlsafe_b64decode(token + "=" * (-len(token) % 4))


def _may_have_jobs(key: str) -> bool:
    namespace, _, rest = key.partition("/")
    kind, _, name = rest.partition("/")
    return bool(namespace and name) and (kind == RUN or kind.startswith(ACTOR_PREFIX))
