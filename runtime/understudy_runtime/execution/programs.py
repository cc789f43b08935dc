"""`AppPrograms`: the `Programs` port over the apps of this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw

from understudy.app import App
from understudy.definitions import ActorDefinition, HandlerDefinition, ResourceDefinition, WorkflowDefinition
from understudy.errors import BadDefinition, UnknownName
from understudy_runtime.core.actor import Kept
from understudy_runtime.core.keys import ACTOR_PREFIX, LOCK, RESOURCE_PREFIX, RUN, SEMAPHORE, kind_of
from understudy_runtime.core.ports import Order, Program
from understudy_runtime.execution.program import ORDERS, Watchdog
from understudy_runtime.execution.program.actors import ActorProgram
from understudy_runtime.execution.program.runs import RunProgram

D = TypeVar("D", WorkflowDefinition, ActorDefinition, ResourceDefinition)


class AppPrograms:
    """Programs of all workflows and actors of some apps. Names must not clash between the apps."""

    orders: Sequence[Order] = ORDERS

    def __init__(self, apps: Iterable[App], watchdog: Watchdog | None) -> None:
        self._watchdog = watchdog
        self._workflows: dict[str, WorkflowDefinition] = {}
        self.actors: dict[str, ActorDefinition] = {}
        self.resources: dict[str, ResourceDefinition] = {}
        for app in apps:
            _add(self._workflows, app.workflows, app)
            _add(self.actors, app.actors, app)
            _add(self.resources, app.resources, app)

    def has(self, kind: str, definition: str) -> bool:
        if kind in (LOCK, SEMAPHORE):
            return True
        if kind.startswith(RESOURCE_PREFIX):
            return definition in self.resources
        return definition in (self._workflows if kind == RUN else self.actors)

    def handlers(self, kind: str, definition: str) -> Mapping[str, HandlerDefinition]:
        """Those of an actor or (`kind` is "run") of a workflow; UnknownName if it is not here."""
        known: Mapping[str, WorkflowDefinition | ActorDefinition] = self._workflows if kind == RUN else self.actors
        if definition not in known:
            raise UnknownName(f"this node has no {'workflow' if kind == RUN else 'actor'} named {definition}")
        return known[definition].handlers

    def create(self, key: str, definition: str, state: Raw | None, order: Order = "3.13") -> Program:
        if not self.has(kind := kind_of(key), definition):
            raise UnknownName(f"this node has no {'workflow' if kind == RUN else 'actor'} named {definition}")
        if kind == RUN:
            return RunProgram(key, self._workflows[definition], self._watchdog, self.resources, order)
        kept = Kept() if state is None else _decode_kept(state)
        definition = kind.removeprefix(ACTOR_PREFIX)
        return ActorProgram(key, self.actors[definition], kept, self._watchdog, self.resources, order)


_decode_kept = msgspec.json.Decoder(Kept).decode


def _add(known: dict[str, D], more: Mapping[str, D], app: App) -> None:
    for name, definition in more.items():
        if name in known:
            raise BadDefinition(f"two apps define {name}, the second being {app.name}; give one of them another name")
        known[name] = definition
