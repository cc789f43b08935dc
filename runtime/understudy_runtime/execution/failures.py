"""From what user code raised to the `Failure` that is journalled, and the two places where values do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from msgspec import Raw

from understudy.definitions import TaskDefinition
from understudy.failures import encode_failure
from understudy.options import TaskOptions
from understudy_runtime.core.kinds import Failure

_OURS: Final = str(Path(__file__).parent)


class Unfit(Exception):
    """Arguments cannot be decoded or a result not encoded: trying again will not help."""


def decode_call(definition: TaskDefinition, raw: Raw) -> tuple[tuple[Any, ...], dict[str, Any]]:
    try:
        return definition.call.decode(raw)
    except Exception as error:
        raise Unfit(str(error)) from error


def encode_result(definition: TaskDefinition, value: Any) -> Raw:
    try:
        return Raw(definition.result.encode(value))
    except Exception as error:
        raise Unfit(str(error)) from error


def failure_of(error: BaseException, definition: TaskDefinition | None, options: TaskOptions) -> Failure:
    """How `error` ended an attempt. Never raises, whatever class of the user's the error is."""
    if isinstance(error, Unfit):
        return Failure("BadInput", str(error), final=True)
    try:
        raises = () if definition is None else definition.raises
        return Failure(*encode_failure(_as_user_sees_it(error), raises, options.retry.final))
    except Exception as broken:
        return Failure(type(error).__qualname__, f"(its details could not be kept: {type(broken).__qualname__})")


def _as_user_sees_it(error: BaseException) -> BaseException:
    """With a traceback that begins in user code."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
        frames = frames.tb_next
    return error.with_traceback(frames)
