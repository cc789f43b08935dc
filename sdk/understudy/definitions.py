"""What an app is made of, checked and with its codecs built, as the runtime sees it.

Definitions are plain frozen data; the decorators in `understudy.app` make them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from understudy.codec import CallCodec, ResultCodec, StateCodec
from understudy.options import TaskOptions

TaskKind = Literal["async", "thread", "process"]


class TaskDefinition(msgspec.Struct, frozen=True):
    """`target` is where a child process finds the function: (file path or module name, qualified name)."""

    name: str
    fn: Callable[..., Any]
    kind: TaskKind
    options: TaskOptions
    call: CallCodec
    result: ResultCodec
    raises: tuple[type[Exception], ...] = ()
    default: Any = None
    target: tuple[str, str] = ("", "")


class HandlerDefinition(msgspec.Struct, frozen=True):
    """A method that outsiders may tell or ask. `readonly` ones see the state as it is and change nothing."""

    name: str
    fn: Callable[..., Any]
    readonly: bool
    call: CallCodec
    result: ResultCodec


class WorkflowDefinition(msgspec.Struct, frozen=True):
    """`entry` is the coroutine function, or the class whose `run` it is (`handlers` are then its methods)."""

    name: str
    entry: Callable[..., Any]
    is_class: bool
    call: CallCodec
    result: ResultCodec
    handlers: Mapping[str, HandlerDefinition]
    deadline_s: float | None = None
    raises: tuple[type[Exception], ...] = ()


class ActorDefinition(msgspec.Struct, frozen=True):
    name: str
    cls: type[Any]
    handlers: Mapping[str, HandlerDefinition]
    state: StateCodec
