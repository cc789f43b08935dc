"""What the machine knows of an actor, and what a program of it begins with."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec
from msgspec import Raw

from understudy_runtime.core import chains
from understudy_runtime.core.calls import Caller, Calls
from understudy_runtime.core.deliveries import Deliveries
from understudy_runtime.core.kinds import MaybeRaw, Sender
from understudy_runtime.core.leases import Leases
from understudy_runtime.core.messages import Accepted, Hold, Refused
from understudy_runtime.core.program.state import ProgramState
from understudy_runtime.core.records.deliveries import HandlerQueued

MAX_REMINDERS: Final = 100
"""Reminders that an actor may have set at a time."""


class Reminder(msgspec.Struct, frozen=True, omit_defaults=True):
    """The actor is to be told at `at` (seconds since 1970), and every `every_s` seconds if that is set."""

    handler: str
    args: Raw
    at: float
    every_s: float | None = None


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a fresh program of the actor begins with: its state as JSON (None: as the class says), of which version of
    the class it is, and the ids of its reminders."""

    state: MaybeRaw = None
    version: int = 1
    reminders: tuple[str, ...] = ()


class ActorState(ProgramState, omit_defaults=True):
    """What the machine knows of an actor. `value` is the JSON of its fields, of `version`; None: as the class says.

    `in_flight` is the delivery whose handler runs, 0 for none; it numbers the handler's calls, so that an answer
    to an earlier handler's call is refused. `reminded` says that it came of a reminder.
    """

    UNAWAITED: ClassVar[str] = "the actor that started it no longer awaits it"

    key: str
    created_at: float = 0.0
    turns: int = 0
    last_seq: int = 0
    value: MaybeRaw = None
    in_flight: int = 0
    began_seq: int = 0
    queue: list[HandlerQueued] = []
    calls: Calls = msgspec.field(default_factory=Calls)
    deliveries: Deliveries = msgspec.field(default_factory=Deliveries)
    leases: Leases = msgspec.field(default_factory=Leases)
    timer: float | None = None
    warnings: int = 0
    held: Hold | None = None
    version: int = 1
    reminders: dict[str, Reminder] = {}
    reminded: bool = False

    @property
    def caller(self) -> Caller:
        return Caller(self.key, self.in_flight)

    @property
    def shown(self) -> str:
        return f"actor {self.key}"

    @property
    def absent(self) -> Refused | None:
        return None if self.turns else Refused("UnknownName", f"nothing has happened to {self.key} yet")

    @property
    def not_held(self) -> Accepted:
        return Accepted()

    def waiting(self, delivery: int) -> tuple[Sender, ...]:
        """Those who wait for the handler in flight, which is the only one."""
        return chains.waiting_for(self.deliveries.open.get(self.in_flight))
