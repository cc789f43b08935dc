"""The cluster as its operators see it: nodes, and the definitions they have the code for."""

from __future__ import annotations

from typing import Literal

import msgspec

NodeStatus = Literal["active", "blocked", "draining", "lost"]
WorkerStatus = Literal["active", "blocked", "away", "leaving", "lost"]
DefinitionKind = Literal["workflow", "actor", "task"]


class WorkerInfo(msgspec.Struct, frozen=True):
    """Somebody who runs tasks for a node. Times in seconds since 1970; `blocked_since` None: it is not blocked.

    `blocked_task` is thought to block it, at `blocked_at` (file:line). `trouble` says the same for people, or what else
    is wrong; empty if nothing is. No `queues` are all of them.
    """

    worker_id: str
    name: str
    status: WorkerStatus
    slots: int
    used: int
    queues: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    build: str = ""
    agent: str = ""
    joined_at: float = 0.0
    blocked_since: float | None = None
    blocked_task: str = ""
    blocked_at: str = ""
    trouble: str = ""


class WaitingTasks(msgspec.Struct, frozen=True):
    """Tasks that wait for a worker: `count` of them, the most urgent since `since` (seconds since 1970).

    `workers` is how many could take such a task if they had room: nobody can if it is 0.
    """

    task: str
    queue: str
    namespace: str
    slots: int
    labels: tuple[str, ...]
    count: int
    since: float
    workers: int


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
    open_calls: int = 0
    workers: tuple[WorkerInfo, ...] = ()
    waiting: tuple[WaitingTasks, ...] = ()
    shards: int = 0


class ShardInfo(msgspec.Struct, frozen=True):
    """See `Shard` in nodes.proto."""

    shard_id: int
    node_id: str
    term: int
    writer: str
    head: int


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
