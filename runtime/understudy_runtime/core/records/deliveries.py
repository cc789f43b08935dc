"""Messages that reach handlers, in runs and in actors, and their answers."""

from __future__ import annotations

from msgspec import Raw

from understudy_runtime.core.kinds import NULL, Command, Failure, Input, Note, Sender


class Delivered(Input, frozen=True):
    """A told or asked message reached the actor. `delivery` counts from 1 within the actor.

    `reminder` is the id of the reminder that came due, if it is one; a repeated one next comes due at `again_at`.
    """

    delivery: int
    handler: str
    args: Raw
    ask: bool = False
    sender: Sender | None = None
    idempotency_key: str = ""
    chain: tuple[Sender, ...] = ()
    reminder: str = ""
    again_at: float | None = None


class HandlerQueued(Note, frozen=True):
    """A message waits until the actor's handler in flight has ended."""

    delivery: int
    handler: str
    args: Raw
    ask: bool = False
    sender: Sender | None = None
    idempotency_key: str = ""
    chain: tuple[Sender, ...] = ()


class Replied(Command, frozen=True):
    """The handler of `delivery` has ended: with a result unless `failure` is set."""

    delivery: int
    result: Raw = NULL
    failure: Failure | None = None


class NothingToDo(Note, frozen=True):
    """A command found the run as it was to make it. Kept so that, sent again, it does not meet a later execution."""

    idempotency_key: str


DeliveryRecord = Delivered | HandlerQueued | Replied | NothingToDo
