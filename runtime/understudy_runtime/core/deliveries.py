"""Deliveries: messages told to an actor or asked of it, and the answers it still owes.

Runs and user-defined actors own a `Deliveries` each. An answer is owed to a client, known to the shell by the
delivery's number, or to another actor, by a durable `Answer`. A command that carries an idempotency key is
taken once: a repetition within ten minutes gets what the first one got.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from understudy_runtime.core.kinds import Failure, MaybeRaw, Sender
from understudy_runtime.core.messages import Accepted, Answer, Decision, Deliver, Later, Refused, Reply, Send, Settled
from understudy_runtime.core.records.deliveries import Delivered, HandlerQueued, Replied

MAX_OPEN: Final = 1_000
"""Deliveries an actor may have open; more are refused until some have been answered."""
MAX_REMEMBERED: Final = 1_000
REMEMBERED_S: Final = 600.0


class Open(msgspec.Struct, omit_defaults=True):
    """A delivery whose handler has not ended."""

    ask: bool
    sender: Sender | None = None
    idempotency_key: str = ""
    chain: tuple[Sender, ...] = ()


class Remembered(msgspec.Struct, omit_defaults=True):
    """A command already taken. `delivery` 0: not a delivery (a cancel, a retry), or a tell."""

    at: float
    delivery: int = 0
    execution: int = 0
    result: MaybeRaw = None
    failure: Failure | None = None


class Deliveries(msgspec.Struct, omit_defaults=True):
    next: int = 1
    open: dict[int, Open] = {}
    remembered: dict[str, Remembered] = {}


def repeated(deliveries: Deliveries, message: Deliver) -> Decision | None:
    """What to answer if this message was taken before, else None."""
    if not message.idempotency_key:
        return None
    known = deliveries.remembered.get(message.idempotency_key)
    return None if known is None else Decision(reply=_reply_again(deliveries, known, message))


def _reply_again(deliveries: Deliveries, known: Remembered, message: Deliver) -> Reply:
    if not message.ask:
        return Accepted()
    if known.delivery in deliveries.open:
        return Later(known.delivery)
    return Settled(known.delivery, known.result, known.failure)


def refusal(deliveries: Deliveries) -> Refused | None:
    if len(deliveries.open) < MAX_OPEN:
        return None
    return Refused("Overloaded", f"{MAX_OPEN} messages are waiting for this actor; try again when it has caught up")


def refuse(message: Deliver, refused: Refused) -> Decision:
    """Tell whoever sent the message that it was not taken."""
    if message.sender is None:
        return Decision(reply=refused)
    failure = Failure(refused.error, refused.message, final=True)
    return Decision(send=[answer_to(message.sender, None, failure)] if message.ask else [])


def taken(deliveries: Deliveries, message: Deliver, kind: type[Delivered] | type[HandlerQueued]) -> Decision:
    """It becomes the next delivery, as this record."""
    record = kind(
        deliveries.next,
        message.handler,
        message.args,
        message.ask,
        message.sender,
        message.idempotency_key,
        message.chain,
    )
    return Decision(append=[record], activate=kind is Delivered, reply=reply_to(deliveries, message))


def reply_to(deliveries: Deliveries, message: Deliver) -> Reply | None:
    if message.sender is not None:
        return None
    return Later(deliveries.next) if message.ask else Accepted()


def answer_to(sender: Sender, result: Raw | None, failure: Failure | None) -> Send:
    return Send(sender.key, Answer(sender.execution, sender.call, result, failure))


def settle(
    deliveries: Deliveries, decision: Decision, delivery: int, result: Raw | None, failure: Failure | None
) -> None:
    """Add to `decision` the answer of a delivery that is open."""
    waiting = deliveries.open.get(delivery)
    if waiting is None or not waiting.ask:
        return
    if waiting.sender is not None:
        decision.send.append(answer_to(waiting.sender, result, failure))
    else:
        decision.settled.append(Settled(delivery, result, failure))


RUN_ENDED: Final = Failure("RunEnded", "the run ended before it answered", final=True)


def settle_all(deliveries: Deliveries, decision: Decision) -> None:
    """Nobody will answer what is still open."""
    answered = {record.delivery for record in decision.append if type(record) is Replied}
    for delivery in deliveries.open:
        if delivery not in answered:
            settle(deliveries, decision, delivery, None, RUN_ENDED)


# --- apply


def apply_received(deliveries: Deliveries, record: Delivered | HandlerQueued, at: float) -> None:
    deliveries.next = max(deliveries.next, record.delivery + 1)
    deliveries.open[record.delivery] = Open(record.ask, record.sender, record.idempotency_key, record.chain)
    if record.idempotency_key:
        remember(deliveries, record.idempotency_key, Remembered(at, record.delivery))


def apply_replied(deliveries: Deliveries, record: Replied) -> None:
    waiting = deliveries.open.pop(record.delivery, None)
    if waiting is not None:
        _note_answer(deliveries, waiting, None if record.failure else record.result, record.failure)


def apply_ended(deliveries: Deliveries) -> None:
    for waiting in deliveries.open.values():
        _note_answer(deliveries, waiting, None, RUN_ENDED)
    deliveries.open.clear()


def _note_answer(deliveries: Deliveries, waiting: Open, result: Raw | None, failure: Failure | None) -> None:
    known = deliveries.remembered.get(waiting.idempotency_key)
    if known is not None:
        known.result, known.failure = result, failure


def remember(deliveries: Deliveries, key: str, what: Remembered) -> None:
    """Take note of a command, and forget old ones: but not while one is open, because it could come again."""
    remembered = deliveries.remembered
    still_open: dict[str, Remembered] = {}
    while remembered:
        oldest = next(iter(remembered))
        count = len(remembered) + len(still_open)
        if count < MAX_REMEMBERED and remembered[oldest].at > what.at - REMEMBERED_S:
            break
        known = remembered.pop(oldest)
        if known.delivery in deliveries.open:
            still_open[oldest] = known
    remembered |= still_open
    remembered[key] = what
