"""What an app is made of, checked and with its codecs built, as the runtime sees it.

Definitions are plain frozen data; the decorators in `understudy.app` make them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from understudy import values
from understudy.codec import CallCodec, ResultCodec, StateCodec
from understudy.options import TaskOptions
from understudy.resourcing import ResourceOptions

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
    rate: tuple[str, float] | None = None
    """When it is watched: the outside system that it polls, and how many polls that may get in a second, in all."""
    batch: TaskDefinition | None = None
    """When it is watched: what takes a list of its only argument, and gives a list of its results."""


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
    """`migrate` makes state of this `version` of that of an earlier one, both as plain JSON types."""

    name: str
    cls: type[Any]
    handlers: Mapping[str, HandlerDefinition]
    state: StateCodec
    version: int = 1
    migrate: Callable[[dict[str, Any], int], dict[str, Any]] | None = None


class OperationDefinition(msgspec.Struct, frozen=True):
    """An operation as its callers see it: without handle and fence."""

    name: str
    call: CallCodec
    result: ResultCodec
    raises: tuple[type[Exception], ...] = ()


class ResourceDefinition(msgspec.Struct, frozen=True):
    """A type of resource. `driver` holds its methods by name, operations included, for the instance of a node."""

    name: str
    cls: type[Any]
    options: ResourceOptions
    driver: Mapping[str, TaskDefinition]
    operations: Mapping[str, OperationDefinition]
    spec: values.Decoder
    handle: values.Decoder

    def encode_spec(self, spec: Any) -> tuple[bytes, str]:
        """As JSON, with its digest; BadInput if it would not arrive as it is."""
        label = f"the spec of {self.name}"
        data, unordered = values.encode_parts((spec,), ("",), spec, label)
        self.spec.refuse_changes(spec, data, label)
        return data, values.digest(data, spec, unordered)

    def decode_handle(self, data: bytes) -> Any:
        return self.handle.decode(data, f"the handle of {self.name}")
