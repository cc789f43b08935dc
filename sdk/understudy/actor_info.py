"""How user-defined actors stand, for people and programs that look at them from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Raw

ActorStatus = Literal["active", "held"]


class ActorSummary(msgspec.Struct, frozen=True):
    """One line of a list of actors; `kind` is the name of the class. Times in seconds since 1970."""

    kind: str
    id: str
    status: ActorStatus
    created_at: float = 0.0
    updated_at: float = 0.0


class ActorDescription(msgspec.Struct, frozen=True):
    """How an actor stands now. Times in seconds since 1970; `state` is JSON, None as long as it is as the class says.

    `version` is that of the class which the state is of, `queued` counts the messages that wait for the handler in
    flight, `running` its tasks, and `reminders` says when each comes next. `held_why` is diverged, stalled, poisoned or
    uncertain, and `held_detail` says what to do.
    """

    kind: str
    id: str
    status: ActorStatus
    turns: int = 0
    created_at: float = 0.0
    state: Raw | None = None
    version: int = 1
    queued: int = 0
    running: int = 0
    warnings: int = 0
    held_why: str = ""
    held_detail: str = ""
    reminders: Mapping[str, float] = {}
