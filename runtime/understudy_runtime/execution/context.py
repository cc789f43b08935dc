"""What user code is told about its attempt, and what it tells: the same wherever the attempt runs."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw

from understudy import values
from understudy.context import TaskInfo
from understudy.errors import BadInput
from understudy_runtime.core.completion import completion_token
from understudy_runtime.core.keys import id_of
from understudy_runtime.core.messages import Dispatch

MAX_PROGRESS_BYTES: Final = 64_000

_LABEL: Final = "the progress given to heartbeat()"
_progress: Final = values.Decoder(Any, _LABEL)


def info_of(dispatch: Dispatch) -> TaskInfo:
    token = dispatch.token
    progress = None if dispatch.progress is None else _progress.decode(dispatch.progress, _LABEL)
    completion = "" if dispatch.options.job is None else completion_token(token)
    return TaskInfo(
        dispatch.idempotency_key,
        id_of(token.key),
        dispatch.task,
        token.attempt,
        token.dispatch,
        progress,
        completion,
    )


def encode_progress(progress: Any) -> Raw:
    """BadInput if the next attempt would not get it as it is, or it is larger than `MAX_PROGRESS_BYTES`."""
    data = _progress.encode(progress, _LABEL)
    if len(data) > MAX_PROGRESS_BYTES:
        raise BadInput(
            f"{_LABEL} has {len(data)} bytes; the most is {MAX_PROGRESS_BYTES}: keep a cursor in it, not the data"
        )
    return Raw(data)
