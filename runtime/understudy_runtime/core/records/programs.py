"""What goes for every program, that of a run or of an actor: its timer, what it says, and that it is held."""

from __future__ import annotations

from understudy_runtime.core.kinds import Command, HeldWhy, Input, Note


class Fired(Input, frozen=True):
    """The program's timer came due."""


class TimerSet(Command, frozen=True):
    """When the program next wants to be woken; None: not by time."""

    at: float | None = None


class Patched(Command, frozen=True):
    """User code took the new side of `patched(id)`."""

    id: str


class Warned(Command, frozen=True):
    """Something a person should know, such as an exception nobody retrieved."""

    message: str


class Cautioned(Note, frozen=True):
    """The machine warns of something, such as a journal that grows long."""

    message: str


class Held(Note, frozen=True):
    why: HeldWhy
    detail: str


class Released(Input, frozen=True):
    """A held actor goes on; everything that came in meanwhile is handed over with it, in order."""

    idempotency_key: str = ""


ProgramRecord = Fired | TimerSet | Patched | Warned | Cautioned | Held | Released
