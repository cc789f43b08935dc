"""What people and programs are shown of runs: tables and lines for the one, JSON for the other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Raw

from understudy.door import HistoryTurn, Outcome, RetryPlan, RunDescription, RunSummary
from understudy_runtime.cli.output import CANCELLED_OR_HELD, FAILED, SUCCEEDED
from understudy_runtime.core.kinds import NULL

MAX_VALUE_CHARS: Final = 80
"""Of one value in a line of a history; `--json` shows all of it."""

EXIT_CODES: Final = {
    "succeeded": SUCCEEDED,
    "failed": FAILED,
    "timed_out": FAILED,
    "cancelled": CANCELLED_OR_HELD,
    "terminated": CANCELLED_OR_HELD,
    "held": CANCELLED_OR_HELD,
}

_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")


def pretty(value: Any) -> str:
    """`value`, or JSON that is there already, indented."""
    return msgspec.json.format(value if isinstance(value, Raw) else msgspec.json.encode(value), indent=2).decode(
        "utf-8", "surrogateescape"
    )


def ended(outcome: Outcome) -> dict[str, Any]:
    """How a run stands, as one object: `{id, status, result | error}`."""
    shown: dict[str, Any] = {"id": outcome.run_id, "status": outcome.status}
    if outcome.status == "succeeded":
        return shown | {"result": NULL if outcome.result is None else outcome.result}
    return shown | {"error": error_of(outcome)}


def error_of(outcome: Outcome) -> dict[str, str]:
    if outcome.status == "held":
        return {"type": "RunHeld", "why": outcome.held_why, "message": outcome.reason}
    failure = outcome.failure
    if failure is None:
        return {"type": outcome.status, "message": outcome.reason}
    shown = {"type": failure.type, "message": failure.message}
    return shown | {"traceback": failure.traceback} if failure.traceback else shown


def complaint(outcome: Outcome) -> str:
    """Why the run has no result, for people; the traceback comes first, because the end is what is read."""
    error = error_of(outcome)
    if outcome.status == "held":
        line, what = f"run {outcome.run_id} is held ({outcome.held_why})", error["message"]
    else:
        line = f"run {outcome.run_id} {outcome.status.replace('_', ' ')}"
        told = error["type"] if outcome.failure is not None else ""
        what = ": ".join(part for part in (told, error["message"]) if part)
    return "\n".join(
        part for part in (error.get("traceback", "").rstrip(), f"{line}: {what}" if what else line) if part
    )


def facts(described: RunDescription, outcome: Outcome | None) -> dict[str, Any]:
    """All there is to know of a run without its history, for `--json`; `outcome` if it does not go on."""
    return {
        "id": described.run_id,
        "workflow": described.workflow,
        "status": described.status,
        "execution": described.execution,
        "created_at": moment(described.created_at),
        "closed_at": moment(described.closed_at),
        "turns": described.turns,
        "tasks": {
            "scheduled": described.scheduled,
            "running": described.running,
            "waiting": described.waiting,
            "succeeded": described.succeeded,
            "failed": described.failed,
            "reused": described.reused,
        },
        "warnings": described.warnings,
        "input": described.input,
        **({} if outcome is None else ended(outcome)),
    }


def plan_facts(plan: RetryPlan) -> dict[str, Any]:
    return {
        "id": plan.run_id,
        "execution": plan.execution,
        "reused": plan.reused,
        "redone": plan.redone,
        "ends": plan.ends,
    }


def plan_lines(plan: RetryPlan) -> str:
    """Per task, how often it is reused and how often the next execution will begin by doing it."""
    reused, redone = (Counter(name.rpartition("#")[0] for name in names) for names in (plan.reused, plan.redone))
    ends = [f"  {plan.ends}"] if plan.ends else []
    tasks = [f"  {name}: {reused[name]} reused, {redone[name]} to do" for name in sorted({*reused, *redone})]
    return "\n".join([f"execution {plan.execution} of run {plan.run_id}:", *(tasks or ["  no task is begun"]), *ends])


def lines(shown: Mapping[str, Any]) -> str:
    """A mapping as `name  value` lines, longer values indented below their name."""
    width = max(map(len, shown))
    return "\n".join(f"{name.replace('_', ' '):<{width}}  {_inline(value)}" for name, value in shown.items())


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{inner} {name}" for name, inner in value.items())  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, Raw):
        return pretty(value).replace("\n", "\n  ")
    return "" if value is None else str(value)


def summary_facts(run: RunSummary) -> dict[str, Any]:
    return {
        "id": run.run_id,
        "workflow": run.workflow,
        "status": run.status,
        "execution": run.execution,
        "created_at": moment(run.created_at),
        "updated_at": moment(run.updated_at),
        "closed_at": moment(run.closed_at),
    }


def moment(at: float | None) -> str | None:
    """A time in ISO 8601, UTC, to the millisecond."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def history_rows(turns: Sequence[HistoryTurn]) -> list[tuple[str, str, str]]:
    return [(str(turn.seq), moment(turn.at) or "", told(record)) for turn in turns for record in turn.records]


def told(record: Mapping[str, Any]) -> str:
    """One record in words: its kind, then every field that says something."""
    parts = [f"{name}={short(value)}" for name, value in record.items() if name != "t" and value is not None]
    return " ".join([_CAPITAL.sub(" ", record["t"]).lower(), *parts])


def short(value: Any) -> str:
    """A value in one line of at most `MAX_VALUE_CHARS`, or so."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode("utf-8", "replace")
    text = " ".join(text.split())
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}..."
