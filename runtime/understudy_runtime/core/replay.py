"""Replay, as pure functions: what the journal says a program was given, and what it asked for in answer.

`activations` cuts a journal into the stretches that were one activation each. `difference` compares what the
program asks for now with what it asked for then. What came in while an actor was held is handed over with
its release; what is left at the end was never handed over at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from understudy_runtime.core.kinds import Command, Input
from understudy_runtime.core.messages import ReplayFrom
from understudy_runtime.core.records import AnyRecord, Turn
from understudy_runtime.core.records.actors import StateSet
from understudy_runtime.core.records.calls import AskScheduled, CallCancelled, ChildScheduled, TaskScheduled
from understudy_runtime.core.records.deliveries import Delivered, Replied
from understudy_runtime.core.records.leases import LeaseEnded, LeaseRequested, OperationScheduled
from understudy_runtime.core.records.programs import Held, Patched, Released, TimerSet, Warned
from understudy_runtime.core.records.runs import Cancelled, Completed, ContinuedAsNew, Ended, ExecutionStarted, Failed

MAX_SHOWN: Final = 3
"""Commands shown around a divergence, to either side."""


class Activation(msgspec.Struct):
    """One activation: in turn `seq`, at time `at`. `complete` is False for what was never handed over."""

    seq: int
    at: float
    inputs: list[AnyRecord]
    commands: list[AnyRecord]
    complete: bool = True


def activations(turns: Iterable[Turn], start: ReplayFrom) -> Iterator[Activation]:
    """The activations of a program from `start` on; the last is incomplete if the actor is held."""
    waiting: list[AnyRecord] = []
    begun = held = False
    seq, at = 0, 0.0
    for turn in turns:
        seq, at = turn.seq, turn.at
        records = turn.records if begun else _from_start(turn.records, start)
        begun = begun or bool(records)
        current = Activation(seq, at, waiting, [])
        for record in records:
            stops = type(record) in _STOPS
            if (stops or isinstance(record, Input)) and current.commands:
                yield current
                current = Activation(seq, at, [], [])
            if isinstance(record, Input):
                current.inputs.append(record)
            elif isinstance(record, Command):
                current.commands.append(record)
            held = stops or (held and type(record) is not Released)
        waiting = current.inputs if held else []
        if not held and (current.inputs or current.commands):
            yield current
    if waiting:
        yield Activation(seq, at, waiting, [], complete=False)


_STOPS: Final = (Held, Ended)
"""Records behind which user code was not run: what stands directly before them was not handed over."""


def _from_start(records: list[AnyRecord], start: ReplayFrom) -> list[AnyRecord]:
    for i, record in enumerate(records):
        if begins(record, start):
            return records[i:]
    return []


def begins(record: AnyRecord, start: ReplayFrom) -> bool:
    match record:
        case ExecutionStarted(execution=execution):
            return execution == start.execution
        case Delivered(delivery=delivery):
            return delivery == start.delivery
        case _:
            return False


def difference(recorded: list[AnyRecord], replayed: list[AnyRecord], *, strict: bool = False) -> str | None:
    """What differs between the commands of one activation then and now, as text for people; None: nothing does.

    Commands are compared by kind and name. With `strict`, arguments count as well; in production a changed digest
    (a field added with a default) must not stop a run.
    """
    mine, theirs = _names(recorded, strict), _names(replayed, strict)
    if mine == theirs:
        return None
    at = next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs)))
    lines = [f"  {name}" for name in mine[max(0, at - MAX_SHOWN) : at]]
    lines += [f"- {name}" for name in mine[at : at + MAX_SHOWN]] or ["- (nothing)"]
    lines += [f"+ {name}" for name in theirs[at : at + MAX_SHOWN]] or ["+ (nothing)"]
    return "\n".join(["the journal says (-), the code now does (+):", *lines])


def changed_arguments(recorded: list[AnyRecord], replayed: list[AnyRecord]) -> list[str]:
    """Names of calls that are the same but for their arguments."""
    return [
        _name(a, strict=False)
        for a, b in zip(recorded, replayed, strict=False)
        if _name(a, strict=True) != _name(b, strict=True)
    ]


def _names(records: list[AnyRecord], strict: bool) -> list[str]:
    # A warning may come of garbage being collected, which no replay repeats.
    return [_name(record, strict) for record in records if type(record) is not Warned]


def _name(record: AnyRecord, strict: bool) -> str:
    said, digest = _said(record)
    return f"{said} [{digest}]" if strict and digest else said


def _said(record: AnyRecord) -> tuple[str, str]:  # noqa: C901 - one line for each command
    """What a command is to a person, and what stands for its arguments."""
    match record:
        case TaskScheduled(call=call, task=name, digest=digest):
            return f"call {call}: task {name}", digest
        case ChildScheduled(call=call, workflow=name, digest=digest):
            return f"call {call}: workflow {name}", digest
        case AskScheduled(call=call, to=to, handler=handler, ask=ask, args=args):
            return f"call {call}: {'ask' if ask else 'tell'} {to} {handler}", bytes(args).decode()
        case LeaseRequested(call=call, to=to, units=units, exclusive=exclusive, digest=digest):
            return f"call {call}: lease {to}{' exclusively' if exclusive else ''}", f"{units} {digest}"
        case LeaseEnded(call=call):
            return f"end of lease {call}", ""
        case OperationScheduled(call=call, lease=lease, operation=operation, digest=digest):
            return f"call {call}: {operation} under lease {lease}", digest
        case CallCancelled(call=call):
            return f"cancel call {call}", ""
        case Replied(delivery=delivery, failure=failure):
            return f"reply to message {delivery}{' with an error' if failure else ''}", ""
        case TimerSet(at=at):
            return ("no timer" if at is None else f"timer at {at:.6f}"), ""
        case Completed():
            return "return", ""
        case Failed(failure=failure):
            return f"raise {failure.type}", ""
        case Cancelled():
            return "end as cancelled", ""
        case ContinuedAsNew(digest=digest):
            return "continue as new", digest
        case Patched(id=id):
            return f"patch {id}", ""
        case StateSet(state=state):
            return "new state", bytes(state).decode()
        case _:
            return type(record).__name__, ""
