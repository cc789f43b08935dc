"""What actors and rows of the store say of themselves, in the values of `understudy.door`."""

from __future__ import annotations

from typing import cast

import msgspec

from understudy.door import HistoryTurn, Outcome, RunDescription, RunStatus, RunSummary
from understudy_runtime.core.keys import id_of
from understudy_runtime.core.messages import Description
from understudy_runtime.core.ports import ActorRow
from understudy_runtime.core.records import Turn


def summary_of(row: ActorRow) -> RunSummary:
    return RunSummary(
        id_of(row.key),
        row.definition,
        cast("RunStatus", row.status),
        row.execution,
        row.created_at,
        row.updated_at,
        row.closed_at,
    )


def outcome_of(run_id: str, described: Description) -> Outcome:
    held = described.held
    return Outcome(
        run_id,
        described.definition,
        cast("RunStatus", described.status),
        described.execution,
        described.result,
        described.failure,
        held.why if held is not None else "",
        held.detail if held is not None else described.failure.message if described.failure is not None else "",
    )


def description_of(run_id: str, described: Description) -> RunDescription:
    held, failure = described.held, described.failure
    return RunDescription(
        run_id,
        described.definition,
        cast("RunStatus", described.status),
        described.execution,
        described.turns,
        described.created_at,
        described.closed_at,
        described.scheduled,
        described.running,
        described.waiting,
        described.succeeded,
        described.failed,
        described.reused,
        described.warnings,
        held.why if held is not None else "",
        held.detail if held is not None else "",
        f"{failure.type}: {failure.message}" if failure is not None else "",
        described.input,
        described.result,
    )


def history_turn(turn: Turn) -> HistoryTurn:
    return HistoryTurn(turn.seq, turn.at, msgspec.json.decode(msgspec.json.encode(turn.records)))
