"""What user-defined actors keep: their state and their reminders."""

from __future__ import annotations

from msgspec import Raw

from understudy_runtime.core.kinds import Command


class StateSet(Command, frozen=True):
    """The new state of a user-defined actor, of this version of its class, once no handler is in flight."""

    state: Raw
    version: int = 1


class ReminderSet(Command, frozen=True):
    """The actor is to be told by itself at `at`, and then every `every_s` seconds. It replaces one of its id."""

    id: str
    handler: str
    args: Raw
    at: float
    every_s: float | None = None


class ReminderForgotten(Command, frozen=True):
    id: str


ActorRecord = StateSet | ReminderSet | ReminderForgotten
