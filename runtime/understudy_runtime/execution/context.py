"""What user code is told about its attempt, and what it tells: the same wherever the attempt runs."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from understudy import values
from understudy.context import TaskInfo
from understudy.errors import BadInput
from understudy_runtime.core.completion import completion_token
from understudy_runtime.core.keys import id_of
from understudy_runtime.core.messages import Dispatch

MAX_PROGRESS_BYTES: Final = 64_000


def info_of(dispatch: Dispatch) -> TaskInfo:
    token = dispatch.token
    progress = None if dispatch.progress is None else msgspec.json.decode(dispatch.progress)
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
    """BadInput if it cannot be encoded, or is larger than `MAX_PROGRESS_BYTES`."""
    data = values.encode(progress, "the progress given to heartbeat()")
    if len(data) > MAX_PROGRESS_BYTES:
        raise BadInput(
            f"the progress given to heartbeat() has {len(data)} bytes; the most is {MAX_PROGRESS_BYTES}: "
            "keep a cursor in it, not the data"
        )
    return Raw(data)
