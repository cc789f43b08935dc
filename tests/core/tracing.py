"""Traces: what a machine decides, as text that is read like a story and reviewed like code.

A trace file is a series of blocks. Above `----` stands what comes in: the machine (`run ID`, `actor NAME ID`) or a
message, after `@` and the time if it has passed, and behind `>` what user code asks for in answer, a lone `>`
dividing activations of one turn. Below it stands what the turn came to, up to an empty line:

    + a record        < an activation, with its inputs     send, execute, abandon, timer, reply, settled, closed
    = the state: its status, when it next has something to do by itself, and whether a node must load it

`UNDERSTUDY_REWRITE_TRACES=1 pytest tests/core` writes what is now; then read the diff.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import NODEFAULT, Raw

from understudy.options import JobOptions, RetryPolicy, TaskOptions
from understudy_runtime.actors import turns
from understudy_runtime.actors.cell import Cell, Phase
from understudy_runtime.core.actor import ActorMachine
from understudy_runtime.core.keys import actor_key, kind_of, run_key
from understudy_runtime.core.kinds import Failure, Sender
from understudy_runtime.core.messages import (
    Activated,
    Answer,
    AnyMessage,
    AttemptEnded,
    AttemptProgressed,
    Cancel,
    CompleteJob,
    Decision,
    Deliver,
    Describe,
    Hold,
    ListJobs,
    Recovered,
    Release,
    RetryRun,
    SettleJob,
    Start,
    Terminate,
    TimerDue,
    Token,
)
from understudy_runtime.core.ports import Order
from understudy_runtime.core.records import AnyRecord, Turn
from understudy_runtime.core.records.actors import StateSet
from understudy_runtime.core.records.calls import AskScheduled, CallCancelled, ChildScheduled, TaskScheduled
from understudy_runtime.core.records.deliveries import Replied
from understudy_runtime.core.records.programs import Patched, TimerSet, Warned
from understudy_runtime.core.records.runs import Cancelled, Completed, ContinuedAsNew, Failed, Reusable
from understudy_runtime.core.replay import activations
from understudy_runtime.core.run import RunMachine

NULL = Raw(b"null")


class Block(NamedTuple):
    comment: list[str]
    given: list[str]


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a file, without what they came to."""
    for part in text.strip().split("\n\n"):
        lines = part.splitlines()
        comment = [line for line in lines if line.startswith("#")]
        given = [line for line in lines if not line.startswith("#")]
        yield Block(comment, given[: given.index("----")] if "----" in given else given)


def traced(text: str) -> tuple[str, list[Bench]]:
    """The file as it should read, and the machines that its blocks went through, as they stand at the end."""
    written: list[str] = []
    benches: list[Bench] = []
    for block in blocks(text):
        if not block.given:
            written.append("\n".join(block.comment))
            continue
        words = shlex.split(block.given[0])
        if words[0] in ("run", "actor"):
            benches.append(Bench(words))
            out: list[str] = []
        else:
            out = benches[-1].turn(block.given)
        written.append(
            "\n".join([*block.comment, *block.given, "----", *out] if out else [*block.comment, *block.given])
        )
    return "\n\n".join(written) + "\n", benches


class Bench:
    """One machine, taking turns as the engine takes them, with user code that does what the trace says."""

    orders: Sequence[Order] = ("3.13",)

    def __init__(self, words: list[str]) -> None:
        key = run_key("default", words[1]) if words[0] == "run" else actor_key("default", words[1], words[2])
        self.cell = Cell(key, kind_of(key), RunMachine() if words[0] == "run" else ActorMachine())
        self.cell.phase, self.cell.state = Phase.READY, self.cell.machine.initial(key)
        self.now = 0.0
        self.journal: list[Turn] = []
        self.snapshots: list[bytes] = []
        self._answers: list[list[str]] = []
        self._out: list[str] = []

    def turn(self, given: list[str]) -> list[str]:
        words = shlex.split(given[0])
        if words[0].startswith("@"):
            self.now = float(words.pop(0)[1:])
        self._answers = _split([line[1:].strip() for line in given[1:]])
        self._out = []
        self.take(message(words, self.cell))
        assert not self._answers, f"user code was not asked for {self._answers}"
        return self._out

    def take(self, message: AnyMessage) -> Decision:
        cell = self.cell
        if cell.program is None:
            self._revive()
        decision = turns.take(cell, message, self.now, self)
        if decision.append:
            cell.seq += 1
            self.journal.append(Turn(cell.seq, self.now, decision.append))
            self.snapshots.append(cell.machine.encode(cell.state))
        self._out += [f"+ {shown(record)}" for record in decision.append]
        self._out += _released(decision)
        facts, duty = cell.machine.facts(cell.state), cell.machine.next_duty(cell.state)
        self._out.append(f"= {facts.status or 'none'}, duty {_text(duty)}{', open' if facts.open else ''}")
        return decision

    def _revive(self) -> None:
        """As replay does: what was never handed over is at hand."""
        start = self.cell.machine.replay_from(self.cell.state)
        if start is not None:
            self.cell.program = Scripted(self)
            self.cell.undelivered = [
                record for each in activations(self.journal, start) if not each.complete for record in each.inputs
            ]

    def activated(self, inputs: Sequence[AnyRecord]) -> list[str]:
        """What user code asks for next."""
        self._out.append(f"< {' '.join(type(record).__name__ for record in inputs)}")
        return self._answers.pop(0) if self._answers else []

    # `Programs`, for the turn

    def has(self, kind: str, definition: str) -> bool:
        return True

    def create(self, key: str, definition: str, state: Raw | None, order: Order = "3.13") -> Scripted:
        return Scripted(self)


class Scripted:
    """A program that asks for what the trace says."""

    size = 0

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def activate(self, now: float, inputs: Sequence[AnyRecord], recorded: Any = None) -> Activated:
        answers = self._bench.activated(inputs)
        if answers and answers[0].startswith("held"):
            _, why, detail = shlex.split(answers[0])
            return Activated([], Hold(why, detail))  # type: ignore[arg-type]
        return Activated([command(shlex.split(line)) for line in answers])

    def query(self, handler: str, args: Raw) -> Raw:
        return NULL

    def evict(self) -> None:
        """It has nothing."""


def _split(answers: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]] if answers else []
    for line in answers:
        if line:
            parts[-1].append(line)
        else:
            parts.append([])
    return parts


# --- what comes in


def message(words: list[str], cell: Cell) -> AnyMessage:
    verb, *plain = [word for word in words if "=" not in word]
    named = dict(word.split("=", 1) for word in words if "=" in word)
    match verb:
        case "start":
            return Start(
                plain[0],
                _json(named.pop("input", "{}")),
                parent=_sender(named.pop("parent", "")),
                deadline_s=_number(named.pop("deadline", "")),
                **named,  # type: ignore[arg-type]
            )
        case "retry":
            reuse = tuple(_reusable(text) for text in named.pop("reuse", "").split(",") if text)
            return RetryRun(_raw(named.pop("input", "")), reuse=reuse, **named)
        case "deliver" | "ask":
            return Deliver(plain[0], NULL, verb == "ask", _sender(named.get("sender", "")), named.get("key", ""))
        case "answer":
            return Answer(int(plain[0]), int(plain[1]), _raw(named.get("result", "")), _failure(named))
        case "cancel":
            return Cancel(*plain, **named)
        case "terminate":
            return Terminate(*plain, **named)
        case "ended":
            token = _token(plain[0], named, cell)
            return AttemptEnded(token, _raw(named.get("result", "")) or NULL, _failure(named))
        case "progressed":
            return AttemptProgressed(_token(plain[0], named, cell), _json(plain[1]))
        case "due":
            return TimerDue()
        case "recovered":
            return Recovered()
        case "hold":
            return Hold(plain[0], plain[1])  # type: ignore[arg-type]
        case "release":
            return Release(named.get("key", ""))
        case "describe":
            return Describe()
        case "complete":
            execution, call, attempt = map(int, plain[0].split("."))
            key = named.get("key", "")
            return CompleteJob(execution, call, attempt, _raw(named.get("result", "")), _failure(named), key)
        case "settle":
            return SettleJob(int(plain[0]), _raw(named.get("handle", "")), named.get("key", ""))
        case "jobs":
            return ListJobs()
        case _:
            raise ValueError(f"no such message: {words}")


def command(words: list[str]) -> AnyRecord:
    verb, *plain = [word for word in words if "=" not in word]
    named = dict(word.split("=", 1) for word in words if "=" in word)
    match verb:
        case "task":
            return TaskScheduled(int(plain[0]), plain[1], NULL, named.pop("digest", "d"), _options(named))
        case "child":
            return ChildScheduled(int(plain[0]), plain[1], plain[2], NULL, "d", "nowait" not in plain)
        case "ask" | "tell":
            return AskScheduled(int(plain[0]), plain[1], plain[2], NULL, verb == "ask")
        case "cancel":
            return CallCancelled(int(plain[0]))
        case "reply":
            failure = _failure(named)
            return Replied(int(plain[0]), NULL if failure else _json(plain[1]), failure)
        case "timer":
            return TimerSet(_number(plain[0].replace("never", "")))
        case "return":
            return Completed(_json(plain[0]))
        case "raise":
            return Failed(Failure(plain[0]))
        case "cancelled":
            return Cancelled()
        case "continue":
            return ContinuedAsNew(_json(plain[0]), "d")
        case "state":
            return StateSet(_json(plain[0]))
        case "patch":
            return Patched(plain[0])
        case "warn":
            return Warned(plain[0])
        case _:
            raise ValueError(f"no such command: {words}")


def _options(named: dict[str, str]) -> TaskOptions:
    delays = tuple(float(delay) for delay in named.get("delays", "").split(",") if delay)
    attempts = int(named.get("attempts", len(delays) + 1))
    final = tuple(named["final"].split(",")) if "final" in named else ()
    return TaskOptions(
        RetryPolicy(attempts, delays_s=delays, final=final),
        deadline_s=_number(named.get("deadline", "")),
        optional="optional" in named,
        version=named.get("version", ""),
        timeout_s=_number(named.get("timeout", "")),
        job=_job(named["job"]) if "job" in named else None,
    )


def _job(text: str) -> JobOptions:
    """The methods it has, and its policy for unknown submits: `job=poll+cancel+hold`."""
    words = text.split("+")
    unknown = next((word for word in words if word in ("resubmit", "hold")), "fail")
    return JobOptions(poll="poll" in words, cancel="cancel" in words, find="find" in words, unknown=unknown)  # type: ignore[arg-type]


def _token(text: str, named: dict[str, str], cell: Cell) -> Token:
    """call.attempt.dispatch, of the execution or handler under way unless said otherwise."""
    call, attempt, dispatch = map(int, text.split("."))
    execution = int(named.get("execution", "0")) or cell.state.caller.execution
    return Token(cell.key, execution, call, attempt, dispatch)


def _failure(named: dict[str, str]) -> Failure | None:
    if "failure" not in named:
        return None
    return Failure(named["failure"], kind=named.get("kind", "error"), final="final" in named)  # type: ignore[arg-type]


def _sender(text: str) -> Sender | None:
    if not text:
        return None
    key, execution, call = text.split(":")
    return Sender(key, int(execution), int(call))


def _reusable(text: str) -> Reusable:
    task, digest, occurrence, version, result = text.split(":")
    return Reusable(task, digest, int(occurrence), version, _json(result))


def _raw(text: str) -> Raw | None:
    return _json(text) if text else None


def _json(text: str) -> Raw:
    """What is no JSON stands for a string."""
    try:
        json.loads(text)
    except ValueError:
        text = json.dumps(text)
    return Raw(text.encode())


def _number(text: str) -> float | None:
    return float(text) if text else None


# --- what comes out


def _released(decision: Decision) -> list[str]:
    out = [f"send {send.to} {shown(send.message)}" for send in decision.send]
    out += [
        f"execute {_short(each.token)} {each.task} {each.idempotency_key}{_progress(each)}" for each in decision.execute
    ]
    out += [f"abandon {_short(token)}" for token in decision.abandon]
    out += [] if decision.timer is None else [f"timer {_text(decision.timer)}"]
    out += [] if decision.reply is None else [f"reply {shown(decision.reply)}"]
    out += [f"settled {shown(settled)}" for settled in decision.settled]
    return out + (["closed"] if decision.closed else [])


def _progress(dispatch: Any) -> str:
    return "" if dispatch.progress is None else f" progress={_text(dispatch.progress)}"


def _short(token: Token) -> str:
    return f"{token.call}.{token.attempt}.{token.dispatch}"


def shown(value: msgspec.Struct) -> str:
    """The type, and the fields that are not as by default."""
    given = [
        f"{field.name}={_text(found)}"
        for field in msgspec.structs.fields(value)
        if (found := getattr(value, field.name)) != _default(field) and found != NULL
    ]
    return " ".join([type(value).__name__, *given])


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    return field.default if field.default is not NODEFAULT else object()


def _text(value: Any) -> str:
    match value:
        case Raw():
            return bytes(value).decode()
        case None:
            return "never"
        case float():
            return f"{value:g}"
        case Sender(key=key, execution=execution, call=call):
            return f"{key}:{execution}:{call}"
        case msgspec.Struct():
            return f"({shown(value)})"
        case [*parts]:
            return f"({', '.join(map(_text, parts))})"
        case _:
            return str(value)
