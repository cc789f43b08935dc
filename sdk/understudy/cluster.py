"""The cluster as its operators see it: nodes, and the definitions they have the code for."""

from __future__ import annotations

from typing import Literal

import msgspec

NodeStatus = Literal["active", "blocked", "draining", "lost"]
DefinitionKind = Literal["workflow", "actor", "task"]


class NodeInfo(msgspec.Struct, frozen=True):
    """See `Node` in nodes.proto. `started_at` in seconds since 1970."""

    node_id: str
    address: str
    status: NodeStatus
    started_at: float
    build: str = ""
    version: str = ""
    resident_actors: int = 0
    open_attempts: int = 0
    turns: int = 0
    trouble: str = ""


class HandlerInfo(msgspec.Struct, frozen=True):
    name: str
    readonly: bool
    signature: str


class DefinitionInfo(msgspec.Struct, frozen=True):
    """For people, except for the names. `signature` reads as Python would write it."""

    kind: DefinitionKind
    name: str
    app: str
    signature: str = ""
    handlers: tuple[HandlerInfo, ...] = ()
