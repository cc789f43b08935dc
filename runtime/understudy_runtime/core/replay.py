"""Replay, as pure functions: what the journal says a program was given, and what it asked for in answer.

`activations` cuts a journal into the stretches that were one activation each. `difference` compares what the
program asks for now with what it asked for then. What came in while an actor was held is handed over with
its release; what is left at the end was never handed over at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

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
MAX_VALUE_SHOWN: Final = 500
"""Characters of the arguments shown of each of these."""


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

    Commands are compared by kind, name and arguments. With `strict`, what came of the code counts as well: results of
    runs, replies, and states of actors.
    """
    mine, theirs = _compared(recorded), _compared(replayed)
    pairs = list(zip(mine, theirs, strict=False))
    at = next((i for i, (then, now) in enumerate(pairs) if not _same(then, now, strict)), len(pairs))
    if at == len(mine) == len(theirs):
        return None
    shows_values = at < len(pairs) and mine[at].said == theirs[at].said
    lines = [f"  {each.said}" for each in mine[max(0, at - MAX_SHOWN) : at]]
    lines += [f"- {each.shown(shows_values)}" for each in mine[at : at + MAX_SHOWN]] or ["- (nothing)"]
    lines += [f"+ {each.shown(shows_values)}" for each in theirs[at : at + MAX_SHOWN]] or ["+ (nothing)"]
    return "\n".join(["the journal says (-), the code now does (+):", *lines])


class _Command(NamedTuple):
    """A command as it is compared: `said` to people, what stands for its arguments, and its `values` to be shown."""

    said: str
    arguments: str = ""
    values: Raw | None = None
    result: bytes = b""

    def shown(self, with_values: bool) -> str:
        if not with_values or self.values is None:
            return self.said
        text = bytes(self.values).decode(errors="replace")
        return f"{self.said} {text if len(text) <= MAX_VALUE_SHOWN else text[:MAX_VALUE_SHOWN] + ' ...'}"


def _compared(records: list[AnyRecord]) -> list[_Command]:
    # A warning may come of garbage being collected, which no replay repeats.
    return [_command(record) for record in records if type(record) is not Warned]


def _same(then: _Command, now: _Command, strict: bool) -> bool:
    return then.said == now.said and then.arguments == now.arguments and not (strict and then.result != now.result)


def _command(record: AnyRecord) -> _Command:  # noqa: C901 - one line for each command
    match record:
        case TaskScheduled(call=call, task=name, digest=digest, args=args):
            return _Command(f"call {call}: task {name}", digest, args)
        case ChildScheduled(call=call, workflow=name, digest=digest, input=args):
            return _Command(f"call {call}: workflow {name}", digest, args)
        case AskScheduled(call=call, to=to, handler=handler, ask=ask, args=args):
            said = f"call {call}: {'ask' if ask else 'tell'} {to} {handler}"
            return _Command(said, bytes(args).decode(errors="replace"), args)
        case LeaseRequested(call=call, to=to, units=units, exclusive=exclusive, digest=digest, spec=spec):
            said = f"call {call}: lease {to}{' exclusively' if exclusive else ''}"
            return _Command(said, f"{units} {digest}", spec if isinstance(spec, Raw) else None)
        case LeaseEnded(call=call):
            return _Command(f"end of lease {call}")
        case OperationScheduled(call=call, lease=lease, operation=operation, digest=digest, args=args):
            return _Command(f"call {call}: {operation} under lease {lease}", digest, args)
        case CallCancelled(call=call):
            return _Command(f"cancel call {call}")
        case Replied(delivery=delivery, failure=failure, result=result):
            said = f"reply to message {delivery}{' with an error' if failure else ''}"
            return _with_result(said, result)
        case TimerSet(at=at):
            return _Command("no timer" if at is None else f"timer at {at:.6f}")
        case Completed(result=result):
            return _with_result("return", result)
        case Failed(failure=failure):
            return _Command(f"raise {failure.type}")
        case Cancelled():
            return _Command("end as cancelled")
        case ContinuedAsNew(digest=digest, input=given):
            return _Command("continue as new", digest, given)
        case Patched(id=id):
            return _Command(f"patch {id}")
        case StateSet(state=state):
            return _with_result("new state", state)
        case _:
            return _Command(type(record).__name__)


def _with_result(said: str, result: Raw | None) -> _Command:
    return _Command(said, "", result, b"" if result is None else bytes(result))
